/* Ports of the guest on this host, with a real guestd; see ports_fixture.h. */
#include "ports_fixture.h"

enum { BULK = 3 << 20 };

static void test_comes_and_goes(void **state)
{
    struct world *w = *state;
    unsigned guest, host;
    int listener = open_port(w, &guest, &host);
    auto_free char *want = mem_printf("port %u of the VM is 127.0.0.1:%u on this host, where %u is "
                                      "taken",
                                      guest, host, guest);

    assert_int_not_equal(host, guest);
    assert_int_equal(w->notes.n, 1);
    assert_string_equal(w->notes.v[0], want);
    close(listener);
    WAIT_FOR(w->f.loop, host_of(w, guest) == 0);
    assert_int_equal(w->changes, 2);
    assert_false(w->broken);
}

/* Where the number is fixed, and free, it is that one and nothing is to be told. */
static void test_fixed(void **state)
{
    struct world *w = *state;
    unsigned guest, host;
    int listener = listen_somewhere(&guest), free_one = listen_somewhere(&host);
    auto_free char *pair = mem_printf("%u=%u", host, guest);
    int client, server;

    close(free_one);
    watch(w, "", pair);
    WAIT_FOR(w->f.loop, host_of(w, guest) != 0);
    assert_int_equal(host_of(w, guest), host);
    assert_int_equal(w->notes.n, 0);
    assert_int_equal(try_to_connect(INADDR_LOOPBACK + 1, host), -1); /* on 127.0.0.1 alone */
    client = connect_to(host);
    server = accept_in(w, listener);
    send_text(client, "ping");
    RECEIVES(w, server, "ping");
    close(client);
    RECEIVES(w, server, "");
    close(server);
    close(listener);
}

static void test_v6_only(void **state)
{
    struct world *w = *state;
    unsigned guest, host;
    int listener = listen_v6(&guest), free_one = listen_somewhere(&host), client, server;
    auto_free char *pair = mem_printf("%u=%u", host, guest);

    close(free_one);
    watch(w, "", pair);
    WAIT_FOR(w->f.loop, host_of(w, guest) != 0);
    client = connect_to(host_of(w, guest));
    server = accept_in(w, listener);
    send_text(server, "six");
    RECEIVES(w, client, "six");
    close(client);
    close(server);
    close(listener);
}

/* Either side says that it sends no more, and still gets what the other sends. */
static void test_half_close(void **state)
{
    struct world *w = *state;
    unsigned guest, host;
    int listener = open_port(w, &guest, &host), client, server;
    struct port_account account;

    client = connect_to(host);
    server = accept_in(w, listener);
    send_text(client, "question");
    shutdown(client, SHUT_WR);
    RECEIVES(w, server, "question");
    RECEIVES(w, server, "");
    send_text(server, "answer");
    RECEIVES(w, client, "answer");
    close(server);
    RECEIVES(w, client, "");
    close(client);

    client = connect_to(host);
    server = accept_in(w, listener);
    shutdown(server, SHUT_WR);
    RECEIVES(w, client, "");
    send_text(client, "late");
    RECEIVES(w, server, "late");
    ports_account(w->ports, &account);
    assert_int_equal(account.to_guest, strlen("question") + strlen("late"));
    close(client);
    RECEIVES(w, server, "");
    close(server);
    close(listener);
    assert_false(w->broken);
    WAIT_FOR(w->f.loop, host_of(w, guest) == 0);
    ports_account(w->ports, &account);
    assert_int_equal(account.n, 1);
    assert_int_equal(account.pairs[0].guest, guest);
    assert_int_equal(account.pairs[0].host, host);
    assert_int_equal(account.to_guest, strlen("question") + strlen("late"));
    assert_int_equal(account.from_guest, strlen("answer"));
}

/* Nobody listens any more behind a number that is still known here. */
static void test_refused(void **state)
{
    struct world *w = *state;
    unsigned guest, host;
    int listener = open_port(w, &guest, &host), client;

    client = connect_to(host); /* not accepted by our side before the guest's listener is gone */
    close(listener);
    RECEIVES(w, client, "Connection reset by peer");
    close(client);
    assert_false(w->broken);
}

static size_t receive_all(struct world *w, int fd, size_t want)
{
    static char block[65536];
    size_t got = 0;

    while (got < want) {
        ssize_t n;

        WAIT_READABLE(w, fd);
        n = recv(fd, block, sizeof(block), 0);
        if (n <= 0)
            break;
        got += (size_t)n;
    }
    return got;
}

/* One that does not read holds up its own connection alone, and loses nothing. */
static void test_slow_reader(void **state)
{
    static const char zeros[BULK];
    struct world *w = *state;
    unsigned guest, host;
    int listener = open_port(w, &guest, &host), slow[2], quick[2];
    size_t sent = 0;

    slow[0] = connect_to(host);
    slow[1] = accept_in(w, listener);
    quick[0] = connect_to(host);
    quick[1] = accept_in(w, listener);
    while (sent < BULK) { /* until nothing moves */
        ssize_t n = send(slow[1], zeros, BULK - sent, MSG_DONTWAIT);

        sent += n > 0 ? (size_t)n : 0;
        if (n < 0 && conn_queued(w->f.conn) == 0) {
            loop_step(w->f.loop, 200);
            n = send(slow[1], zeros, 1, MSG_DONTWAIT);
            if (n < 0)
                break;
            sent++;
        }
    }
    send_text(quick[0], "quick");
    RECEIVES(w, quick[1], "quick");
    send_text(quick[1], "too");
    RECEIVES(w, quick[0], "too");
    close(slow[1]);
    assert_int_equal(receive_all(w, slow[0], sent + 1), sent);
    close(slow[0]);
    close(quick[0]);
    close(quick[1]);
    close(listener);
    assert_false(w->broken);
}

static void test_many(void **state)
{
    struct world *w = *state;
    unsigned guest, host;
    int listener = open_port(w, &guest, &host), client[MANY], server[MANY];

    for (int i = 0; i < MANY; i++) {
        client[i] = connect_to(host);
        server[i] = accept_in(w, listener);
    }
    for (int i = 0; i < MANY; i++)
        send_text(client[i], "to");
    for (int i = 0; i < MANY; i++)
        RECEIVES(w, server[i], "to");
    for (int i = 0; i < MANY; i++)
        send_text(server[i], "fro");
    for (int i = MANY - 1; i >= 0; i--) {
        RECEIVES(w, client[i], "fro");
        close(client[i]);
    }
    for (int i = 0; i < MANY; i++) {
        RECEIVES(w, server[i], "");
        close(server[i]);
    }
    close(listener);
    assert_false(w->broken);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_real, tear_down_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_comes_and_goes), TEST(test_fixed),   TEST(test_v6_only),
        TEST(test_half_close),     TEST(test_refused), TEST(test_slow_reader),
        TEST(test_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
