/* supervisor/viewer: whoever is attached sees in the end what the agent's terminal shows, whenever
 * the painting comes. */
#include "helpers.h"

#include <signal.h>

#include "proc/sock.h"
#include "supervisor/viewer.h"

enum { ROWS = 6, COLUMNS = 20 };

struct fixture {
    struct loop *loop;
    struct emulator *m;
    struct viewer viewer;
    struct conn *near, *far;
    struct terminal_filter filter;
    struct screen *own, *seen; /* the agent's terminal and the viewer's */
    struct buf got;
    size_t unread; /* what the viewer has not given credit for */
    bool reads;
    unsigned paintings, lines;
};

static void on_painted(void *arg, const struct buf *painting, const struct terminal_modes *on)
{
    struct fixture *f = arg;

    f->paintings++;
    viewer_painted(&f->viewer, painting, on, f->m, &f->filter.on);
}

static void on_answered(void *arg, const char *data, size_t len)
{
    (void)arg;
    (void)data;
    (void)len;
}

static void on_taken(void *arg)
{
    (void)arg;
}

static void on_lost(void *arg, const char *line)
{
    (void)arg;
    fail_msg("%s", line);
}

static void give_credit(struct fixture *f)
{
    uint32_t bytes = (uint32_t)f->unread;

    f->unread = 0;
    viewer_credit(&f->viewer, bytes, f->m, &f->filter.on);
}

static void on_far(void *arg, struct conn *c, const struct frame *frame)
{
    struct fixture *f = arg;

    (void)c;
    assert_int_equal(frame->type, FRAME_DATA);
    buf_append(&f->got, frame->payload, frame->len);
    screen_feed(f->seen, frame->payload, frame->len, NULL);
    f->unread += frame->len;
    assert_in_range(f->unread, 0, FLOW_WINDOW);
    if (f->reads)
        give_credit(f);
}

static void on_closed(void *arg, struct conn *c, const char *why)
{
    (void)arg;
    (void)c;
    fail_msg("closed: %s", why ? why : "-");
}

static int set_up(void **state)
{
    struct fixture *f = mem_zalloc(1, sizeof(*f));
    struct emulator_events ev = {on_answered, on_taken, on_painted, on_lost, f};
    struct conn_events far = {on_far, on_closed, f};
    int pair[2];

    signal(SIGPIPE, SIG_IGN);
    f->loop = loop_new();
    assert_int_equal(sock_pair(pair, NULL), 0);
    f->near = conn_new(f->loop, pair[0], true, &far);
    f->far = conn_new(f->loop, pair[1], true, &far);
    f->m = emulator_new(f->loop, ROWS, COLUMNS, &ev);
    f->own = screen_new(ROWS, COLUMNS);
    f->seen = screen_new(ROWS, COLUMNS);
    f->reads = true;
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    viewer_clear(&f->viewer);
    emulator_free(f->m);
    conn_free(f->near);
    conn_free(f->far);
    screen_free(f->own);
    screen_free(f->seen);
    buf_free(&f->got);
    loop_free(f->loop);
    free(f);
    return 0;
}

static void attach(struct fixture *f)
{
    viewer_clear(&f->viewer);
    f->viewer =
        (struct viewer){.client = (struct client *)f, .conn = f->near, .window = FLOW_WINDOW};
    viewer_paint(&f->viewer, f->m, &f->filter.on, false);
}

static void write_text_out(struct fixture *f, const char *text, size_t len)
{
    auto_buf struct buf passed = BUF_INIT;

    terminal_filter(&f->filter, text, len, &passed);
    screen_feed(f->own, passed.data, passed.len, NULL);
    emulator_feed(f->m, passed.data, passed.len, false);
    viewer_show(&f->viewer, &passed, &f->filter.on);
}

/* Numbered, so that one which is missing, or comes twice, is seen. */
static void write_line(struct fixture *f)
{
    auto_free char *text = mem_printf("\r\n\033[3%um%u", f->lines % 8, f->lines);

    f->lines++;
    write_text_out(f, text, strlen(text));
}

static bool same_screens(const struct fixture *f)
{
    for (unsigned row = 0; row < ROWS; row++) {
        auto_free char *own = screen_row(f->own, row);
        auto_free char *seen = screen_row(f->seen, row);

        if (strcmp(own, seen) != 0)
            return false;
    }
    return true;
}

static size_t times(const struct buf *b, const char *text)
{
    size_t n = 0;

    for (const char *p = b->data; p && (p = strstr(p, text)); p++)
        n++;
    return n;
}

/* The painting is asked for in the midst of the output, and comes in the midst of more of it. */
static void gets_what_follows_once(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 20; i++)
        write_line(f);
    attach(f);
    for (int i = 0; i < 20; i++)
        write_line(f);
    assert_int_equal(f->got.len, 0);
    WAIT_FOR(f->loop, f->paintings == 1);
    for (int i = 0; i < 20; i++)
        write_line(f);
    WAIT_FOR(f->loop, times(&f->got, "m59") == 1);
    for (unsigned i = 14; i < 60; i++) { /* what was on the screen, and all that followed */
        auto_free char *line = mem_printf("m%u", i);

        assert_int_equal(times(&f->got, line), 1);
    }
    assert_true(same_screens(f));
    assert_int_equal(f->paintings, 1);
    assert_false(f->viewer.behind);
}

static void is_painted_again_when_it_has_read(void **state)
{
    static char block[65536];
    struct fixture *f = *state;

    memset(block, 'x', sizeof(block));
    f->reads = false;
    attach(f);
    for (int i = 0; i < 20; i++) { /* more than its window while it waits */
        write_text_out(f, block, sizeof(block));
        write_line(f);
    }
    WAIT_FOR(f->loop, f->paintings == 1 && f->unread > 0);
    assert_true(f->viewer.behind);
    f->reads = true;
    give_credit(f);
    WAIT_FOR(f->loop, f->paintings == 2 && same_screens(f));
    f->reads = false;
    for (int i = 0; i < 20; i++) /* and while it does not */
        write_text_out(f, block, sizeof(block));
    write_line(f);
    assert_true(f->viewer.behind);
    run_ready(f->loop);
    f->reads = true;
    give_credit(f);
    WAIT_FOR(f->loop, f->paintings == 3 && same_screens(f));
    write_line(f);
    WAIT_FOR(f->loop, same_screens(f));
    assert_int_equal(f->paintings, 3);
}

/* What the one who left asked for is not the next one's. */
static void leaves_and_comes_back(void **state)
{
    struct fixture *f = *state;

    write_line(f);
    attach(f);
    write_line(f);
    attach(f);
    write_line(f);
    WAIT_FOR(f->loop, same_screens(f));
    viewer_paint(&f->viewer, f->m, &f->filter.on, false);
    viewer_clear(&f->viewer);
    write_line(f);
    WAIT_FOR(f->loop, f->paintings == 2); /* for nobody */
    assert_int_equal(f->viewer.painting.len, 0);
    attach(f);
    WAIT_FOR(f->loop, same_screens(f));
    assert_int_equal(f->paintings, 3);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(gets_what_follows_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(is_painted_again_when_it_has_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(leaves_and_comes_back, set_up, tear_down),
    };

    if (argc == 2 && strcmp(argv[1], EMULATOR_COMMAND) == 0)
        emulator_main();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
