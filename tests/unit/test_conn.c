/* channel/conn: frames over a descriptor, whatever pieces they come in. */
#include "helpers.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include "channel/conn.h"
#include "channel/fields.h"
#include "proc/sock.h"

/* A connection on the loop; the test plays the peer on the other socket. */
struct fixture {
    struct loop *loop;
    struct conn *conn;
    int peer;
    struct buf log; /* what the callbacks saw */
    bool free_on_frame, free_on_close, pause_on_frame, resume_too;
};

static void on_frame(void *arg, struct conn *c, const struct frame *f)
{
    struct fixture *x = arg;

    buf_printf(&x->log, "%u/%u/%u:%.*s;", f->type, f->lane, f->stream, f->len < 8 ? (int)f->len : 8,
               (const char *)f->payload);
    if (x->free_on_frame)
        conn_free(steal_ptr(&x->conn));
    if (x->pause_on_frame)
        conn_pause(c, true);
    if (x->resume_too)
        conn_pause(c, false);
}

static void on_closed(void *arg, struct conn *c, const char *why)
{
    struct fixture *x = arg;

    assert_ptr_equal(c, x->conn);
    buf_printf(&x->log, "closed %s;", why ? why : "-");
    if (x->free_on_close)
        conn_free(steal_ptr(&x->conn));
}

static int set_up_on(void **state, bool socket)
{
    struct fixture *f = mem_zalloc(1, sizeof(*f));
    struct conn_events ev = {.frame = on_frame, .closed = on_closed, .arg = f};
    int pair[2];

    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(sock_pair(pair, NULL), 0);
    f->loop = loop_new();
    f->conn = conn_new(f->loop, pair[0], socket, &ev);
    f->peer = pair[1];
    buf_puts(&f->log, "");
    *state = f;
    return 0;
}

static int set_up(void **state)
{
    return set_up_on(state, true);
}

static int set_up_port(void **state)
{
    return set_up_on(state, false);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    conn_free(f->conn);
    loop_free(f->loop);
    close_fd(&f->peer);
    buf_free(&f->log);
    free(f);
    return 0;
}

static void add_frame(struct buf *b, uint8_t type, uint32_t stream, const void *data, size_t len)
{
    uint8_t header[FRAME_HEADER];

    frame_encode_header(header, type, 0, stream, (uint32_t)len);
    buf_append(b, header, sizeof(header));
    buf_append(b, data, len);
}

static void peer_writes(struct fixture *f, const void *data, size_t len)
{
    assert_int_equal(file_write_all(f->peer, data, len, NULL), 0);
}

static void test_pieces(void **state)
{
    struct fixture *f = *state;
    auto_buf struct buf bytes = BUF_INIT;

    add_frame(&bytes, FRAME_DATA, 7, "abc", 3);
    add_frame(&bytes, FRAME_EOF, 7, NULL, 0);
    for (size_t i = 0; i < bytes.len; i++) {
        peer_writes(f, bytes.data + i, 1);
        loop_step(f->loop, 1000);
    }
    assert_string_equal(f->log.data, "4/0/7:abc;5/0/7:;");
}

static void test_coalesced(void **state)
{
    struct fixture *f = *state;
    auto_buf struct buf bytes = BUF_INIT;

    add_frame(&bytes, FRAME_DATA, 1, "a", 1);
    add_frame(&bytes, FRAME_DATA, 2, "b", 1);
    add_frame(&bytes, FRAME_DATA, 3, "c", 1);
    peer_writes(f, bytes.data, bytes.len - 1);
    loop_step(f->loop, 1000);
    assert_string_equal(f->log.data, "4/0/1:a;4/0/2:b;");
    peer_writes(f, "c", 1);
    loop_step(f->loop, 1000);
    assert_string_equal(f->log.data, "4/0/1:a;4/0/2:b;4/0/3:c;");
}

static void test_largest(void **state)
{
    struct fixture *f = *state;
    auto_buf struct buf bytes = BUF_INIT;
    auto_free char *big = mem_zalloc(FRAME_PAYLOAD_MAX, 1);

    memset(big, 'x', FRAME_PAYLOAD_MAX);
    add_frame(&bytes, FRAME_DATA, 1, big, FRAME_PAYLOAD_MAX);
    peer_writes(f, bytes.data, bytes.len);
    WAIT_FOR(f->loop, f->log.len > 0);
    assert_string_equal(f->log.data, "4/0/1:xxxxxxxx;");
}

static void test_malformed(void **state)
{
    struct fixture *f = *state;
    auto_buf struct buf bytes = BUF_INIT;

    add_frame(&bytes, FRAME_DATA, 1, "a", 1);
    buf_append(&bytes, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12);
    add_frame(&bytes, FRAME_DATA, 2, "b", 1);
    peer_writes(f, bytes.data, bytes.len);
    run_ready(f->loop);
    assert_string_equal(f->log.data, "4/0/1:a;closed malformed frame;");
    conn_send(f->conn, FRAME_EOF, 0, 1, NULL, 0); /* dead, but harmless */
    run_ready(f->loop);
}

static void test_oversized(void **state)
{
    struct fixture *f = *state;
    uint8_t header[FRAME_HEADER];

    frame_encode_header(header, FRAME_DATA, 0, 1, FRAME_PAYLOAD_MAX + 1);
    peer_writes(f, header, sizeof(header));
    run_ready(f->loop);
    assert_string_equal(f->log.data, "closed malformed frame;");
}

static void test_peer_closes(void **state)
{
    struct fixture *f = *state;
    auto_buf struct buf bytes = BUF_INIT;

    add_frame(&bytes, FRAME_DATA, 1, "last", 4);
    peer_writes(f, bytes.data, bytes.len);
    close_fd(&f->peer);
    f->free_on_close = true;
    run_ready(f->loop);
    assert_string_equal(f->log.data, "4/0/1:last;closed -;");
    assert_null(f->conn);
}

static void test_peer_closes_within_frame(void **state)
{
    struct fixture *f = *state;
    auto_buf struct buf bytes = BUF_INIT;

    add_frame(&bytes, FRAME_DATA, 1, "last", 4);
    peer_writes(f, bytes.data, bytes.len - 1);
    close_fd(&f->peer);
    run_ready(f->loop);
    assert_string_equal(f->log.data, "closed truncated frame;");
}

/* The peer is gone while we still have much to say: what it said last is heard first. */
static void test_peer_closes_while_we_write(void **state)
{
    struct fixture *f = *state;
    auto_buf struct buf bytes = BUF_INIT;
    auto_free char *big = mem_zalloc(FRAME_PAYLOAD_MAX, 1);

    for (int i = 0; i < 32; i++)
        conn_send(f->conn, FRAME_DATA, 0, 1, big, FRAME_PAYLOAD_MAX);
    assert_true(conn_queued(f->conn) > 0);
    add_frame(&bytes, FRAME_ERROR, 1, "why", 3);
    peer_writes(f, bytes.data, bytes.len);
    close_fd(&f->peer);
    run_ready(f->loop);
    assert_string_equal(f->log.data, "11/0/1:why;closed -;");
}

static void test_free_in_frame(void **state)
{
    struct fixture *f = *state;
    auto_buf struct buf bytes = BUF_INIT;

    f->free_on_frame = true;
    add_frame(&bytes, FRAME_DATA, 1, "a", 1);
    add_frame(&bytes, FRAME_DATA, 2, "b", 1);
    peer_writes(f, bytes.data, bytes.len);
    run_ready(f->loop);
    assert_string_equal(f->log.data, "4/0/1:a;");
}

static void test_pause(void **state)
{
    struct fixture *f = *state;
    auto_buf struct buf bytes = BUF_INIT;

    f->pause_on_frame = true;
    for (uint32_t i = 1; i <= 3; i++)
        add_frame(&bytes, FRAME_EOF, i, NULL, 0);
    peer_writes(f, bytes.data, bytes.len);
    run_ready(f->loop);
    assert_string_equal(f->log.data, "5/0/1:;");
    conn_pause(f->conn, false);
    assert_string_equal(f->log.data, "5/0/1:;5/0/2:;");
    f->resume_too = true; /* from within the handler: each frame still comes once */
    conn_pause(f->conn, false);
    assert_string_equal(f->log.data, "5/0/1:;5/0/2:;5/0/3:;");
}

static void test_free_when_resumed(void **state)
{
    struct fixture *f = *state;
    auto_buf struct buf bytes = BUF_INIT;

    add_frame(&bytes, FRAME_EOF, 1, NULL, 0);
    add_frame(&bytes, FRAME_EOF, 2, NULL, 0);
    f->pause_on_frame = true;
    peer_writes(f, bytes.data, bytes.len);
    run_ready(f->loop);
    f->pause_on_frame = false;
    f->free_on_frame = true;
    conn_pause(f->conn, false);
    assert_null(f->conn);
    assert_string_equal(f->log.data, "5/0/1:;5/0/2:;");
}

static uint32_t size_of(uint32_t frame)
{
    return (frame * 7919) % (FRAME_PAYLOAD_MAX + 1);
}

/* More and more is sent while the peer reads bit by bit: frames come whole and in order. */
static void test_send_much(void **state)
{
    enum { FRAMES = 300 };
    struct fixture *f = *state;
    auto_free char *big = mem_zalloc(FRAME_PAYLOAD_MAX, 1);
    auto_buf struct buf got = BUF_INIT;
    uint32_t sent = 0, received = 0;
    char block[20000];
    struct frame frame;

    while (received < FRAMES) {
        ssize_t n = recv(f->peer, block, sizeof(block), MSG_DONTWAIT);

        buf_append(&got, block, n > 0 ? (size_t)n : 0);
        for (; sent < FRAMES && sent < 2 * received + 10; sent++)
            conn_send(f->conn, FRAME_DATA, 1, sent, big, size_of(sent));
        loop_step(f->loop, 0);
        while (got.len && frame_parse(got.data, got.len, &frame) == FRAME_OK) {
            assert_int_equal(frame.stream, received);
            assert_int_equal(frame.len, size_of(received));
            received++;
            buf_consume(&got, FRAME_HEADER + frame.len);
        }
    }
    assert_int_equal(got.len, 0);
    assert_int_equal(conn_queued(f->conn), 0);
}

static void test_open_parts(void **state)
{
    struct fixture *f = *state;
    auto_buf struct buf body = BUF_INIT, got = BUF_INIT;
    static const size_t sizes[] = {0, 1, FRAME_PAYLOAD_MAX, FRAME_PAYLOAD_MAX + 1,
                                   2 * FRAME_PAYLOAD_MAX};
    struct frame frame;

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        size_t parts = 0, len = 0;

        buf_reserve(&body, sizes[i]);
        body.len = sizes[i];
        memset(body.data, 'x', body.len);
        conn_send_open(f->conn, 5, &body);
        do {
            char block[1000];
            ssize_t n = recv(f->peer, block, sizeof(block), MSG_DONTWAIT);

            buf_append(&got, block, n > 0 ? (size_t)n : 0);
            run_ready(f->loop);
            if (!got.len || frame_parse(got.data, got.len, &frame) != FRAME_OK)
                continue;
            parts++;
            len += frame.len;
            buf_consume(&got, FRAME_HEADER + frame.len);
        } while (parts == 0 || frame.type != FRAME_OPEN || got.len);
        assert_int_equal(len, sizes[i]);
        assert_int_equal(parts, sizes[i] ? (sizes[i] - 1) / FRAME_PAYLOAD_MAX + 1 : 1);
    }
}

/* A peer that does not read is cut off by the loop, never within conn_send. */
static void test_limit(void **state)
{
    struct fixture *f = *state;
    auto_free char *big = mem_zalloc(FRAME_PAYLOAD_MAX, 1);

    conn_limit(f->conn, 1 << 20);
    f->free_on_close = true;
    for (int i = 0; i < 100; i++)
        conn_send(f->conn, FRAME_DATA, 0, 1, big, FRAME_PAYLOAD_MAX);
    assert_true(conn_queued(f->conn) <= 1 << 20);
    assert_int_equal(f->log.len, 0);
    run_ready(f->loop);
    assert_string_equal(f->log.data, "closed it does not read what it is sent;");
    assert_null(f->conn);
}

static void test_freed_over_limit(void **state)
{
    struct fixture *f = *state;
    auto_free char *big = mem_zalloc(FRAME_PAYLOAD_MAX, 1);

    conn_limit(f->conn, 1 << 20);
    for (int i = 0; i < 100; i++)
        conn_send(f->conn, FRAME_DATA, 0, 1, big, FRAME_PAYLOAD_MAX);
    conn_free(steal_ptr(&f->conn));
    run_ready(f->loop);
    assert_int_equal(f->log.len, 0);
}

static void test_passed_fd(void **state)
{
    struct fixture *f = *state;
    auto_buf struct buf bytes = BUF_INIT;
    size_t fds = count_fds();
    int p[2], got;
    char byte;

    assert_int_equal(pipe2(p, O_CLOEXEC), 0);
    add_frame(&bytes, FRAME_TTY, 0, "x", 1);
    for (int i = 0; i < 2; i++) { /* the first one is not taken and must not leak */
        assert_int_equal(sock_send_fd(f->peer, (unsigned char)bytes.data[0], p[0], NULL), 0);
        peer_writes(f, bytes.data + 1, bytes.len - 1);
        run_ready(f->loop);
    }
    assert_string_equal(f->log.data, "17/0/0:x;17/0/0:x;");
    close(p[0]);
    got = conn_take_fd(f->conn);
    assert_int_equal(conn_take_fd(f->conn), -1);
    assert_true(fcntl(got, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(write(p[1], "y", 1), 1);
    assert_int_equal(read(got, &byte, 1), 1);
    close(got);
    close(p[1]);
    assert_int_equal(count_fds(), fds);
}

/* Several descriptors in one message: one is taken, none stays behind. */
static void test_too_many_fds(void **state)
{
    struct fixture *f = *state;
    size_t fds = count_fds();
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(3 * sizeof(int))];
    } control = {0};
    char byte = FRAME_EOF;
    struct iovec iov = {&byte, 1};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = &control,
                         .msg_controllen = sizeof(control)};
    int passed[3] = {0, 0, 0};

    control.header = (struct cmsghdr){CMSG_LEN(sizeof(passed)), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(&control.header), passed, sizeof(passed));
    assert_int_equal(sendmsg(f->peer, &msg, 0), 1);
    run_ready(f->loop);
    assert_int_equal(count_fds(), fds + 1);
    close(conn_take_fd(f->conn));
    assert_int_equal(count_fds(), fds);
}

static struct frame hello_with(struct buf *body, uint32_t major)
{
    field_put_u32(body, TAG_MAJOR, major);
    return (struct frame){
        .type = FRAME_HELLO, .len = (uint32_t)body->len, .payload = (const uint8_t *)body->data};
}

static void test_hello(void **state)
{
    struct frame none = {.type = FRAME_DATA}, empty = {.type = FRAME_HELLO}, f;
    auto_buf struct buf good = BUF_INIT, other = BUF_INIT;
    auto_free char *why = NULL;

    (void)state;
    f = hello_with(&good, PROTO_MAJOR);
    assert_int_equal(conn_check_hello(&f, "x", &why), 0);
    f = hello_with(&other, PROTO_MAJOR + 1);
    assert_int_equal(conn_check_hello(&f, "x", &why), -1);
    assert_string_equal(why, "x speaks protocol version 2, this agentvm speaks 1");
    free(why);
    assert_int_equal(conn_check_hello(&none, "x", &why), -1);
    assert_string_equal(why, "x did not say hello (frame type 4)");
    free(why);
    assert_int_equal(conn_check_hello(&empty, "x", &why), -1);
}

#define ON_SOCKET(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define ON_PORT(test) cmocka_unit_test_setup_teardown(test, set_up_port, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_SOCKET(test_pieces),
        ON_PORT(test_pieces),
        ON_SOCKET(test_coalesced),
        ON_SOCKET(test_largest),
        ON_SOCKET(test_malformed),
        ON_SOCKET(test_oversized),
        ON_SOCKET(test_peer_closes),
        ON_SOCKET(test_peer_closes_within_frame),
        ON_SOCKET(test_peer_closes_while_we_write),
        ON_SOCKET(test_free_in_frame),
        ON_PORT(test_free_in_frame),
        ON_SOCKET(test_pause),
        ON_SOCKET(test_free_when_resumed),
        ON_SOCKET(test_send_much),
        ON_PORT(test_send_much),
        ON_SOCKET(test_open_parts),
        ON_SOCKET(test_limit),
        ON_PORT(test_limit),
        ON_SOCKET(test_freed_over_limit),
        ON_SOCKET(test_passed_fd),
        ON_SOCKET(test_too_many_fds),
        cmocka_unit_test(test_hello),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
