/* guestd against a host that breaks the rules, and cases that no client makes. */
#include "guestd_fixture.h"

#include <sys/resource.h>

static void send_raw(struct fixture *f, uint8_t type, uint8_t lane, uint32_t stream,
                     const void *data, size_t len)
{
    conn_send(f->conn, type, lane, RAW_STREAM + stream, data, len);
}

static void open_kind(struct fixture *f, uint32_t stream, uint32_t kind)
{
    auto_buf struct buf body = BUF_INIT;

    field_put_u32(&body, TAG_KIND, kind);
    send_raw(f, FRAME_OPEN, 0, stream, body.data, body.len);
}

static void open_script(struct fixture *f, uint32_t stream, const char *script)
{
    auto_buf struct buf body = BUF_INIT;

    field_put_u32(&body, TAG_KIND, OPEN_EXEC);
    field_put_str(&body, TAG_ARG, "sh");
    field_put_str(&body, TAG_ARG, "-c");
    field_put_str(&body, TAG_ARG, script);
    field_put_str(&body, TAG_CWD, "/");
    send_raw(f, FRAME_OPEN, 0, stream, body.data, body.len);
}

/* Sends what is queued, waits for want, and that there is no more of it. */
static void expect(struct fixture *f, const char *want)
{
    WAIT_FOR(f->loop, f->raw.len >= strlen(want));
    assert_string_equal(f->raw.data, want);
    sync_guestd(f);
    assert_false(f->lost);
}

static void test_unknown_kind(void **state)
{
    struct fixture *f = *state;

    open_kind(f, 1, 0);
    open_kind(f, 2, 99);
    expect(f, "11/1 125 unknown kind of request: 0;11/2 125 unknown kind of request: 99;");
}

static void test_malformed_request(void **state)
{
    struct fixture *f = *state;
    auto_buf struct buf body = BUF_INIT;

    send_raw(f, FRAME_OPEN, 0, 1, NULL, 0);
    send_raw(f, FRAME_OPEN, 0, 2, "junk", 4);
    field_put_str(&body, TAG_ARG, "true");
    send_raw(f, FRAME_OPEN, 0, 3, body.data, body.len); /* no kind */
    open_kind(f, 4, OPEN_EXEC);                         /* no argv */
    open_kind(f, 5, OPEN_PUT);                          /* no path */
    open_kind(f, 6, OPEN_CLOCK);                        /* no time */
    expect(f, "11/1 125 malformed request;11/2 125 malformed request;11/3 125 malformed request;"
              "11/4 125 malformed exec request;11/5 125 malformed file request;"
              "11/6 125 malformed clock request;");
}

/* A body in parts that is cut in the middle of a field, and one with a NUL in an argument. */
static void test_malformed_exec(void **state)
{
    struct fixture *f = *state;
    auto_buf struct buf body = BUF_INIT;

    field_put_u32(&body, TAG_KIND, OPEN_EXEC);
    field_put(&body, TAG_ARG, "tr\0ue", 5);
    send_raw(f, FRAME_OPEN, 0, 1, body.data, body.len);
    send_raw(f, FRAME_OPEN_PART, 0, 2, body.data, 10);
    send_raw(f, FRAME_OPEN, 0, 2, body.data + 10, body.len - 11);
    expect(f, "11/1 125 malformed exec request;11/2 125 malformed exec request;");
}

/* Answered once, after the last piece: otherwise the pieces that follow would open a stream of the
 * same number and end that a second time, which the supervisor takes for a broken guest. */
static void test_oversize_body(void **state)
{
    struct fixture *f = *state;
    auto_free char *part = mem_zalloc(FRAME_PAYLOAD_MAX, 1);

    for (int i = 0; i < 3 * OPEN_BODY_MAX / FRAME_PAYLOAD_MAX; i++)
        send_raw(f, FRAME_OPEN_PART, 0, 1, part, FRAME_PAYLOAD_MAX);
    WAIT_FOR(f->loop, conn_queued(f->conn) == 0);
    sync_guestd(f);
    send_raw(f, FRAME_OPEN, 0, 1, "x", 1);
    expect(f, "11/1 125 request larger than 4194304 bytes;");
    open_kind(f, 1, 77); /* the number is free again */
    expect(f, "11/1 125 unknown kind of request: 77;");
}

static void test_client_refuses_oversize(void **state)
{
    struct fixture *f = *state;
    auto_free char *big = mem_zalloc(OPEN_BODY_MAX, 1);
    char *const argv[] = {"true", big, NULL};
    struct guest_program p = {.argv = argv, .cwd = "/"};
    struct guest_stdio io = {-1, 2, 2, false};
    auto_err struct err e = ERR_INIT;
    struct exit_status status;

    memset(big, 'x', OPEN_BODY_MAX - 1);
    assert_int_equal(guest_exec(f->guest, &p, &io, &status, &e), -1);
    assert_non_null(strstr(e.msg, "larger than 4194304 bytes"));
    big[300000] = '\0'; /* more than Linux takes for one argument, but a valid request */
    assert_int_equal(guest_exec(f->guest, &p, &io, &status, &e), -1);
    assert_int_equal(err_exit_code(&e), 126);
    assert_non_null(strstr(e.msg, "too long"));
    assert_int_equal(exec_script(f, "exit 6", -1, false), 6);
}

static void test_unknown_streams(void **state)
{
    static const uint8_t types[] = {FRAME_DATA,   FRAME_EOF,    FRAME_STOP, FRAME_CREDIT,
                                    FRAME_SIGNAL, FRAME_RESIZE, FRAME_RESET};
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        send_raw(f, types[i], i % 3, 1, "\1\0\0\0", 4);
    conn_send(f->conn, FRAME_OPEN, 0, 0, NULL, 0); /* stream 0 is the connection's own */
    conn_send(f->conn, FRAME_READY, 0, 0, NULL, 0);
    sync_guestd(f);
    assert_int_equal(exec_script(f, "exit 2", -1, false), 2);
}

/* Frames of wrong sizes, on wrong lanes, twice; the stream lives. */
static void test_odd_frames(void **state)
{
    struct fixture *f = *state;

    open_script(f, 1, "exec cat");
    for (uint8_t lane = 0; lane < LANES; lane++) {
        send_raw(f, FRAME_CREDIT, lane, 1, "x", 1);
        send_raw(f, FRAME_CREDIT, lane, 1, "\xff\xff\xff\xff", 4);
        send_raw(f, FRAME_SIGNAL, lane, 1, "\xff\xff\xff\xff", 4);
        send_raw(f, FRAME_SIGNAL, lane, 1, "\0\0\0\0", 4);
        send_raw(f, FRAME_SIGNAL, lane, 1, NULL, 0);
        send_raw(f, FRAME_RESIZE, lane, 1, "\1\0\1\0", 4);
        send_raw(f, FRAME_STOP, lane, 1, NULL, 0);
        send_raw(f, FRAME_STOP, lane, 1, NULL, 0);
        send_raw(f, FRAME_DATA, lane, 1, NULL, 0);
    }
    open_script(f, 1, "exit 9"); /* the number is in use */
    sync_guestd(f);
    send_raw(f, FRAME_EOF, 0, 1, NULL, 0);
    send_raw(f, FRAME_EOF, 0, 1, NULL, 0);
    send_raw(f, FRAME_DATA, 0, 1, "late", 4);
    expect(f, "10/1 0 0;");
}

/* RESET kills what runs, in time also what ignores a hang-up. */
static void test_reset(void **state)
{
    struct fixture *f = *state;

    open_script(f, 1, "exec sleep 100");
    open_script(f, 2, "trap '' HUP; echo ready; while :; do sleep 100; done");
    WAIT_FOR(f->loop, strstr(f->raw.data, "4/2 ;"));
    f->raw.len = 0;
    send_raw(f, FRAME_RESET, 0, 1, NULL, 0);
    send_raw(f, FRAME_RESET, 0, 1, NULL, 0);
    WAIT_FOR(f->loop, f->raw.len > 0);
    assert_string_equal(f->raw.data, "10/1 1 1;");
    f->raw.len = 0;
    send_raw(f, FRAME_RESET, 0, 2, NULL, 0);
    WAIT_FOR(f->loop, f->raw.len > 0);
    assert_string_equal(f->raw.data, "10/2 1 9;");
    f->raw.len = 0;
    send_raw(f, FRAME_OPEN_PART, 0, 3, "x", 1); /* not even complete */
    send_raw(f, FRAME_RESET, 0, 3, NULL, 0);
    expect(f, "10/3 1 9;");
}

/* The half-written file is gone. */
static void await_program(struct fixture *f, uint32_t stream, const char *path, const char *user)
{
    auto_buf struct buf body = BUF_INIT;

    field_put_u32(&body, TAG_KIND, OPEN_SSH_AGENT);
    if (path)
        field_put_str(&body, TAG_PATH, path);
    field_put_str(&body, TAG_USER, user);
    send_raw(f, FRAME_OPEN, 0, stream, body.data, body.len);
}

/* The ssh-agent's socket: programs know of it once it is there. */
static void test_ssh_agent(void **state)
{
    struct fixture *f = *state;
    auto_free char *path = mem_printf("%s/new/agent", f->dir);
    auto_free char *busy = mem_printf("%s/busy", f->dir);
    int first, second;

    assert_int_equal(mkdir(busy, 0700), 0);
    await_program(f, 1, NULL, "root");
    await_program(f, 2, path, "nobody-of-that-name");
    await_program(f, 3, "relative", "root");
    WAIT_FOR(f->loop, strstr(f->raw.data, "11/3"));
    assert_string_equal(f->raw.data, "11/1 125 malformed request for an ssh-agent;"
                                     "11/2 125 no user nobody-of-that-name in the guest;"
                                     "11/3 125 relative is not an absolute path;");
    await_program(f, 4, busy, "root");
    WAIT_FOR(f->loop, strstr(f->raw.data, "11/4"));
    sync_guestd(f);
    assert_int_equal(exec_script(f, "[ -z \"$SSH_AUTH_SOCK\" ]", -1, false), 0);
    await_program(f, 5, path, "root");
    await_program(f, 6, path, "root");
    sync_guestd(f);
    assert_int_equal(exec_script(f, "[ -S \"$SSH_AUTH_SOCK\" ]", -1, false), 0);
    send_raw(f, FRAME_DATA, LANE_IN, 5, "early", 5);
    send_raw(f, FRAME_RESET, 0, 6, NULL, 0);
    expect(f, "11/5 125 the connection does not stand yet;10/6 0 0;");
    await_program(f, 7, path, "root");
    await_program(f, 8, path, "root");
    first = sock_connect(path, NULL);
    WAIT_FOR(f->loop, f->raw.len > 0); /* one of them, and not the other */
    sync_guestd(f);
    second = sock_connect(path, NULL);
    assert_true(first >= 0 && second >= 0);
    WAIT_FOR(f->loop, f->raw.len > 0);
    sync_guestd(f);
    close(first); /* its stream ends when the host says so, too */
    close(second);
    send_raw(f, FRAME_EOF, LANE_IN, 7, NULL, 0);
    send_raw(f, FRAME_EOF, LANE_IN, 8, NULL, 0);
    WAIT_FOR(f->loop, strstr(f->raw.data, "10/7 0 0;") && strstr(f->raw.data, "10/8 0 0;"));
    sync_guestd(f);
}

/* The lowest number that a process's next descriptor may have. */
static unsigned next_descriptor(pid_t pid)
{
    struct stat st;

    for (unsigned fd = 0;; fd++) {
        auto_free char *path = mem_printf("/proc/%d/fd/%u", (int)pid, fd);

        if (lstat(path, &st) < 0)
            return fd;
    }
}

/* A guest that has no descriptor left for a program's connection takes it when it has one again. */
static void test_ssh_agent_without_descriptors(void **state)
{
    struct fixture *f = *state;
    auto_free char *path = mem_printf("%s/agent", f->dir);
    struct rlimit before, few;
    auto_close int program = -1;

    await_program(f, 1, path, "root");
    sync_guestd(f);
    assert_int_equal(prlimit(f->guestd.pid, RLIMIT_NOFILE, NULL, &before), 0);
    few = (struct rlimit){next_descriptor(f->guestd.pid), before.rlim_max};
    assert_int_equal(prlimit(f->guestd.pid, RLIMIT_NOFILE, &few, NULL), 0);
    program = sock_connect(path, NULL);
    assert_true(program >= 0);
    for (int i = 0; i < 3; i++)
        sync_guestd(f); /* no error came before the answers to these */
    assert_int_equal(prlimit(f->guestd.pid, RLIMIT_NOFILE, &before, NULL), 0);
    expect(f, "7/1 ;");
}

static void test_put_given_up(void **state)
{
    struct fixture *f = *state;
    auto_free char *path = mem_printf("%s/file", f->dir);
    auto_buf struct buf body = BUF_INIT;

    guest_put_body(&body, path, 0600, NULL);
    send_raw(f, FRAME_OPEN, 0, 1, body.data, body.len);
    send_raw(f, FRAME_DATA, 0, 1, "half", 4);
    send_raw(f, FRAME_RESET, 0, 1, NULL, 0);
    expect(f, "11/1 125 given up;");
    assert_int_equal(count_entries(f->dir), 0);
}

/* The host is gone in the middle of everything. */
static void test_host_gone(void **state)
{
    struct fixture *f = *state;
    auto_free char *path = mem_printf("%s/file", f->dir);
    auto_buf struct buf body = BUF_INIT;

    open_script(f, 1, "yes");
    open_script(f, 2, "exec sleep 100");
    guest_put_body(&body, path, 0600, NULL);
    send_raw(f, FRAME_OPEN, 0, 3, body.data, body.len);
    send_raw(f, FRAME_OPEN_PART, 0, 4, "x", 1);
    WAIT_FOR(f->loop, f->raw.len > 0);
    guest_free(steal_ptr(&f->guest));
    conn_free(steal_ptr(&f->conn));
}

static void test_malformed_frame(void **state)
{
    struct fixture *f = *state;

    conn_send_rest(f->conn, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12);
    WAIT_FOR(f->loop, f->lost);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(test_unknown_kind),
        WITH_FIXTURE(test_malformed_request),
        WITH_FIXTURE(test_malformed_exec),
        WITH_FIXTURE(test_oversize_body),
        WITH_FIXTURE(test_client_refuses_oversize),
        WITH_FIXTURE(test_unknown_streams),
        WITH_FIXTURE(test_odd_frames),
        WITH_FIXTURE(test_reset),
        WITH_FIXTURE(test_ssh_agent),
        WITH_FIXTURE(test_ssh_agent_without_descriptors),
        WITH_FIXTURE(test_put_given_up),
        WITH_FIXTURE(test_host_gone),
        WITH_FIXTURE(test_malformed_frame),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
