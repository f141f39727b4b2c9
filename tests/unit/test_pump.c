/* channel/pump: descriptors to lanes and back, with flow control. */
#include "helpers.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include "channel/pump.h"
#include "proc/sock.h"

/* Pumps on one connection; the test is the peer on the other. */
struct fixture {
    struct loop *loop;
    struct conn *near, *far;
    char *dir;
    struct source *source[LANES];
    struct sink *sink[LANES];
    bool refused; /* sink_data returned false */
    int done;
    /* what the far end got */
    struct buf data[LANES];
    size_t credit[LANES];
    int eofs, stops;
};

static void on_near(void *arg, struct conn *c, const struct frame *f)
{
    struct fixture *x = arg;

    (void)c;
    if (f->type == FRAME_CREDIT)
        source_credit(x->source[f->lane], get_u32(f->payload));
    else if (f->type == FRAME_STOP)
        source_stop(x->source[f->lane]);
    else if (f->type == FRAME_DATA)
        x->refused = !sink_data(x->sink[f->lane], f->payload, f->len) || x->refused;
    else if (f->type == FRAME_EOF)
        sink_eof(x->sink[f->lane]);
}

static void on_far(void *arg, struct conn *c, const struct frame *f)
{
    struct fixture *x = arg;

    (void)c;
    assert_int_equal(f->stream, 9);
    if (f->type == FRAME_DATA)
        buf_append(&x->data[f->lane], f->payload, f->len);
    else if (f->type == FRAME_CREDIT)
        x->credit[f->lane] += get_u32(f->payload);
    else if (f->type == FRAME_EOF)
        x->eofs++;
    else if (f->type == FRAME_STOP)
        x->stops++;
}

static void on_closed(void *arg, struct conn *c, const char *why)
{
    (void)arg;
    (void)c;
    fail_msg("closed: %s", why ? why : "-");
}

static void on_done(void *arg)
{
    ((struct fixture *)arg)->done++;
}

static int set_up(void **state)
{
    struct fixture *f = mem_zalloc(1, sizeof(*f));
    struct conn_events near = {on_near, on_closed, f}, far = {on_far, on_closed, f};
    int pair[2];

    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(sock_pair(pair, NULL), 0);
    f->loop = loop_new();
    f->near = conn_new(f->loop, pair[0], true, &near);
    f->far = conn_new(f->loop, pair[1], true, &far);
    f->dir = scratch_make();
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < LANES; i++) {
        source_free(f->source[i]);
        sink_free(f->sink[i]);
        buf_free(&f->data[i]);
    }
    conn_free(f->near);
    conn_free(f->far);
    loop_free(f->loop);
    scratch_remove(f->dir);
    free(f);
    return 0;
}

static void add_source(struct fixture *f, uint8_t lane, int fd)
{
    f->source[lane] = source_new(f->loop, f->near, 9, lane, fd, on_done, f);
}

static void add_sink(struct fixture *f, uint8_t lane, int fd)
{
    f->sink[lane] = sink_new(f->loop, f->near, 9, lane, fd, on_done, f);
}

static void far_credits(struct fixture *f, uint8_t lane, uint32_t bytes)
{
    conn_send_u32(f->far, FRAME_CREDIT, lane, 9, bytes);
}

/* The far end sends len bytes on the lane, more than the window if asked. */
static void far_sends(struct fixture *f, uint8_t lane, size_t len)
{
    auto_free char *block = mem_zalloc(FRAME_PAYLOAD_MAX, 1);

    for (size_t sent = 0; sent < len; sent += FRAME_PAYLOAD_MAX) {
        size_t n = len - sent < FRAME_PAYLOAD_MAX ? len - sent : FRAME_PAYLOAD_MAX;

        for (size_t i = 0; i < n; i++)
            block[i] = (char)((sent + i) * 31 >> 3);
        conn_send(f->far, FRAME_DATA, lane, 9, block, n);
    }
    run_ready(f->loop);
}

static void check_pattern(const char *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (data[i] != (char)(i * 31 >> 3))
            fail_msg("wrong byte at %zu", i);
}

static char *path_in(const struct fixture *f, const char *name)
{
    return mem_printf("%s/%s", f->dir, name);
}

/* ---- source ---- */

static void test_source_pipe(void **state)
{
    struct fixture *f = *state;
    int p[2];

    assert_int_equal(pipe2(p, O_CLOEXEC), 0); /* blocking, and stays so */
    add_source(f, LANE_OUT, p[0]);
    assert_int_equal(write(p[1], "one", 3), 3);
    WAIT_FOR(f->loop, f->data[LANE_OUT].len == 3);
    assert_false(source_is_done(f->source[LANE_OUT]));
    close(p[1]);
    WAIT_FOR(f->loop, f->eofs == 1);
    assert_true(source_is_done(f->source[LANE_OUT]));
    assert_int_equal(f->done, 1);
    assert_int_equal(fcntl(p[0], F_GETFL) & O_NONBLOCK, 0);
    close(p[0]);
}

/* Never more than the window is in flight, and credit opens it again, by just as much. */
static void test_source_window(void **state)
{
    struct fixture *f = *state;
    auto_close int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    const struct buf *got = &f->data[LANE_OUT];

    add_source(f, LANE_OUT, zero);
    WAIT_FOR(f->loop, got->len >= FLOW_WINDOW);
    run_ready(f->loop);
    assert_int_equal(got->len, FLOW_WINDOW);
    far_credits(f, LANE_OUT, 1000);
    WAIT_FOR(f->loop, got->len >= FLOW_WINDOW + 1000);
    run_ready(f->loop);
    assert_int_equal(got->len, FLOW_WINDOW + 1000);
    far_credits(f, LANE_OUT, 0); /* is not taken for the end */
    run_ready(f->loop);
    assert_int_equal(f->eofs, 0);
    far_credits(f, LANE_OUT, UINT32_MAX); /* never more than one window at a time */
    WAIT_FOR(f->loop, got->len >= 2 * FLOW_WINDOW + 1000);
    run_ready(f->loop);
    assert_int_equal(got->len, 2 * FLOW_WINDOW + 1000);
    assert_false(f->done);
}

static void test_source_stop(void **state)
{
    struct fixture *f = *state;
    auto_close int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);

    add_source(f, LANE_OUT, zero);
    loop_step(f->loop, 1000);
    conn_send(f->far, FRAME_STOP, LANE_OUT, 9, NULL, 0);
    WAIT_FOR(f->loop, f->done == 1);
    run_ready(f->loop);
    assert_int_equal(f->eofs, 0);
    far_credits(f, LANE_OUT, 100);
    source_stop(f->source[LANE_OUT]);
    run_ready(f->loop);
    assert_int_equal(f->done, 1);
}

/* A regular file from where its offset is. */
static void test_source_file(void **state)
{
    struct fixture *f = *state;
    auto_free char *path = path_in(f, "in");
    auto_close int fd = -1;

    write_text(path, "0123456789");
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(lseek(fd, 4, SEEK_SET), 4);
    add_source(f, LANE_IN, fd);
    WAIT_FOR(f->loop, f->eofs == 1);
    assert_int_equal(f->data[LANE_IN].len, 6);
    assert_memory_equal(f->data[LANE_IN].data, "456789", 6);
}

/* What is in the pipe is read, but not waited for: somebody else still holds it. */
static void test_source_finish(void **state)
{
    struct fixture *f = *state;
    int p[2];

    assert_int_equal(pipe2(p, O_CLOEXEC), 0);
    add_source(f, LANE_OUT, p[0]);
    assert_int_equal(write(p[1], "last", 4), 4);
    source_finish(f->source[LANE_OUT]);
    assert_int_equal(f->done, 1);
    WAIT_FOR(f->loop, f->eofs == 1);
    assert_int_equal(f->data[LANE_OUT].len, 4);
    close(p[0]);
    close(p[1]);
}

/* As before without credit: what was in the pipe comes when there is some again, what somebody else
 * wrote since does not. */
static void test_source_finish_later(void **state)
{
    struct fixture *f = *state;
    auto_free char *block = mem_zalloc(FLOW_WINDOW, 1);
    int p[2];

    assert_int_equal(pipe2(p, O_CLOEXEC | O_NONBLOCK), 0);
    add_source(f, LANE_OUT, p[0]);
    for (size_t n = 0; n < FLOW_WINDOW; loop_step(f->loop, 0)) {
        ssize_t written = write(p[1], block, FLOW_WINDOW - n);

        n += written > 0 ? (size_t)written : 0;
    }
    WAIT_FOR(f->loop, f->data[LANE_OUT].len == FLOW_WINDOW);
    assert_int_equal(write(p[1], "last", 4), 4);
    source_finish(f->source[LANE_OUT]);
    assert_int_equal(f->done, 0);
    assert_int_equal(write(p[1], "later", 5), 5);
    far_credits(f, LANE_OUT, 2);
    WAIT_FOR(f->loop, f->data[LANE_OUT].len == FLOW_WINDOW + 2);
    assert_int_equal(f->done, 0);
    far_credits(f, LANE_OUT, 100);
    WAIT_FOR(f->loop, f->eofs == 1);
    assert_int_equal(f->data[LANE_OUT].len, FLOW_WINDOW + 4);
    close(p[0]);
    close(p[1]);
}

/* ---- sink ---- */

/* Through a pipe that the reader empties slowly; everything arrives, credit never exceeds it. */
static void test_sink_pipe(void **state)
{
    struct fixture *f = *state;
    auto_buf struct buf got = BUF_INIT;
    int p[2];

    assert_int_equal(pipe2(p, O_CLOEXEC), 0);
    assert_true(fcntl(p[1], F_SETPIPE_SZ, 16384) > 0); /* takes a part of a frame at once */
    add_sink(f, LANE_OUT, p[1]);
    far_sends(f, LANE_OUT, FLOW_WINDOW);
    assert_true(f->credit[LANE_OUT] <= 65536);
    conn_send(f->far, FRAME_EOF, LANE_OUT, 9, NULL, 0);
    while (got.len < FLOW_WINDOW) {
        char block[10000];
        ssize_t n = read(p[0], block, sizeof(block));

        assert_true(n > 0);
        buf_append(&got, block, (size_t)n);
        run_ready(f->loop);
        assert_true(f->credit[LANE_OUT] <= got.len + 65536);
    }
    check_pattern(got.data, got.len);
    WAIT_FOR(f->loop, f->done == 1);
    assert_true(f->credit[LANE_OUT] >= FLOW_WINDOW / 2);
    assert_false(f->refused);
    assert_int_equal(f->stops, 0);
    assert_int_equal(fcntl(p[1], F_GETFL) & O_NONBLOCK, 0); /* shared with others, untouched */
    close(p[0]);
    close(p[1]);
}

static void test_sink_window(void **state)
{
    struct fixture *f = *state;
    int p[2];

    assert_int_equal(pipe2(p, O_CLOEXEC), 0);
    add_sink(f, LANE_OUT, p[1]);
    far_sends(f, LANE_OUT, FLOW_WINDOW);
    assert_false(f->refused);
    far_sends(f, LANE_OUT, 1);
    assert_true(f->refused);
    close(p[0]);
    close(p[1]);
}

static void test_sink_data_after_eof(void **state)
{
    struct fixture *f = *state;
    int p[2];

    assert_int_equal(pipe2(p, O_CLOEXEC), 0);
    add_sink(f, LANE_OUT, p[1]);
    far_sends(f, LANE_OUT, FLOW_WINDOW / 2);
    sink_eof(f->sink[LANE_OUT]);
    assert_false(sink_is_done(f->sink[LANE_OUT]));
    far_sends(f, LANE_OUT, 1);
    assert_true(f->refused);
    close(p[0]);
    close(p[1]);
}

/* A full pipe on lane 1 stalls nobody on lane 2. */
static void test_sink_lanes(void **state)
{
    struct fixture *f = *state;
    auto_close int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    int p[2];

    assert_int_equal(pipe2(p, O_CLOEXEC), 0);
    add_sink(f, LANE_OUT, p[1]);
    add_sink(f, LANE_ERR, null);
    far_sends(f, LANE_OUT, FLOW_WINDOW);
    for (int i = 0; i < 16; i++) {
        far_sends(f, LANE_ERR, FLOW_WINDOW / 2);
        assert_int_equal(f->credit[LANE_ERR], (size_t)(i + 1) * FLOW_WINDOW / 2);
    }
    assert_true(f->credit[LANE_OUT] <= 65536);
    assert_false(f->refused);
    close(p[0]);
    close(p[1]);
}

static void test_sink_reader_gone(void **state)
{
    struct fixture *f = *state;
    int p[2];

    assert_int_equal(pipe2(p, O_CLOEXEC), 0);
    add_sink(f, LANE_OUT, p[1]);
    far_sends(f, LANE_OUT, 200000);
    close(p[0]);
    WAIT_FOR(f->loop, f->stops == 1);
    assert_int_equal(f->done, 1);
    far_sends(f, LANE_OUT, FLOW_WINDOW); /* was in flight: dropped */
    conn_send(f->far, FRAME_EOF, LANE_OUT, 9, NULL, 0);
    run_ready(f->loop);
    assert_int_equal(f->done, 1);
    assert_int_equal(f->stops, 1);
    assert_false(f->refused);
    close(p[1]);
}

/* No reader from the start: the pipe cannot even be reopened. */
static void test_sink_no_reader(void **state)
{
    struct fixture *f = *state;
    int p[2];

    assert_int_equal(pipe2(p, O_CLOEXEC), 0);
    close(p[0]);
    add_sink(f, LANE_OUT, p[1]);
    far_sends(f, LANE_OUT, 10);
    WAIT_FOR(f->loop, f->stops == 1);
    assert_int_equal(f->done, 1);
    close(p[1]);
}

static void test_sink_full_disk(void **state)
{
    struct fixture *f = *state;
    auto_close int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

    add_sink(f, LANE_OUT, full);
    far_sends(f, LANE_OUT, 10);
    WAIT_FOR(f->loop, f->stops == 1);
    assert_int_equal(f->done, 1);
}

static void test_sink_socket(void **state)
{
    struct fixture *f = *state;
    auto_buf struct buf got = BUF_INIT;
    int pair[2];

    assert_int_equal(sock_pair(pair, NULL), 0);
    add_sink(f, LANE_OUT, pair[0]);
    far_sends(f, LANE_OUT, FLOW_WINDOW);
    while (got.len < FLOW_WINDOW) {
        char block[50000];
        ssize_t n = read(pair[1], block, sizeof(block));

        assert_true(n > 0);
        buf_append(&got, block, (size_t)n);
        run_ready(f->loop);
    }
    check_pattern(got.data, got.len);
    assert_int_equal(fcntl(pair[0], F_GETFL) & O_NONBLOCK, 0);
    close(pair[1]);
    far_sends(f, LANE_OUT, 10);
    WAIT_FOR(f->loop, f->stops == 1);
    close(pair[0]);
}

/* A regular file is written where its offset is, and that moves on for who shares it. */
static void test_sink_file(void **state)
{
    struct fixture *f = *state;
    auto_free char *path = path_in(f, "out");
    auto_free char *text = NULL;
    auto_close int fd = -1;

    write_text(path, "0123456789");
    fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(lseek(fd, 2, SEEK_SET), 2);
    add_sink(f, LANE_OUT, fd);
    conn_send(f->far, FRAME_DATA, LANE_OUT, 9, "ab", 2);
    conn_send(f->far, FRAME_EOF, LANE_OUT, 9, NULL, 0);
    WAIT_FOR(f->loop, f->done == 1);
    assert_int_equal(write(fd, "X", 1), 1);
    text = read_text(path);
    assert_string_equal(text, "01abX56789");
}

static void test_sink_append(void **state)
{
    struct fixture *f = *state;
    auto_free char *path = path_in(f, "out");
    auto_free char *text = NULL;
    auto_close int fd = -1, other = -1;

    write_text(path, "a");
    fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    other = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    add_sink(f, LANE_OUT, fd);
    conn_send(f->far, FRAME_DATA, LANE_OUT, 9, "b", 1);
    run_ready(f->loop);
    assert_int_equal(write(other, "c", 1), 1);
    conn_send(f->far, FRAME_DATA, LANE_OUT, 9, "d", 1);
    run_ready(f->loop);
    text = read_text(path);
    assert_string_equal(text, "abcd");
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(test_source_pipe),         WITH_FIXTURE(test_source_window),
        WITH_FIXTURE(test_source_stop),         WITH_FIXTURE(test_source_file),
        WITH_FIXTURE(test_source_finish),       WITH_FIXTURE(test_source_finish_later),
        WITH_FIXTURE(test_sink_pipe),           WITH_FIXTURE(test_sink_window),
        WITH_FIXTURE(test_sink_data_after_eof), WITH_FIXTURE(test_sink_lanes),
        WITH_FIXTURE(test_sink_reader_gone),    WITH_FIXTURE(test_sink_no_reader),
        WITH_FIXTURE(test_sink_full_disk),      WITH_FIXTURE(test_sink_socket),
        WITH_FIXTURE(test_sink_file),           WITH_FIXTURE(test_sink_append),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
