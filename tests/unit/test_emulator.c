/* guest/emulator: a screen in a process of its own, and what becomes of one that misbehaves.
 *
 * The emulators are this program; what one is to do is what its parent calls itself. */
#include "helpers.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "channel/frame.h"
#include "guest/emulator.h"
#include "guest/emulator_wire.h"

enum { ROWS = 6, COLUMNS = 20 };

struct fixture {
    struct loop *loop;
    struct emulator *m;
    struct terminal_filter filter;
    struct terminal_modes left_on;
    struct buf answers, painting, lost;
    unsigned paintings, taken, losses;
};

static void on_answered(void *arg, const char *data, size_t len)
{
    struct fixture *f = arg;

    assert_in_range(len, 0, SCREEN_ANSWERS_MAX);
    buf_append(&f->answers, data, len);
}

static void on_taken(void *arg)
{
    struct fixture *f = arg;

    f->taken++;
}

static void on_painted(void *arg, const struct buf *painting, const struct terminal_modes *on)
{
    struct fixture *f = arg;

    f->painting.len = 0;
    buf_append(&f->painting, painting->data, painting->len);
    f->left_on = *on;
    f->paintings++;
}

static void on_lost(void *arg, const char *line)
{
    struct fixture *f = arg;

    buf_puts(&f->lost, line);
    f->losses++;
}

/* act: how the emulators are to behave; NULL: well */
static void begin(struct fixture *f, const char *act)
{
    struct emulator_events ev = {on_answered, on_taken, on_painted, on_lost, f};

    prctl(PR_SET_NAME, act ? act : "good");
    f->m = emulator_new(f->loop, ROWS, COLUMNS, &ev);
}

static int set_up(void **state)
{
    struct fixture *f = mem_zalloc(1, sizeof(*f));

    signal(SIGPIPE, SIG_IGN);
    f->loop = loop_new();
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    emulator_free(f->m);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left */
    loop_free(f->loop);
    buf_free(&f->answers);
    buf_free(&f->painting);
    buf_free(&f->lost);
    free(f);
    return 0;
}

static void feed(struct fixture *f, const char *text, bool asks)
{
    auto_buf struct buf passed = BUF_INIT;

    terminal_filter(&f->filter, text, strlen(text), &passed);
    emulator_feed(f->m, passed.data, passed.len, asks);
}

static void order(struct fixture *f)
{
    static const struct terminal_modes none;

    emulator_paint(f->m, &f->filter.on, &none, false);
}

static void paint(struct fixture *f)
{
    unsigned before = f->paintings;

    order(f);
    WAIT_FOR(f->loop, f->paintings > before);
}

/* What a terminal of this size shows after the painting; the caller frees it. */
static char *row_of(const struct fixture *f, unsigned row)
{
    struct screen *s = screen_new(ROWS, COLUMNS);
    char *text;

    screen_feed(s, f->painting.data, f->painting.len, NULL);
    text = screen_row(s, row);
    screen_free(s);
    return text;
}

static void shows(const struct fixture *f, unsigned row, const char *text)
{
    auto_free char *shown = row_of(f, row);

    assert_string_equal(shown, text);
}

static void paints(void **state)
{
    struct fixture *f = *state;

    begin(f, NULL);
    feed(f, "one\r\n\033[1mtwo\033[?2004h", false);
    order(f);
    feed(f, "\r\nthree", false); /* comes after what was asked for */
    WAIT_FOR(f->loop, f->paintings == 1);
    shows(f, 0, "one");
    shows(f, 1, "two");
    shows(f, 2, "");
    assert_int_equal(f->left_on.modes, f->filter.on.modes);
    feed(f, "\r\nfour", false);
    order(f);
    paint(f); /* which is the one that comes */
    assert_int_equal(f->paintings, 2);
    shows(f, 3, "four");
    assert_int_equal(f->losses, 0);
}

static void resizes(void **state)
{
    struct fixture *f = *state;

    begin(f, NULL);
    feed(f, "\033[2;4rone\r\ntwo\r\nthree", false);
    assert_true(f->filter.on.scroll_region);
    emulator_resize(f->m, 2, COLUMNS, &f->filter.on);
    assert_false(f->filter.on.scroll_region);
    paint(f);
    shows(f, 0, "two");
    shows(f, 1, "three");
    emulator_resize(f->m, 65535, 65535, &f->filter.on);
    feed(f, "more", false);
    paint(f);
    emulator_resize(f->m, 0, 0, &f->filter.on);
    feed(f, "more", false);
    paint(f);
    assert_int_equal(f->losses, 0);
}

static void answers(void **state)
{
    struct fixture *f = *state;

    begin(f, NULL);
    feed(f, "\033[2;3H\033[6n", false);
    feed(f, "\033[6n", true);
    WAIT_FOR(f->loop, f->taken == 2);
    assert_string_equal(f->answers.data, "\033[2;3R");
}

/* Each cell as dear as can be. */
static void paints_the_dearest_screen(void **state)
{
    struct fixture *f = *state;

    begin(f, NULL);
    for (unsigned cell = 0; cell < 2 * ROWS * COLUMNS; cell++) {
        auto_free char *text =
            mem_printf("\033[0;1;3;4:3;5;7;9;19m\033[38;2;25%u;255;255m\033[48;2;255;255;25%um"
                       "\360\237\200\200\314\201\314\202\314\203\314\204\314\205",
                       cell % 5, cell % 5);

        feed(f, text, false);
    }
    paint(f);
    assert_in_range(f->painting.len, ROWS * COLUMNS / 2 * 70, screen_painting_max(ROWS, COLUMNS));
    assert_int_equal(f->losses, 0);
}

/* Who feeds is told to wait, and who does not is not stuck. */
static void has_room(void **state)
{
    struct fixture *f = *state;

    begin(f, NULL);
    kill(emulator_pid(f->m), SIGSTOP);
    assert_true(emulator_has_room(f->m));
    for (int i = 0; i < EMULATOR_ROOM; i++)
        feed(f, "x", false);
    assert_false(emulator_has_room(f->m));
    for (int i = 0; i < 100000; i++)
        feed(f, "y", false);
    kill(emulator_pid(f->m), SIGCONT);
    WAIT_FOR(f->loop, f->taken == 100000 + EMULATOR_ROOM);
    assert_true(emulator_has_room(f->m));
    assert_int_equal(f->losses, 0);
}

static void begins_anew(void **state)
{
    struct fixture *f = *state;

    begin(f, NULL);
    feed(f, "old\033[?2004h", false);
    paint(f);
    for (int i = 1; i < EMULATOR_STARTS_MAX; i++) {
        pid_t pid = emulator_pid(f->m);

        kill(pid, SIGKILL);
        order(f); /* what is asked for meanwhile comes from the next one */
        WAIT_FOR(f->loop, f->paintings == 1 + (unsigned)i);
        assert_int_equal(f->losses, i);
        assert_int_not_equal(emulator_pid(f->m), pid);
        assert_non_null(strstr(f->lost.data, "killed by SIGKILL"));
        assert_null(emulator_failure(f->m));
        shows(f, 0, "");
        assert_int_equal(f->left_on.modes, f->filter.on.modes);
    }
    kill(emulator_pid(f->m), SIGTERM);
    WAIT_FOR(f->loop, f->losses == EMULATOR_STARTS_MAX);
    assert_int_equal(emulator_pid(f->m), 0);
    assert_non_null(strstr(emulator_failure(f->m), "killed by SIGTERM"));
    feed(f, "into the void", true);
    emulator_resize(f->m, 3, 3, &f->filter.on);
    order(f);
    run_ready(f->loop);
    assert_true(emulator_has_room(f->m));
}

static void kills_one_that_hangs(void **state)
{
    struct fixture *f = *state;
    int64_t start;

    begin(f, NULL);
    feed(f, "old", false);
    paint(f);
    kill(emulator_pid(f->m), SIGSTOP);
    start = clock_ms();
    feed(f, "lost", false);
    WAIT_FOR(f->loop, f->losses == 1);
    assert_in_range(clock_ms() - start, EMULATOR_DEADLINE_MS, 3 * EMULATOR_DEADLINE_MS);
    assert_non_null(strstr(f->lost.data, "in time"));
    paint(f);
    shows(f, 0, "");
}

/* ---- emulators that were taken over --------------------------------------------------------- */

static void send_frame(uint8_t type, uint8_t lane, const void *data, size_t len)
{
    uint8_t header[FRAME_HEADER];

    frame_encode_header(header, type, lane, 0, (uint32_t)len);
    if (write(EMULATOR_FD, header, sizeof(header)) < 0 ||
        (len && write(EMULATOR_FD, data, len) < 0))
        _exit(0); /* it was enough */
}

/* Waits for a frame of that type. */
static void await(uint8_t type)
{
    static struct buf in;
    struct frame f;
    size_t size;

    for (;;) {
        while (frame_parse(in.data, in.len, &f) == FRAME_OK) {
            bool wanted = f.type == type;

            size = FRAME_HEADER + f.len;
            buf_consume(&in, size);
            if (wanted)
                return;
        }
        buf_reserve(&in, 4096);
        size = (size_t)read(EMULATOR_FD, in.data + in.len, 4096);
        if ((ssize_t)size <= 0)
            _exit(0);
        in.len += size;
    }
}

static const char attack[] = "\033]52;c;eA==\a\033P$q\033\\\033[6n\033[21t\033[?1000hok\033]0;t";

/* In each the last thing is what must not be. */
static void misbehave(const char *act)
{
    static const char filler[FRAME_PAYLOAD_MAX];

    if (strcmp(act, "early credit") == 0) {
        send_frame(FRAME_CREDIT, LANE_OUT, NULL, 0);
    } else if (strcmp(act, "early end") == 0) {
        send_frame(FRAME_EOF, LANE_OUT, NULL, 0);
    } else if (strcmp(act, "early part") == 0) {
        send_frame(FRAME_DATA, LANE_OUT, "x", 1);
    } else if (strcmp(act, "early answer") == 0) {
        send_frame(FRAME_DATA, LANE_IN, "x", 1);
    } else if (strcmp(act, "odd type") == 0) {
        send_frame(FRAME_EXIT, LANE_OUT, filler, 8);
    } else if (strcmp(act, "malformed") == 0) {
        send_frame(255, LANE_OUT, NULL, 0);
    } else if (strcmp(act, "long answer") == 0) {
        await(FRAME_DATA);
        send_frame(FRAME_DATA, LANE_IN, filler, SCREEN_ANSWERS_MAX + 1);
    } else if (strcmp(act, "two answers") == 0) {
        await(FRAME_DATA);
        send_frame(FRAME_DATA, LANE_IN, "x", 1);
        send_frame(FRAME_DATA, LANE_IN, "x", 1);
    } else if (strcmp(act, "empty part") == 0) {
        await(FRAME_OPEN);
        send_frame(FRAME_DATA, LANE_OUT, NULL, 0);
    } else if (strcmp(act, "endless part") == 0) {
        await(FRAME_OPEN);
        for (;;)
            send_frame(FRAME_DATA, LANE_OUT, filler, sizeof(filler));
    } else if (strcmp(act, "late painting") == 0) {
        await(FRAME_OPEN);
        await(FRAME_DATA); /* the piece before it was another one */
        send_frame(FRAME_CREDIT, LANE_OUT, NULL, 0);
        send_frame(FRAME_CREDIT, LANE_OUT, NULL, 0);
    } else if (strcmp(act, "hasty painting") == 0) {
        await(FRAME_OPEN);
        send_frame(FRAME_EOF, LANE_OUT, NULL, 0);
    } else if (strcmp(act, "attack") == 0) {
        await(FRAME_OPEN);
        send_frame(FRAME_CREDIT, LANE_OUT, NULL, 0);
        send_frame(FRAME_DATA, LANE_OUT, attack, sizeof(attack) - 1);
        send_frame(FRAME_EOF, LANE_OUT, NULL, 0);
    }
    for (;;)
        await(0);
}

static void bears_the_protocol_broken(void **state)
{
    static const char *const acts[] = {"early credit", "early end",     "early part",
                                       "early answer", "odd type",      "malformed",
                                       "long answer",  "two answers",   "empty part",
                                       "endless part", "late painting", "hasty painting"};
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(acts); i++) {
        unsigned before = f->losses;

        begin(f, acts[i]);
        if (!strstr(acts[i], "early")) {
            feed(f, "one", true);
            order(f);
            feed(f, "two", false);
        }
        WAIT_FOR(f->loop, f->losses > before);
        assert_true(strstr(f->lost.data, "broke the protocol") ||
                    strstr(f->lost.data, "malformed frame"));
        f->lost.len = 0;
        emulator_free(steal_ptr(&f->m));
    }
    assert_int_equal(f->paintings, 0);
}

static void filters_the_painting(void **state)
{
    struct fixture *f = *state;

    begin(f, "attack");
    feed(f, "one", false);
    paint(f);
    assert_int_equal(f->losses, 0);
    assert_null(strstr(f->painting.data, "52;c"));
    assert_null(strstr(f->painting.data, "\033P"));
    assert_null(strstr(f->painting.data, "\033[21t"));
    assert_null(strstr(f->painting.data, "\033]0"));
    assert_non_null(strstr(f->painting.data, "ok"));
    /* what it switched on will be switched off */
    assert_int_equal(f->left_on.modes, 1u << terminal_private_mode(1000));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(paints, set_up, tear_down),
        cmocka_unit_test_setup_teardown(resizes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(answers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(paints_the_dearest_screen, set_up, tear_down),
        cmocka_unit_test_setup_teardown(has_room, set_up, tear_down),
        cmocka_unit_test_setup_teardown(begins_anew, set_up, tear_down),
        cmocka_unit_test_setup_teardown(kills_one_that_hangs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bears_the_protocol_broken, set_up, tear_down),
        cmocka_unit_test_setup_teardown(filters_the_painting, set_up, tear_down),
    };

    if (argc == 2 && strcmp(argv[1], EMULATOR_COMMAND) == 0) {
        auto_free char *path = mem_printf("/proc/%d/comm", (int)getppid());
        auto_free char *act = read_text(path);

        act[strcspn(act, "\n")] = '\0';
        if (strcmp(act, "good") == 0)
            emulator_main();
        misbehave(act);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
