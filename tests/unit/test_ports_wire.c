/* The same with a guest that breaks the rules. */
#include "ports_fixture.h"

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

/* The number of the stream that the guest was told to open last. */
static uint32_t opened_stream(struct world *w)
{
    uint8_t frames[65536];
    uint32_t stream = 0;
    struct frame f;

    run_ready(w->f.loop);
    for (ssize_t n = recv(w->far, frames, sizeof(frames), MSG_DONTWAIT), at = 0;
         at < n && frame_parse(frames + at, (size_t)(n - at), &f) == FRAME_OK;
         at += FRAME_HEADER + (ssize_t)f.len)
        if (f.type == FRAME_OPEN)
            stream = f.stream;
    return stream;
}

static void test_hostile_connection(void **state)
{
    static const uint8_t zeros[CONNECT_WINDOW];
    struct world *w = *state;
    unsigned guest = 0, host;
    int taken = listen_somewhere(&guest), client;
    uint32_t stream;

    watch(w, "1-65535", "");
    guest_tells(w, guest, PORT_LISTENING);
    WAIT_FOR(w->f.loop, (host = host_of(w, guest)) != 0);
    client = connect_to(host);
    stream = opened_stream(w);
    assert_true(stream > PORTS_FIRST_STREAM);
    guest_sends(w, FRAME_CREDIT, LANE_IN, stream, "\xff\xff\xff\xff", 4);
    guest_sends(w, FRAME_DATA, LANE_OUT, stream, "early", 5);
    guest_sends(w, FRAME_EOF, LANE_OUT, stream, NULL, 0);
    RECEIVES(w, client, "early");
    RECEIVES(w, client, "");
    assert_false(w->broken);
    guest_sends(w, FRAME_DATA, LANE_OUT, stream, "late", 4);
    assert_true(w->broken);
    w->broken = false;
    guest_sends(w, FRAME_EXIT, 0, stream, zeros, 8);
    assert_false(w->broken);
    guest_sends(w, FRAME_EXIT, 0, stream, zeros, 8);
    assert_true(w->broken);
    close(client);
    close(taken);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_hostile, tear_down_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_too_many_ports),
        TEST(test_hostile_records),
        TEST(test_hostile_frames),
        TEST(test_hostile_connection),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
