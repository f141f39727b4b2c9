/* guest/exec with a terminal for output: the test plays guestd and reads what the terminal shows.
 */
#include "helpers.h"

#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <termios.h>

#include "guest/exec.h"
#include "guest/terminal.h"
#include "proc/sock.h"

enum { BLOCK = FRAME_PAYLOAD_MAX - 1 /* a multiple of 5 */, BLOCKS = 16, GIVE_UP_MS = 50 };

struct fixture {
    struct loop *loop;
    struct conn *near, *far;
    struct guest *guest;
    int master, slave;
    struct buf shown;
    bool hold; /* the terminal's reader does not read */
    uint32_t stream;
    size_t credit;
    bool refused;
    void (*on_open)(struct fixture *f);
};

static void on_near(void *arg, struct conn *c, const struct frame *f)
{
    struct fixture *x = arg;

    (void)c;
    x->refused = !guest_frame(x->guest, f) || x->refused;
}

static void on_far(void *arg, struct conn *c, const struct frame *f)
{
    struct fixture *x = arg;

    (void)c;
    x->stream = f->stream;
    if (f->type == FRAME_CREDIT)
        x->credit += get_u32(f->payload);
    if (f->type == FRAME_OPEN)
        x->on_open(x);
}

static void on_closed(void *arg, struct conn *c, const char *why)
{
    (void)arg;
    (void)c;
    fail_msg("closed: %s", why ? why : "-");
}

static void read_master(void *arg)
{
    struct fixture *f = arg;
    char block[4096];
    ssize_t n = f->hold ? 0 : read(f->master, block, sizeof(block));

    buf_append(&f->shown, block, n > 0 ? (size_t)n : 0);
}

static void on_master(void *arg, short events)
{
    (void)events;
    read_master(arg);
}

static int set_up(void **state)
{
    struct fixture *f = mem_zalloc(1, sizeof(*f));
    struct conn_events near = {on_near, on_closed, f}, far = {on_far, on_closed, f};
    struct termios raw;
    int pair[2];

    signal(SIGPIPE, SIG_IGN);
    alarm(TEST_DEADLINE_MS / 1000);
    assert_int_equal(sock_pair(pair, NULL), 0);
    assert_int_equal(openpty(&f->master, &f->slave, NULL, NULL, NULL), 0);
    assert_int_equal(tcgetattr(f->slave, &raw), 0);
    cfmakeraw(&raw);
    assert_int_equal(tcsetattr(f->slave, TCSANOW, &raw), 0);
    assert_int_equal(file_set_nonblock(f->master, true, NULL), 0);
    f->loop = loop_new();
    f->near = conn_new(f->loop, pair[0], true, &near);
    f->far = conn_new(f->loop, pair[1], true, &far);
    f->guest = guest_new(f->loop, f->near);
    buf_puts(&f->shown, "");
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    guest_free(f->guest);
    conn_free(f->near);
    conn_free(f->far);
    loop_free(f->loop);
    close(f->master);
    close(f->slave);
    buf_free(&f->shown);
    free(f);
    return 0;
}

static void far_sends(struct fixture *f, uint8_t type, uint8_t lane, const void *data, size_t len)
{
    conn_send(f->far, type, lane, f->stream, data, len);
}

static void far_exits(struct fixture *f)
{
    far_sends(f, FRAME_EXIT, 0, "\0\0\0\0\0\0\0\0", 8);
}

static int run(struct fixture *f, void (*on_open)(struct fixture *f), bool raw, struct err *e)
{
    char *const argv[] = {"program", NULL};
    struct guest_program p = {.argv = argv};
    struct guest_stdio io = {.in = -1, .out = f->slave, .err = f->slave, .raw = raw};
    struct loop_watch *watch = loop_watch(f->loop, f->master, POLLIN, on_master, f);
    struct exit_status status;
    int rc;

    f->on_open = on_open;
    rc = guest_exec(f->guest, &p, &io, &status, e);
    loop_unwatch(watch);
    f->hold = false;
    for (size_t before = SIZE_MAX; before != f->shown.len;) {
        before = f->shown.len;
        read_master(f);
    }
    return rc;
}

/* Both lanes at once, in pieces that would make something else if one got into the other. */
static void flood(struct fixture *f)
{
    auto_free char *block = mem_zalloc(BLOCK, 1);

    for (size_t i = 0; i < BLOCK; i++)
        block[i] = "\033[31m"[i % 5];
    for (int i = 0; i < BLOCKS; i++) {
        far_sends(f, FRAME_DATA, LANE_OUT, block, BLOCK);
        far_sends(f, FRAME_DATA, LANE_ERR, "<21t>", 5);
    }
    far_exits(f);
}

static void test_lanes_do_not_mix(void **state)
{
    struct fixture *f = *state;
    auto_err struct err e = ERR_INIT;
    size_t marks = 0;

    ASSERT_OK(e, run(f, flood, false, &e));
    assert_false(f->refused);
    for (const char *s = f->shown.data; *s;) {
        if (str_starts(s, "<21t>"))
            marks++;
        else if (str_starts(s, "\033[m")) { /* the end, for both lanes' sakes */
            s += 3;
            continue;
        } else if (!str_starts(s, "\033[31m"))
            fail_msg("torn: %.20s", s + 1);
        s += 5;
    }
    assert_int_equal(marks, BLOCKS);
}

/* What is dropped is credited at once, what is held only when it is decided. */
static void send_nothing(struct fixture *f)
{
    static const char zeros[FLOW_WINDOW / BLOCKS];

    far_sends(f, FRAME_DATA, LANE_OUT, "\033]0;held", 8);
    for (int i = 0; i < BLOCKS; i++)
        far_sends(f, FRAME_DATA, LANE_OUT, zeros, sizeof(zeros));
    far_exits(f);
}

static void test_credit(void **state)
{
    struct fixture *f = *state;
    auto_err struct err e = ERR_INIT;

    ASSERT_OK(e, run(f, send_nothing, false, &e));
    run_ready(f->loop);
    assert_false(f->refused);
    assert_int_equal(f->shown.len, 0);
    /* credit comes in quarters of a window, once there is as much */
    assert_in_range(f->credit, FLOW_WINDOW * 3 / 4, FLOW_WINDOW - TERMINAL_HELD_MAX);
}

static void test_raw(void **state)
{
    struct fixture *f = *state;
    auto_err struct err e = ERR_INIT;

    ASSERT_OK(e, run(f, flood, true, &e));
    assert_int_equal(f->shown.len, BLOCKS * (BLOCK + 5));
}

static void give_up(void *arg)
{
    struct fixture *f = arg;

    guest_abort(f->guest, "given up");
    f->hold = false;
}

static void open_screen(struct fixture *f)
{
    static const char text[] = "\033[?1049hfull screen\033[?25l\033[1";

    far_sends(f, FRAME_DATA, LANE_OUT, text, strlen(text));
    loop_timer(f->loop, GIVE_UP_MS, give_up, f);
}

static void test_given_up(void **state)
{
    struct fixture *f = *state;
    auto_err struct err e = ERR_INIT;

    assert_int_equal(run(f, open_screen, false, &e), -1);
    assert_string_equal(f->shown.data, "\033[?1049hfull screen\033[?25l\033[?1049l\033[?25h\033[m");
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(test_lanes_do_not_mix),
        WITH_FIXTURE(test_credit),
        WITH_FIXTURE(test_raw),
        WITH_FIXTURE(test_given_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
