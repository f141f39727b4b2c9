/* guest/exec against a guest that breaks the rules; the test plays guestd. */
#include "helpers.h"

#include <signal.h>

#include "guest/exec.h"
#include "proc/sock.h"

struct fixture {
    struct loop *loop;
    struct conn *near, *far;
    struct guest *guest;
    struct buf log; /* what the far end got */
    uint32_t stream;
    size_t got;
    bool refused; /* guest_frame returned false */
    void (*on_open)(struct fixture *f);
    void (*on_eof)(struct fixture *f);
    struct reader *reader;
    int null;
};

static void read_slowly(void *arg);

static void on_near(void *arg, struct conn *c, const struct frame *f)
{
    struct fixture *x = arg;

    (void)c;
    if (!guest_frame(x->guest, f)) {
        x->refused = true;
        guest_lost(x->guest, "the guest broke the protocol");
    }
    if (f->type == FRAME_EXIT && x->reader)
        loop_timer(x->loop, 0, read_slowly, x->reader);
}

static void on_far(void *arg, struct conn *c, const struct frame *f)
{
    struct fixture *x = arg;

    (void)c;
    if (f->type == FRAME_DATA) {
        x->got += f->len;
        return;
    }
    buf_printf(&x->log, "%u;", f->type);
    x->stream = f->stream;
    if (f->type == FRAME_OPEN && x->on_open)
        x->on_open(x);
    if (f->type == FRAME_EOF && x->on_eof)
        x->on_eof(x);
}

static void on_closed(void *arg, struct conn *c, const char *why)
{
    struct fixture *x = arg;

    if (c == x->near)
        guest_lost(x->guest, why ? why : "it is gone");
}

static int set_up(void **state)
{
    struct fixture *f = mem_zalloc(1, sizeof(*f));
    struct conn_events near = {on_near, on_closed, f}, far = {on_far, on_closed, f};
    int pair[2];

    signal(SIGPIPE, SIG_IGN);
    alarm(TEST_DEADLINE_MS / 1000);
    assert_int_equal(sock_pair(pair, NULL), 0);
    f->loop = loop_new();
    f->near = conn_new(f->loop, pair[0], true, &near);
    f->far = conn_new(f->loop, pair[1], true, &far);
    f->guest = guest_new(f->loop, f->near);
    f->null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    buf_puts(&f->log, "");
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
    close(f->null);
    buf_free(&f->log);
    free(f);
    return 0;
}

static void far_sends(struct fixture *f, uint8_t type, uint8_t lane, const void *data, size_t len)
{
    conn_send(f->far, type, lane, f->stream, data, len);
}

static void far_exits(struct fixture *f)
{
    far_sends(f, FRAME_EXIT, 0, "\0\0\0\0\5\0\0\0", 8);
}

static int run_with(struct fixture *f, int out, struct err *e)
{
    char *const argv[] = {"program", NULL};
    struct guest_program p = {.argv = argv};
    struct guest_stdio io = {-1, out, f->null, false};
    struct exit_status status;

    if (guest_exec(f->guest, &p, &io, &status, e) < 0)
        return -1;
    return exit_status_code(status);
}

static int run(struct fixture *f, void (*on_open)(struct fixture *f), struct err *e)
{
    f->on_open = on_open;
    return run_with(f, f->null, e);
}

static void test_exit(void **state)
{
    struct fixture *f = *state;
    auto_err struct err e = ERR_INIT;

    assert_int_equal(run(f, far_exits, &e), 5);
    assert_string_equal(f->log.data, "3;5;"); /* OPEN, and EOF for no stdin */
    err_set(&e, "of an earlier failure");
    assert_int_equal(run(f, far_exits, &e), 5);
    assert_int_equal(run(f, far_exits, NULL), 5);
}

static void exit_short(struct fixture *f)
{
    far_sends(f, FRAME_EXIT, 0, "\0\0\0\0", 4);
}

static void exit_large(struct fixture *f)
{
    far_sends(f, FRAME_EXIT, 0, "\1\0\0\0\xff\xff\xff\xff", 8);
}

static void error_short(struct fixture *f)
{
    far_sends(f, FRAME_ERROR, 0, "\1", 1);
}

static void error_forged(struct fixture *f)
{
    static const char text[] = "\x07\0\0\0no\033[2J\nagentvm: all\tis well\xff";

    far_sends(f, FRAME_ERROR, 0, text, sizeof(text) - 1);
}

static void error_not_found(struct fixture *f)
{
    far_sends(f, FRAME_ERROR, 0, "\x7f\0\0\0gone", 8);
}

static void test_ends(void **state)
{
    struct fixture *f = *state;
    auto_err struct err e = ERR_INIT;

    assert_int_equal(run(f, exit_short, &e), -1);
    assert_string_equal(e.msg, "malformed exit status from the guest");
    assert_int_equal(run(f, exit_large, &e), 128 + 255);
    assert_int_equal(run(f, error_short, &e), -1);
    assert_string_equal(e.msg, "malformed error from the guest");
    assert_int_equal(run(f, error_forged, &e), -1);
    assert_string_equal(e.msg, "no\\x1b[2J agentvm: all is well\\xff");
    assert_int_equal(err_exit_code(&e), 125); /* only what exec says may be passed on */
    assert_int_equal(run(f, error_not_found, &e), -1);
    assert_int_equal(err_exit_code(&e), 127);
    assert_int_equal(run(f, error_not_found, NULL), -1);
}

static void data_on_lane_0(struct fixture *f)
{
    far_sends(f, FRAME_DATA, LANE_IN, "x", 1);
}

static void data_after_eof(struct fixture *f)
{
    far_sends(f, FRAME_EOF, LANE_OUT, NULL, 0);
    far_sends(f, FRAME_EOF, LANE_OUT, NULL, 0);
    far_sends(f, FRAME_DATA, LANE_OUT, "dropped", 7);
    far_exits(f);
}

static void open_back(struct fixture *f)
{
    far_sends(f, FRAME_OPEN, 0, NULL, 0);
}

static void credit_short(struct fixture *f)
{
    far_sends(f, FRAME_CREDIT, 0, "x", 1);
}

static void test_refused(void **state)
{
    static void (*const deeds[])(struct fixture * f) = {data_on_lane_0, open_back, credit_short};
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(deeds); i++) {
        auto_err struct err e = ERR_INIT;

        guest_free(f->guest); /* the last one is lost */
        f->guest = guest_new(f->loop, f->near);
        f->refused = false;
        assert_int_equal(run(f, deeds[i], &e), -1);
        assert_true(f->refused);
        assert_string_equal(e.msg, "the guest broke the protocol");
        assert_int_equal(run(f, far_exits, &e), -1);
        assert_string_equal(e.msg, "the connection to the VM is closed");
    }
}

static void test_after_eof(void **state)
{
    struct fixture *f = *state;
    auto_err struct err e = ERR_INIT;

    assert_int_equal(run(f, data_after_eof, &e), 5);
}

static void other_streams(struct fixture *f)
{
    uint32_t mine = f->stream;

    f->stream = mine + 1;
    far_exits(f);
    f->stream = mine - 1;
    far_exits(f);
    open_back(f);
    f->stream = mine;
    far_exits(f);
    far_exits(f); /* a second time */
}

static void test_other_streams(void **state)
{
    struct fixture *f = *state;
    auto_err struct err e = ERR_INIT;

    assert_int_equal(run(f, other_streams, &e), 5);
    assert_int_equal(run(f, other_streams, &e), 5);
}

/* What the program wrote before its end still goes to a slow reader. */
static void much_then_exit(struct fixture *f)
{
    auto_free char *block = mem_zalloc(FRAME_PAYLOAD_MAX, 1);

    for (int i = 0; i < 8; i++)
        far_sends(f, FRAME_DATA, LANE_OUT, block, FRAME_PAYLOAD_MAX);
    far_exits(f);
}

struct reader {
    struct fixture *f;
    int fd;
    size_t got;
    bool lose;
};

static void read_slowly(void *arg)
{
    struct reader *r = arg;
    char block[32768];
    ssize_t n = read(r->fd, block, sizeof(block));

    assert_true(n > 0);
    r->got += (size_t)n;
    if (r->lose)
        guest_lost(r->f->guest, "gone"); /* does not matter any more */
    if (r->got < 8 * FRAME_PAYLOAD_MAX)
        loop_timer(r->f->loop, 0, read_slowly, r);
}

static void test_slow_reader(void **state)
{
    struct fixture *f = *state;
    struct reader r = {.f = f, .lose = true};
    auto_err struct err e = ERR_INIT;
    int p[2];

    assert_int_equal(pipe2(p, O_CLOEXEC), 0);
    r.fd = p[0];
    f->reader = &r; /* starts when the exit status is there */
    f->on_open = much_then_exit;
    assert_int_equal(run_with(f, p[1], &e), 5);
    WAIT_FOR(f->loop, r.got == 8 * FRAME_PAYLOAD_MAX);
    close(p[0]);
    close(p[1]);
}

static void give_up(void *arg)
{
    guest_abort(((struct fixture *)arg)->guest, "given up");
}

static void test_abort(void **state)
{
    struct fixture *f = *state;
    auto_err struct err e = ERR_INIT;
    int p[2];

    guest_abort(f->guest, "nothing runs");
    loop_timer(f->loop, 5, give_up, f);
    assert_int_equal(run(f, NULL, &e), -1);
    assert_string_equal(e.msg, "given up");
    WAIT_FOR(f->loop, strstr(f->log.data, "12;"));
    assert_int_equal(pipe2(p, O_CLOEXEC), 0); /* while only our own reader is waited for */
    f->on_open = much_then_exit;
    loop_timer(f->loop, 20, give_up, f);
    assert_int_equal(run_with(f, p[1], &e), -1);
    assert_string_equal(e.msg, "given up");
    close(p[0]);
    close(p[1]);
}

static void close_far(struct fixture *f)
{
    conn_free(steal_ptr(&f->far));
}

static void test_lost(void **state)
{
    struct fixture *f = *state;
    auto_err struct err e = ERR_INIT;

    assert_int_equal(run(f, close_far, &e), -1);
    assert_string_equal(e.msg, "it is gone");
}

/* ---- files ---- */

static void stop_put(struct fixture *f)
{
    far_sends(f, FRAME_STOP, LANE_IN, NULL, 0);
    far_sends(f, FRAME_STOP, LANE_IN, NULL, 0);
}

static void refuse_put(struct fixture *f)
{
    far_sends(f, FRAME_ERROR, 0, "\x7d\0\0\0no space left", 17);
}

/* The guest's disk is full in the middle of a file larger than the window. */
static void test_put_stopped(void **state)
{
    struct fixture *f = *state;
    auto_free char *big = mem_zalloc(3 << 20, 1);
    auto_err struct err e = ERR_INIT;

    f->on_open = stop_put;
    f->on_eof = refuse_put;
    assert_int_equal(guest_put(f->guest, "/f", 0600, NULL, big, 3 << 20, &e), -1);
    assert_string_equal(e.msg, "no space left");
    assert_int_equal(f->got, FLOW_WINDOW);
    assert_string_equal(f->log.data, "3;5;");
}

static void credit_much(struct fixture *f)
{
    for (int i = 0; i < 100; i++)
        far_sends(f, FRAME_CREDIT, 0, "\xff\xff\xff\xff", 4);
}

static void test_put_credit(void **state)
{
    struct fixture *f = *state;
    auto_free char *big = mem_zalloc(3 << 20, 1);
    auto_err struct err e = ERR_INIT;

    f->on_open = credit_much;
    f->on_eof = far_exits;
    assert_int_equal(guest_put(f->guest, "/f", 0600, NULL, big, 3 << 20, &e), 0);
    assert_int_equal(f->got, 3 << 20);
    credit_much(f); /* with nothing running */
    run_ready(f->loop);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(test_exit),          WITH_FIXTURE(test_ends),
        WITH_FIXTURE(test_refused),       WITH_FIXTURE(test_after_eof),
        WITH_FIXTURE(test_other_streams), WITH_FIXTURE(test_slow_reader),
        WITH_FIXTURE(test_abort),         WITH_FIXTURE(test_lost),
        WITH_FIXTURE(test_put_stopped),   WITH_FIXTURE(test_put_credit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
