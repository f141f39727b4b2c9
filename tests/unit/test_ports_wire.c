/* The same with a guest that breaks the rules. */
#include "ports_fixture.h"

#include <sys/resource.h>

static void guest_sends(struct world *w, uint8_t type, uint8_t lane, uint32_t stream,
                        const void *data, size_t len)
{
    uint8_t header[FRAME_HEADER];

    frame_encode_header(header, type, lane, stream, (uint32_t)len);
    assert_int_equal(file_write_all(w->far, header, sizeof(header), NULL), 0);
    assert_int_equal(file_write_all(w->far, data, len, NULL), 0);
    run_ready(w->f.loop);
}

static void guest_tells(struct world *w, unsigned port, unsigned bits)
{
    uint8_t record[PORT_RECORD];

    put_u16(record, (uint16_t)port);
    put_u16(record + 2, (uint16_t)bits);
    guest_sends(w, FRAME_DATA, LANE_OUT, PORTS_FIRST_STREAM, record, sizeof(record));
}

static void test_too_many_ports(void **state)
{
    struct world *w = *state;
    uint8_t records[PORT_RECORD * 10000];
    size_t n;

    watch(w, "1024-65535", "");
    for (unsigned i = 0; i < 10000; i++) {
        put_u16(records + PORT_RECORD * i, (uint16_t)(20000 + i));
        put_u16(records + PORT_RECORD * i + 2, PORT_LISTENING);
    }
    guest_sends(w, FRAME_DATA, LANE_OUT, PORTS_FIRST_STREAM, records, sizeof(records));
    WAIT_FOR(w->f.loop, w->changes == 1);
    ports_list(w->ports, &n);
    assert_int_equal(n, PORTS_MAX);
    assert_true(
        strv_has(&w->notes, "the VM listens on more than 256 ports; the others are not forwarded"));
    guest_tells(w, 20000, 0); /* there is room for another, and nothing more to tell */
    WAIT_FOR(w->f.loop, w->changes == 2);
    ports_list(w->ports, &n);
    assert_int_equal(n, PORTS_MAX);
    assert_false(w->broken);
}

static void test_hostile_records(void **state)
{
    static const uint8_t zeros[FRAME_PAYLOAD_MAX];
    struct world *w = *state;
    size_t n;

    watch(w, "1-65535", "");
    guest_tells(w, 0, PORT_LISTENING); /* no port */
    guest_tells(w, 40000, 0xfffe);     /* not listening, whatever else it is */
    WAIT_FOR(w->f.loop, (loop_step(w->f.loop, 100), true));
    ports_list(w->ports, &n);
    assert_int_equal(n, 0);
    guest_tells(w, 40001, PORT_LISTENING | PORT_PRIVATE);
    WAIT_FOR(w->f.loop, (loop_step(w->f.loop, 100), true));
    ports_list(w->ports, &n);
    assert_int_equal(n, 0);
    assert_false(w->broken);
    for (int i = 0; i <= FLOW_WINDOW / FRAME_PAYLOAD_MAX && !w->broken; i++)
        guest_sends(w, FRAME_DATA, LANE_OUT, PORTS_FIRST_STREAM, zeros, sizeof(zeros));
    assert_true(w->broken || n == 0); /* more than the window, unless credit came in between */
}

/* Each of these ends the VM. */
static void test_hostile_frames(void **state)
{
    static const struct {
        uint8_t type, lane;
        uint32_t stream;
        size_t len;
    } cases[] = {
        {FRAME_DATA, LANE_OUT, PORTS_FIRST_STREAM, 3},
        {FRAME_DATA, LANE_OUT, PORTS_FIRST_STREAM, 0},
        {FRAME_DATA, LANE_IN, PORTS_FIRST_STREAM, 4},
        {FRAME_CREDIT, LANE_IN, PORTS_FIRST_STREAM, 4},
        {FRAME_DATA, LANE_OUT, PORTS_FIRST_STREAM + 1, 4},
        {FRAME_EXIT, 0, PORTS_FIRST_STREAM + FORWARDS_MAX, 8},
        {FRAME_EXIT, 0, UINT32_MAX, 8},
    };
    struct world *w = *state;

    watch(w, "1-65535", "");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        guest_sends(w, cases[i].type, cases[i].lane, cases[i].stream, "\0\0\0\0\0\0\0\0",
                    cases[i].len);
        assert_true(w->broken);
        w->broken = false;
    }
    guest_sends(w, FRAME_ERROR, 0, PORTS_FIRST_STREAM, "\0\0\0\0no\nsuch thing", 17);
    assert_false(w->broken);
    assert_string_equal(w->notes.v[0], "ports of the VM are not forwarded: no such thing");
    guest_tells(w, 3000, PORT_LISTENING); /* after its end */
    assert_true(w->broken);
}

/* What the guest got. */
struct inbox {
    struct buf bytes;
    unsigned opened;
    uint32_t stream; /* the last that was opened */
    size_t data;     /* bytes of DATA */
};

static void guest_reads(struct world *w, struct inbox *in)
{
    struct frame f;
    size_t at = 0;
    ssize_t n;

    run_ready(w->f.loop);
    buf_reserve(&in->bytes, 1 << 20);
    n = recv(w->far, in->bytes.data + in->bytes.len, 1 << 20, MSG_DONTWAIT);
    in->bytes.len += n > 0 ? (size_t)n : 0;
    for (; frame_parse(in->bytes.data + at, in->bytes.len - at, &f) == FRAME_OK;
         at += FRAME_HEADER + f.len) {
        in->opened += f.type == FRAME_OPEN && f.stream != PORTS_FIRST_STREAM;
        in->stream = f.type == FRAME_OPEN ? f.stream : in->stream;
        in->data += f.type == FRAME_DATA ? f.len : 0;
    }
    buf_consume(&in->bytes, at);
}

/* A port of the guest that is taken here; returns the number that it got. */
static unsigned tell_taken(struct world *w, int *taken)
{
    unsigned guest = 0, host;

    *taken = listen_somewhere(&guest);
    watch(w, "1-65535", "");
    guest_tells(w, guest, PORT_LISTENING);
    WAIT_FOR(w->f.loop, (host = host_of(w, guest)) != 0);
    return host;
}

static void test_hostile_connection(void **state)
{
    static const uint8_t zeros[CONNECT_WINDOW];
    struct world *w = *state;
    struct inbox in = {.bytes = BUF_INIT};
    int taken, client = connect_to(tell_taken(w, &taken));

    WAIT_FOR(w->f.loop, (guest_reads(w, &in), in.opened == 1));
    guest_sends(w, FRAME_CREDIT, LANE_IN, in.stream, "\xff\xff\xff\xff", 4);
    guest_sends(w, FRAME_DATA, LANE_OUT, in.stream, "early", 5);
    guest_sends(w, FRAME_EOF, LANE_OUT, in.stream, NULL, 0);
    RECEIVES(w, client, "early");
    RECEIVES(w, client, "");
    assert_false(w->broken);
    guest_sends(w, FRAME_DATA, LANE_OUT, in.stream, "late", 4);
    assert_true(w->broken);
    w->broken = false;
    guest_sends(w, FRAME_EXIT, 0, in.stream, zeros, 8);
    assert_false(w->broken);
    guest_sends(w, FRAME_EXIT, 0, in.stream, zeros, 8);
    assert_true(w->broken);
    close(client);
    close(taken);
    buf_free(&in.bytes);
}

/* A client that does not read, and a guest that sends without asking for credit. */
static void test_client_does_not_read(void **state)
{
    static const uint8_t zeros[FRAME_PAYLOAD_MAX];
    struct world *w = *state;
    struct inbox in = {.bytes = BUF_INIT};
    int taken, client = connect_to(tell_taken(w, &taken));
    size_t sent = 0;

    WAIT_FOR(w->f.loop, (guest_reads(w, &in), in.opened == 1));
    for (; !w->broken && sent < 256 << 20; sent += sizeof(zeros))
        guest_sends(w, FRAME_DATA, LANE_OUT, in.stream, zeros, sizeof(zeros));
    assert_true(w->broken);
    assert_true(sent > CONNECT_WINDOW);
    close(client);
    close(taken);
    buf_free(&in.bytes);
}

/* Clients that send without end, and a guest that grants credit and takes nothing. */
static void test_guest_does_not_read(void **state)
{
    enum { CLIENTS = 40, BYTES = 512 << 10 };
    auto_free char *block = mem_zalloc(BYTES, 1);
    struct world *w = *state;
    struct inbox in = {.bytes = BUF_INIT};
    uint32_t streams[CLIENTS];
    int taken, clients[CLIENTS];
    size_t left[CLIENTS], most = 0;
    unsigned host = tell_taken(w, &taken);

    for (unsigned i = 0; i < CLIENTS; i++) {
        clients[i] = connect_to(host);
        WAIT_FOR(w->f.loop, (guest_reads(w, &in), in.opened == i + 1));
        streams[i] = in.stream;
        left[i] = BYTES;
    }
    for (int turn = 0; turn < 100; turn++) {
        for (int i = 0; i < CLIENTS; i++) {
            ssize_t n = send(clients[i], block, left[i], MSG_DONTWAIT | MSG_NOSIGNAL);

            left[i] -= n > 0 ? (size_t)n : 0;
            if (turn < 10)
                guest_sends(w, FRAME_CREDIT, LANE_IN, streams[i], "\xff\xff\xff\xff", 4);
        }
        run_ready(w->f.loop);
        most = conn_queued(w->f.conn) > most ? conn_queued(w->f.conn) : most;
    }
    assert_in_range(most, CONN_ROOM, CONN_ROOM + FRAME_HEADER + FRAME_PAYLOAD_MAX);
    /* Once it reads, all of them go on. */
    for (int64_t deadline = clock_ms() + TEST_DEADLINE_MS; in.data < CLIENTS * BYTES;) {
        assert_true(clock_ms() < deadline);
        guest_reads(w, &in);
        for (int i = 0; i < CLIENTS; i++) {
            ssize_t n = send(clients[i], block, left[i], MSG_DONTWAIT | MSG_NOSIGNAL);

            left[i] -= n > 0 ? (size_t)n : 0;
            guest_sends(w, FRAME_CREDIT, LANE_IN, streams[i], "\0\0\1\0", 4);
        }
    }
    assert_false(w->broken);
    for (int i = 0; i < CLIENTS; i++)
        close(clients[i]);
    close(taken);
    buf_free(&in.bytes);
}

/* Where few files may be open, fewer connections are taken at once; the others wait. */
static void test_few_files(void **state)
{
    struct world *w = *state;
    struct inbox in = {.bytes = BUF_INIT};
    struct rlimit before, few;
    int taken, clients[5];
    unsigned host;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur = PORTS_OTHER_FILES + FORWARD_FILES * 3;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    host = tell_taken(w, &taken);
    for (size_t i = 0; i < ARRAY_LEN(clients); i++)
        clients[i] = connect_to(host);
    WAIT_FOR(w->f.loop, (guest_reads(w, &in), in.opened == 3));
    run_ready(w->f.loop);
    guest_reads(w, &in);
    assert_int_equal(in.opened, 3);
    guest_sends(w, FRAME_EXIT, 0, in.stream, "\0\0\0\0\0\0\0\0", 8);
    WAIT_FOR(w->f.loop, (guest_reads(w, &in), in.opened == 4));
    assert_false(w->broken);
    for (size_t i = 0; i < ARRAY_LEN(clients); i++)
        close(clients[i]);
    close(taken);
    buf_free(&in.bytes);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

/* A number that only root may use is another one here, higher up. */
static void test_low_port(void **state)
{
    struct world *w = *state;
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(79), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    auto_close int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    auto_free char *note = NULL;
    unsigned host;

    if (geteuid() == 0)
        assert_int_equal(seteuid(65534), 0);
    if (bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 || errno != EACCES)
        skip();
    watch(w, "1-65535", "");
    guest_tells(w, 79, PORT_LISTENING);
    WAIT_FOR(w->f.loop, (host = host_of(w, 79)) != 0);
    if (getuid() == 0)
        assert_int_equal(seteuid(0), 0);
    assert_in_range(host, 8079, 8095);
    note = mem_printf("port 79 of the VM is 127.0.0.1:%u on this host, where only root may open 79",
                      host);
    assert_string_equal(w->notes.v[0], note);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_hostile, tear_down_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_too_many_ports),
        TEST(test_hostile_records),
        TEST(test_hostile_frames),
        TEST(test_hostile_connection),
        TEST(test_client_does_not_read),
        TEST(test_guest_does_not_read),
        TEST(test_few_files),
        TEST(test_low_port),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
