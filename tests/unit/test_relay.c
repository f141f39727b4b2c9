/* supervisor/relay: many clients, one guest, none of them trusted to keep the rules. */
#include "helpers.h"

#include <signal.h>
#include <sys/socket.h>

#include "channel/conn.h"
#include "proc/sock.h"
#include "supervisor/relay.h"

enum { CLIENTS = 2 };

struct fixture;

/* A connection that ends at the relay, and the test's end of it. */
struct end {
    struct fixture *f;
    struct conn *near, *far;
    struct buf log; /* what the test's end got */
    size_t data;
};

struct fixture {
    struct loop *loop;
    struct relay *relay;
    struct end guest, client[CLIENTS];
    bool broken;      /* the guest broke the protocol */
    const char *lost; /* why the guest's connection ended */
};

static void on_guest(void *arg, struct conn *c, const struct frame *f)
{
    struct end *e = arg;

    (void)c;
    e->f->broken = !relay_from_guest(e->f->relay, f) || e->f->broken;
}

static void on_client(void *arg, struct conn *c, const struct frame *f)
{
    struct end *e = arg;

    relay_from_client(e->f->relay, c, f);
}

static void on_far(void *arg, struct conn *c, const struct frame *f)
{
    struct end *e = arg;

    (void)c;
    e->data += f->type == FRAME_DATA ? f->len : 0;
    buf_printf(&e->log, "%u/%u/%u;", f->type, f->lane, f->stream);
}

static void on_closed(void *arg, struct conn *c, const char *why)
{
    struct end *e = arg;

    if (c == e->f->guest.near)
        e->f->lost = why;
}

static void open_end(struct fixture *f, struct end *e,
                     void (*on_near)(void *, struct conn *, const struct frame *))
{
    struct conn_events near = {on_near, on_closed, e}, far = {on_far, on_closed, e};
    int pair[2];

    assert_int_equal(sock_pair(pair, NULL), 0);
    *e = (struct end){.f = f};
    e->near = conn_new(f->loop, pair[0], true, &near);
    e->far = conn_new(f->loop, pair[1], true, &far);
    buf_puts(&e->log, "");
}

static void close_end(struct end *e)
{
    conn_free(e->near);
    conn_free(e->far);
    buf_free(&e->log);
}

static int set_up(void **state)
{
    struct fixture *f = mem_zalloc(1, sizeof(*f));

    signal(SIGPIPE, SIG_IGN);
    f->loop = loop_new();
    open_end(f, &f->guest, on_guest);
    for (int i = 0; i < CLIENTS; i++)
        open_end(f, &f->client[i], on_client);
    f->relay = relay_new(f->guest.near);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    relay_free(f->relay);
    close_end(&f->guest);
    for (int i = 0; i < CLIENTS; i++)
        close_end(&f->client[i]);
    loop_free(f->loop);
    free(f);
    return 0;
}

static void put(struct end *e, uint8_t type, uint8_t lane, uint32_t stream, size_t len)
{
    static const char zeros[FRAME_PAYLOAD_MAX];

    conn_send(e->far, type, lane, stream, zeros, len);
}

static void send_credit(struct end *e, uint8_t lane, uint32_t stream, uint32_t bytes)
{
    conn_send_u32(e->far, FRAME_CREDIT, lane, stream, bytes);
}

static void send_data(struct end *e, uint8_t lane, uint32_t stream, size_t len)
{
    for (; len > FRAME_PAYLOAD_MAX; len -= FRAME_PAYLOAD_MAX)
        put(e, FRAME_DATA, lane, stream, FRAME_PAYLOAD_MAX);
    put(e, FRAME_DATA, lane, stream, len);
}

static void expect(struct end *e, const char *want)
{
    run_ready(e->f->loop);
    assert_string_equal(e->log.data, want);
    buf_free(&e->log);
    buf_puts(&e->log, "");
    e->data = 0;
}

/* A stream of client 0: number 1 there, 16 at the guest. */
static void open_one(struct fixture *f)
{
    put(&f->client[0], FRAME_OPEN, 0, 1, 0);
    expect(&f->guest, "3/0/16;");
}

static void test_two_clients(void **state)
{
    struct fixture *f = *state;

    put(&f->client[0], FRAME_OPEN_PART, 0, 1, 10);
    put(&f->client[0], FRAME_OPEN, 0, 1, 10);
    run_ready(f->loop);
    put(&f->client[1], FRAME_OPEN, 0, 1, 10); /* the same number */
    put(&f->client[1], FRAME_DATA, 0, 1, 10);
    run_ready(f->loop);
    put(&f->client[0], FRAME_EOF, 0, 1, 0);
    expect(&f->guest, "2/0/16;3/0/16;3/0/17;4/0/17;5/0/16;");
    put(&f->guest, FRAME_DATA, 1, 17, 5);
    put(&f->guest, FRAME_DATA, 2, 16, 5);
    put(&f->guest, FRAME_EXIT, 0, 17, 8);
    expect(&f->client[0], "4/2/1;");
    expect(&f->client[1], "4/1/1;10/0/1;");
    put(&f->client[1], FRAME_DATA, 0, 1, 10); /* crossed the end */
    put(&f->client[1], FRAME_SIGNAL, 0, 1, 4);
    expect(&f->guest, "");
    put(&f->client[1], FRAME_OPEN, 0, 1, 0); /* the number again: another stream */
    expect(&f->guest, "3/0/18;");
    assert_false(f->broken);
}

static void test_client_gone(void **state)
{
    struct fixture *f = *state;

    open_one(f);
    put(&f->client[1], FRAME_OPEN, 0, 1, 0);
    expect(&f->guest, "3/0/17;");
    relay_drop_client(f->relay, f->client[0].near);
    conn_free(steal_ptr(&f->client[0].near));
    expect(&f->guest, "12/0/16;");
    put(&f->guest, FRAME_DATA, 1, 16, 5); /* was under way */
    put(&f->guest, FRAME_EXIT, 0, 16, 8);
    put(&f->guest, FRAME_DATA, 1, 17, 5);
    expect(&f->client[1], "4/1/1;");
    assert_false(f->broken);
    put(&f->guest, FRAME_EXIT, 0, 16, 8);
    run_ready(f->loop);
    assert_true(f->broken);
}

static void test_window(void **state)
{
    struct fixture *f = *state;

    open_one(f);
    send_data(&f->guest, 1, 16, FLOW_WINDOW);
    WAIT_FOR(f->loop, f->client[0].data == FLOW_WINDOW);
    send_credit(&f->client[0], 1, 1, 100);
    run_ready(f->loop);
    send_data(&f->guest, 1, 16, 100);
    send_data(&f->guest, 2, 16, FLOW_WINDOW); /* each lane has its own */
    WAIT_FOR(f->loop, f->client[0].data == 2 * FLOW_WINDOW + 100);
    assert_false(f->broken);
    send_data(&f->guest, 1, 16, 1);
    run_ready(f->loop);
    assert_true(f->broken);
    assert_int_equal(f->client[0].data, 2 * FLOW_WINDOW + 100);
}

/* Each of these, sent by the guest after an OPEN, breaks the protocol. */
struct deed {
    uint8_t type, lane;
    uint32_t stream;
    size_t len;
    int times;
};

static void test_broken_guest(void **state)
{
    static const struct deed deeds[] = {
        {FRAME_DATA, LANE_OUT, 17, 1, 1},   /* nobody opened that */
        {FRAME_DATA, LANE_OUT, 0, 1, 1},    /* the connection itself */
        {FRAME_DATA, LANE_IN, 16, 1, 1},    /* the wrong direction */
        {FRAME_DATA, LANE_OUT, 16, 0, 1},   /* costs memory, but no window */
        {FRAME_EOF, LANE_IN, 16, 0, 1},     /* the wrong direction */
        {FRAME_EOF, LANE_OUT, 16, 0, 2},    /* twice */
        {FRAME_STOP, LANE_OUT, 16, 0, 1},   /* the wrong direction */
        {FRAME_STOP, LANE_IN, 16, 0, 2},    /* twice */
        {FRAME_CREDIT, LANE_IN, 16, 4, 1},  /* of nothing */
        {FRAME_CREDIT, LANE_OUT, 16, 4, 1}, /* the wrong direction */
        {FRAME_CREDIT, LANE_IN, 16, 5, 1},  /* malformed */
        {FRAME_OPEN, 0, 16, 1, 1},          /* not the guest's to say */
        {FRAME_RESET, 0, 16, 0, 1},         /* likewise */
        {FRAME_SIGNAL, 0, 16, 4, 1},        /* likewise */
        {FRAME_READY, 0, 16, 0, 1},         /* likewise */
        {FRAME_EXIT, 0, 16, 8, 2},          /* twice */
    };
    struct fixture *f = *state;

    open_one(f);
    for (size_t i = 0; i < ARRAY_LEN(deeds); i++) {
        const struct deed *d = &deeds[i];

        relay_free(f->relay);
        f->relay = relay_new(f->guest.near);
        open_one(f);
        f->broken = false;
        for (int n = 0; n < d->times; n++) {
            assert_false(f->broken);
            put(&f->guest, d->type, d->lane, d->stream, d->len);
            run_ready(f->loop);
        }
        if (!f->broken)
            fail_msg("deed %zu was admitted", i);
    }
}

/* Data after the end of its lane; the other lane lives on. */
static void test_data_after_eof(void **state)
{
    struct fixture *f = *state;

    open_one(f);
    put(&f->guest, FRAME_EOF, LANE_OUT, 16, 0);
    put(&f->guest, FRAME_DATA, LANE_ERR, 16, 1);
    expect(&f->client[0], "5/1/1;4/2/1;");
    assert_false(f->broken);
    put(&f->guest, FRAME_DATA, LANE_OUT, 16, 1);
    run_ready(f->loop);
    assert_true(f->broken);
}

/* The guest gives credit for what it got and for no byte more. */
static void test_guest_credit(void **state)
{
    struct fixture *f = *state;

    open_one(f);
    send_data(&f->client[0], 0, 1, FLOW_WINDOW);
    WAIT_FOR(f->loop, f->guest.data == FLOW_WINDOW);
    send_credit(&f->guest, 0, 16, FLOW_WINDOW - 1);
    send_credit(&f->guest, 0, 16, 1);
    expect(&f->client[0], "7/0/1;7/0/1;");
    assert_false(f->broken);
    send_credit(&f->guest, 0, 16, 1);
    run_ready(f->loop);
    assert_true(f->broken);
}

/* A client beyond its window loses its stream, and the guest hears no more of it. */
static void test_client_window(void **state)
{
    struct fixture *f = *state;

    open_one(f);
    send_data(&f->client[0], 0, 1, FLOW_WINDOW);
    WAIT_FOR(f->loop, f->guest.data == FLOW_WINDOW);
    buf_consume(&f->guest.log, f->guest.log.len);
    send_data(&f->client[0], 0, 1, 1);
    send_data(&f->client[0], 0, 1, 1);
    expect(&f->guest, "12/0/16;");
    expect(&f->client[0], "11/0/1;");
    put(&f->guest, FRAME_EXIT, 0, 16, 8);
    expect(&f->client[0], "");
    assert_false(f->broken);
}

static void test_odd_client(void **state)
{
    struct fixture *f = *state;

    open_one(f);
    put(&f->client[0], FRAME_EXIT, 0, 1, 8);
    put(&f->client[0], FRAME_ERROR, 0, 1, 8);
    put(&f->client[0], FRAME_DATA, LANE_OUT, 1, 8);
    put(&f->client[0], FRAME_EOF, LANE_ERR, 1, 0);
    put(&f->client[0], FRAME_STOP, LANE_IN, 1, 0);
    send_credit(&f->client[0], LANE_IN, 1, 5);
    put(&f->client[0], FRAME_DATA, 0, 2, 8);
    expect(&f->guest, "");
    send_credit(&f->client[0], LANE_OUT, 1, UINT32_MAX); /* a full window at most */
    expect(&f->guest, "7/1/16;");
    send_data(&f->guest, 1, 16, FLOW_WINDOW);
    run_ready(f->loop);
    assert_false(f->broken);
    send_data(&f->guest, 1, 16, 1);
    run_ready(f->loop);
    assert_true(f->broken);
}

/* A guest that grants credit but does not read is cut off before it fills our memory. */
static void test_guest_does_not_read(void **state)
{
    struct fixture *f = *state;
    size_t most = 0;

    open_one(f);
    conn_pause(f->guest.far, true);
    for (int i = 0; i < 2000 && !f->lost; i++) {
        send_data(&f->client[0], 0, 1, FRAME_PAYLOAD_MAX);
        loop_step(f->loop, 0);
        loop_step(f->loop, 0);
        send_credit(&f->guest, 0, 16, FRAME_PAYLOAD_MAX);
        loop_step(f->loop, 0);
        if (conn_queued(f->guest.near) > most)
            most = conn_queued(f->guest.near);
    }
    assert_non_null(f->lost);
    assert_true(most <= 64 << 20);
    assert_false(f->broken);
    relay_drop_client(f->relay, f->client[0].near); /* still safe */
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(test_two_clients),
        WITH_FIXTURE(test_client_gone),
        WITH_FIXTURE(test_window),
        WITH_FIXTURE(test_broken_guest),
        WITH_FIXTURE(test_data_after_eof),
        WITH_FIXTURE(test_guest_credit),
        WITH_FIXTURE(test_client_window),
        WITH_FIXTURE(test_odd_client),
        WITH_FIXTURE(test_guest_does_not_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
