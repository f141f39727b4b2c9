/* guest/ssh_agent: the test plays the guest, frame by frame, and the agent. */
#include "helpers.h"

#include <signal.h>
#include <sys/socket.h>

#include "guest/ssh_agent.h"
#include "guest/ssh_filter.h"
#include "proc/sock.h"

struct world {
    struct loop *loop;
    struct conn *conn;
    struct ssh_agent *set;
    char *dir, *path;
    int far;      /* the guest's end */
    int listener; /* the agent's */
    bool broken;
    struct strv notes;
    /* What the guest got. */
    struct buf bytes;
    unsigned opened, resets, eofs;
    uint32_t stream; /* the last that was opened */
    struct buf data;
    size_t credit;
};

static void on_frame(void *arg, struct conn *c, const struct frame *f)
{
    struct world *w = arg;

    (void)c;
    w->broken = w->broken || !ssh_agent_frame(w->set, f);
}

static void on_closed(void *arg, struct conn *c, const char *why)
{
    (void)arg;
    (void)c;
    (void)why;
}

static void on_note(void *arg, const char *text)
{
    strv_push(&((struct world *)arg)->notes, text);
}

static int set_up(void **state)
{
    struct world *w = mem_zalloc(1, sizeof(*w));
    struct conn_events ev = {on_frame, on_closed, w};
    struct ssh_agent_order order = {.user = "somebody", .note = on_note, .arg = w};
    int pair[2];

    signal(SIGPIPE, SIG_IGN);
    w->dir = scratch_make();
    w->path = mem_printf("%s/agent", w->dir);
    w->listener = sock_listen(w->path, NULL);
    assert_true(w->listener >= 0);
    assert_int_equal(sock_pair(pair, NULL), 0);
    w->far = pair[1];
    w->loop = loop_new();
    w->conn = conn_new(w->loop, pair[0], true, &ev);
    order.path = w->path;
    w->set = ssh_agent_new(w->loop, w->conn, &order);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    ssh_agent_free(w->set);
    conn_free(w->conn);
    loop_free(w->loop);
    close(w->far);
    close_fd(&w->listener);
    strv_free(&w->notes);
    buf_free(&w->bytes);
    buf_free(&w->data);
    scratch_remove(w->dir);
    free(w->path);
    free(w);
    return 0;
}

/* ---- the guest ------------------------------------------------------------------------------ */

static void guest_reads(struct world *w)
{
    struct frame f;
    size_t at = 0;
    ssize_t n;

    run_ready(w->loop);
    buf_reserve(&w->bytes, 1 << 20);
    n = recv(w->far, w->bytes.data + w->bytes.len, 1 << 20, MSG_DONTWAIT);
    w->bytes.len += n > 0 ? (size_t)n : 0;
    for (; frame_parse(w->bytes.data + at, w->bytes.len - at, &f) == FRAME_OK;
         at += FRAME_HEADER + f.len) {
        if (f.type == FRAME_OPEN) {
            w->opened++;
            w->stream = f.stream;
        } else if (f.type == FRAME_DATA) {
            assert_int_equal(f.lane, LANE_IN);
            buf_append(&w->data, f.payload, f.len);
        } else if (f.type == FRAME_CREDIT) {
            w->credit += get_u32(f.payload);
        }
        w->resets += f.type == FRAME_RESET;
        w->eofs += f.type == FRAME_EOF;
    }
    buf_consume(&w->bytes, at);
}

static void guest_sends(struct world *w, uint8_t type, uint8_t lane, uint32_t stream,
                        const void *data, size_t len)
{
    uint8_t header[FRAME_HEADER];

    frame_encode_header(header, type, lane, stream, (uint32_t)len);
    assert_int_equal(file_write_all(w->far, header, sizeof(header), NULL), 0);
    assert_int_equal(file_write_all(w->far, data, len, NULL), 0);
    guest_reads(w);
}

static void guest_grants(struct world *w, uint32_t stream, uint32_t bytes)
{
    uint8_t payload[4];

    put_u32(payload, bytes);
    guest_sends(w, FRAME_CREDIT, LANE_IN, stream, payload, sizeof(payload));
}

static void guest_ends(struct world *w, uint32_t stream)
{
    guest_sends(w, FRAME_EXIT, 0, stream, "\0\0\0\0\0\0\0\0", 8);
}

/* Returns the stream of a program that connected. */
static uint32_t connect_program(struct world *w)
{
    uint32_t stream;

    guest_reads(w);
    stream = w->stream;
    guest_grants(w, stream, CONNECT_WINDOW);
    return stream;
}

#define SAYS(w, stream, text) guest_sends(w, FRAME_DATA, LANE_OUT, stream, text, sizeof(text) - 1)
#define HEARS(w, text)                                               \
    do {                                                             \
        guest_reads(w);                                              \
        assert_int_equal((w)->data.len, sizeof(text) - 1);           \
        assert_memory_equal((w)->data.data, text, sizeof(text) - 1); \
        (w)->data.len = 0;                                           \
    } while (0)

/* ---- the agent ------------------------------------------------------------------------------ */

static int agent_accepts(struct world *w)
{
    int fd = sock_accept(w->listener, NULL);

    assert_true(fd >= 0);
    return fd;
}

/* The agent gets exactly these bytes. */
static void agent_gets(struct world *w, int agent, const void *bytes, size_t len)
{
    auto_buf struct buf got = BUF_INIT;

    for (int i = 0; i < 100 && got.len < len; i++) {
        ssize_t n;

        run_ready(w->loop);
        buf_reserve(&got, len);
        n = recv(agent, got.data + got.len, len - got.len, MSG_DONTWAIT);
        got.len += n > 0 ? (size_t)n : 0;
    }
    assert_int_equal(got.len, len);
    assert_memory_equal(got.data, bytes, len);
    assert_int_equal(recv(agent, got.data, 1, MSG_DONTWAIT), -1);
}

#define ANSWERS(agent, text) \
    assert_int_equal(send(agent, text, sizeof(text) - 1, MSG_NOSIGNAL), sizeof(text) - 1)

#define LIST "\0\0\0\1\x0b"
#define KEYS "\0\0\0\5\x0c\0\0\0\0"
#define REMOVE_ALL "\0\0\0\1\x13"
#define FAILURE "\0\0\0\1\5"

/* ---- tests ---------------------------------------------------------------------------------- */

static void test_turns(void **state)
{
    struct world *w = *state;
    uint32_t stream = connect_program(w);
    int agent;

    assert_int_equal(w->opened, 2); /* the next may come */
    SAYS(w, stream, REMOVE_ALL);
    HEARS(w, FAILURE);
    SAYS(w, stream, "\0\0");
    assert_int_equal(sock_accept(w->listener, NULL), -1); /* it has not been asked anything */
    SAYS(w, stream, "\0\1\x0b" REMOVE_ALL LIST);
    agent = agent_accepts(w);
    agent_gets(w, agent, LIST, 5);
    assert_int_equal(w->data.len, 0); /* the refusal waits for its turn */
    ANSWERS(agent, "\0\0\0");
    run_ready(w->loop);
    ANSWERS(agent, "\5\x0c\0\0\0\0");
    HEARS(w, KEYS FAILURE);
    agent_gets(w, agent, LIST, 5);
    SAYS(w, stream, LIST);
    guest_sends(w, FRAME_EOF, LANE_OUT, stream, NULL, 0);
    ANSWERS(agent, KEYS);
    HEARS(w, KEYS);
    assert_int_equal(w->eofs, 0); /* a half-close: the answer is still wanted */
    agent_gets(w, agent, LIST, 5);
    ANSWERS(agent, KEYS);
    HEARS(w, KEYS);
    assert_int_equal(w->eofs, 1);
    assert_int_equal(recv(agent, (char[1]){0}, 1, 0), 0);
    guest_ends(w, stream);
    assert_int_equal(w->opened, 2); /* one that waits is enough */
    assert_false(w->broken);
    assert_int_equal(w->resets, 0);
    close(agent);
}

/* The longest message is longer than a window. */
static void test_long_message(void **state)
{
    struct world *w = *state;
    uint32_t stream = connect_program(w);
    int agent;
    auto_free char *message = mem_zalloc(SSH_MESSAGE_MAX, 1);
    size_t window = CONNECT_WINDOW, sent = 0;

    message[1] = 4; /* 256 KiB */
    message[4] = 13;
    while (sent < SSH_MESSAGE_MAX) {
        size_t n = SSH_MESSAGE_MAX - sent < 30000 ? SSH_MESSAGE_MAX - sent : 30000;

        assert_true(n <= window);
        guest_sends(w, FRAME_DATA, LANE_OUT, stream, message + sent, n);
        window += w->credit - n;
        w->credit = 0;
        sent += n;
    }
    agent = agent_accepts(w);
    agent_gets(w, agent, message, SSH_MESSAGE_MAX);
    for (sent = 0; sent < SSH_MESSAGE_MAX; run_ready(w->loop)) {
        ssize_t n = send(agent, message + sent, SSH_MESSAGE_MAX - sent, MSG_DONTWAIT);

        sent += n > 0 ? (size_t)n : 0;
        guest_reads(w);
    }
    guest_reads(w);
    assert_int_equal(w->data.len, CONNECT_WINDOW); /* all that the guest takes now */
    SAYS(w, stream, LIST);
    guest_grants(w, stream, UINT32_MAX);
    guest_grants(w, stream, CONNECT_WINDOW);
    assert_int_equal(w->data.len, SSH_MESSAGE_MAX);
    assert_memory_equal(w->data.data, message, SSH_MESSAGE_MAX);
    agent_gets(w, agent, LIST, 5);
    assert_false(w->broken);
    close(agent);
}

static void test_many(void **state)
{
    struct world *w = *state;
    uint32_t first = connect_program(w);

    for (unsigned i = 1; i < SSH_AGENT_MAX; i++) {
        assert_int_equal(w->opened, i + 1);
        connect_program(w);
    }
    assert_int_equal(w->opened, SSH_AGENT_MAX);
    guest_ends(w, first);
    assert_int_equal(w->opened, SSH_AGENT_MAX + 1);
    assert_false(w->broken);
    guest_sends(w, FRAME_DATA, LANE_OUT, first, LIST, 5);
    assert_true(w->broken);
}

/* What breaks one connection, and nothing else. */
static void test_breaks(void **state)
{
    struct world *w = *state;

    for (int i = 0; i < 7; i++) {
        uint32_t stream = connect_program(w);
        int agent = -1;

        if (i >= 2) {
            SAYS(w, stream, LIST);
            agent = agent_accepts(w);
        }
        if (i == 0)
            SAYS(w, stream, "\0\0\0\0");
        if (i == 1)
            SAYS(w, stream, "\0\4\0\1");
        if (i == 3)
            ANSWERS(agent, "\x7f\0\0\0");
        if (i == 4)
            ANSWERS(agent, KEYS KEYS);
        if (i == 5) {
            ANSWERS(agent, KEYS);
            HEARS(w, KEYS);
            ANSWERS(agent, KEYS); /* to no request */
        }
        if (i == 6)
            guest_sends(w, FRAME_STOP, LANE_IN, stream, NULL, 0);
        if (i == 2)
            close_fd(&agent);
        guest_reads(w);
        assert_int_equal(w->resets, i + 1);
        guest_sends(w, FRAME_DATA, LANE_OUT, stream, LIST, 5); /* they cross */
        guest_sends(w, FRAME_EOF, LANE_OUT, stream, NULL, 0);
        guest_sends(w, FRAME_STOP, LANE_IN, stream, NULL, 0);
        guest_grants(w, stream, 5);
        guest_ends(w, stream);
        close_fd(&agent);
        assert_int_equal(w->resets, i + 1);
        assert_false(w->broken);
    }
    assert_int_equal(w->data.len, 0);
    assert_int_equal(w->notes.n, 0);
}

/* The agent does not take requests, and the guest sends more of them than it may. */
static void test_flood(void **state)
{
    static const uint8_t zeros[FRAME_PAYLOAD_MAX];
    struct world *w = *state;
    uint32_t stream = connect_program(w);
    size_t sent = 0;

    SAYS(w, stream, LIST);
    for (; !w->broken && sent < 4 << 20; sent += sizeof(zeros))
        guest_sends(w, FRAME_DATA, LANE_OUT, stream, zeros, sizeof(zeros));
    assert_true(w->broken);
    assert_true(sent <= 2 * CONNECT_WINDOW);
}

/* Each of these ends the VM. */
static void test_hostile_frames(void **state)
{
    static const struct {
        uint8_t type, lane;
        uint32_t off; /* 0: a stream with a program; 1: the one that waits */
        size_t len;
    } cases[] = {
        {FRAME_DATA, LANE_IN, 0, 4},    {FRAME_DATA, LANE_ERR, 0, 4},
        {FRAME_DATA, LANE_OUT, 0, 0},   {FRAME_EOF, LANE_IN, 0, 0},
        {FRAME_CREDIT, LANE_IN, 0, 4},  {FRAME_CREDIT, LANE_IN, 0, 3},
        {FRAME_CREDIT, LANE_OUT, 0, 4}, {FRAME_STARTED, 0, 0, 0},
        {FRAME_DATA, LANE_OUT, 1, 4},   {FRAME_EOF, LANE_OUT, 1, 0},
        {FRAME_STOP, LANE_IN, 1, 0},    {FRAME_CREDIT, LANE_OUT, 1, 4},
        {FRAME_DATA, LANE_OUT, 2, 4},   {FRAME_EXIT, 0, 2, 8},
    };
    struct world *w = *state;
    uint32_t stream = connect_program(w);

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        guest_sends(w, cases[i].type, cases[i].lane, stream + cases[i].off, "\0\0\0\0\0\0\0\0",
                    cases[i].len);
        assert_true(w->broken);
        w->broken = false;
    }
    guest_sends(w, FRAME_EOF, LANE_OUT, stream, NULL, 0);
    assert_false(w->broken);
    guest_sends(w, FRAME_DATA, LANE_OUT, stream, LIST, 5);
    assert_true(w->broken);
}

static void test_no_agent(void **state)
{
    struct world *w = *state;

    close_fd(&w->listener);
    for (unsigned i = 1; i <= 3; i++) {
        uint32_t stream = connect_program(w);

        SAYS(w, stream, REMOVE_ALL LIST LIST);
        HEARS(w, FAILURE);
        assert_int_equal(w->resets, i);
        guest_ends(w, stream);
    }
    assert_int_equal(w->notes.n, 1);
    assert_true(str_starts(w->notes.v[0], "the ssh-agent of this host does not answer: "));
    assert_false(w->broken);
}

/* It is told once, and not tried again. */
static void test_guest_cannot_listen(void **state)
{
    struct world *w = *state;

    guest_reads(w);
    guest_sends(w, FRAME_ERROR, 0, w->stream, "\0\0\0\0no\nroom\033", 12);
    assert_false(w->broken);
    assert_int_equal(w->opened, 1);
    assert_int_equal(w->notes.n, 1);
    assert_string_equal(w->notes.v[0], "the ssh-agent is not forwarded to the VM: no room\\x1b");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_turns),    TEST(test_long_message),
        TEST(test_many),     TEST(test_breaks),
        TEST(test_flood),    TEST(test_hostile_frames),
        TEST(test_no_agent), TEST(test_guest_cannot_listen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
