#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "proc/loop.h"
#include "proc/sock.h"
#include "vm/qmp.h"

#define GREETING "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n"

/* Both ends: the client on the loop, and the test playing QEMU on the other socket. */
struct fixture {
    struct loop *loop;
    struct qmp *qmp;
    int qemu;
    struct buf log; /* what the callbacks saw, in order */
    bool free_on_event;
};

static void on_ready(void *arg)
{
    struct fixture *f = arg;

    buf_puts(&f->log, "ready;");
}

static void on_event(void *arg, const char *name, const cJSON *data)
{
    struct fixture *f = arg;
    auto_free char *text = data ? cJSON_PrintUnformatted(data) : NULL;

    buf_printf(&f->log, "event %s %s;", name, text ? text : "-");
    if (f->free_on_event) {
        qmp_free(f->qmp);
        f->qmp = NULL;
    }
}

static void on_closed(void *arg, const struct err *why)
{
    struct fixture *f = arg;

    buf_printf(&f->log, "closed %s;", why->msg ? why->msg : "-");
}

static void on_reply(void *arg, const cJSON *result, const char *failure)
{
    struct fixture *f = arg;
    auto_free char *text = result ? cJSON_PrintUnformatted(result) : NULL;

    buf_printf(&f->log, "reply %s;", text ? text : failure);
}

static int set_up(void **state)
{
    struct fixture *f = mem_zalloc(1, sizeof(*f));
    struct qmp_events ev = {on_ready, on_event, on_closed, f};
    int fds[2];

    f->loop = loop_new();
    assert_int_equal(sock_pair(fds, NULL), 0);
    f->qemu = fds[1];
    f->qmp = qmp_new(f->loop, fds[0], &ev, NULL);
    assert_non_null(f->qmp);
    buf_puts(&f->log, "");
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    qmp_free(f->qmp);
    loop_free(f->loop);
    close_fd(&f->qemu);
    buf_free(&f->log);
    free(f);
    return 0;
}

static void say(struct fixture *f, const char *text)
{
    assert_int_equal(send(f->qemu, text, strlen(text), MSG_NOSIGNAL), (int)strlen(text));
    loop_step(f->loop, 0);
}

/* Takes what the callbacks logged and what the client sent. */
static void expect(struct fixture *f, const char *log, const char *sent)
{
    char got[4096] = "";
    ssize_t n = f->qemu >= 0 ? recv(f->qemu, got, sizeof(got) - 1, MSG_DONTWAIT) : 0;

    got[n > 0 ? n : 0] = '\0';
    assert_string_equal(f->log.data, log);
    assert_string_equal(got, sent);
    f->log.len = 0;
    f->log.data[0] = '\0';
}

static void negotiate(struct fixture *f)
{
    say(f, GREETING);
    expect(f, "", "{\"execute\":\"qmp_capabilities\",\"id\":1}\n");
    say(f, "{\"return\": {}, \"id\": 1}\r\n");
    expect(f, "ready;", "");
}

static void test_conversation(void **state)
{
    struct fixture *f = *state;
    auto_err struct err e = ERR_INIT;
    cJSON *args = cJSON_CreateObject();

    assert_int_equal(qmp_command(f->qmp, "quit", NULL, NULL, NULL, &e), -1); /* too early */
    negotiate(f);
    cJSON_AddStringToObject(args, "k", "v");
    assert_int_equal(qmp_command(f->qmp, "one", args, on_reply, f, &e), 0);
    assert_int_equal(qmp_command(f->qmp, "two", NULL, on_reply, f, &e), 0);
    expect(f, "",
           "{\"execute\":\"one\",\"arguments\":{\"k\":\"v\"},\"id\":2}\n"
           "{\"execute\":\"two\",\"id\":3}\n");
    /* Replies in any order, an event between them, an id that nobody asked for. */
    say(f, "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no such\"}, \"id\": 3}\r\n"
           "{\"event\": \"STOP\", \"timestamp\": {}}\r\n"
           "{\"return\": 1, \"id\": 77}\r\n{\"return\": {\"a\": 1}, \"id\": 2}\r\n");
    expect(f, "reply no such;event STOP -;reply {\"a\":1};", "");
}

static void test_split_lines(void **state)
{
    struct fixture *f = *state;
    static const char text[] = "{\"event\":\"E\",\"data\":{\"open\":true}}\n";

    negotiate(f);
    for (size_t i = 0; i < sizeof(text) - 1; i++)
        say(f, (char[]){text[i], '\0'});
    expect(f, "event E {\"open\":true};", "");
}

static void test_garbage(void **state)
{
    struct fixture *f = *state;

    negotiate(f);
    assert_int_equal(qmp_command(f->qmp, "one", NULL, on_reply, f, NULL), 0);
    say(f, "\x1b[2J no JSON\n{\"event\":\"LATER\"}\n");
    assert_int_equal(qmp_command(f->qmp, "two", NULL, NULL, NULL, NULL), -1);
    expect(f,
           "reply QEMU closed its control connection;closed QEMU's control connection: not a "
           "JSON object (\"\\x1b[2J no JSON\");",
           "{\"execute\":\"one\",\"id\":2}\n");
}

static void test_wrong_shapes(void **state)
{
    static const char *const lines[] = {"[1]\n", "7\n", "{}\n", "{\"event\": 3}\n",
                                        "{\"QMP\": 1}\n"};

    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        struct fixture *f;

        tear_down(state);
        set_up(state);
        f = *state;
        if (i < 4)
            negotiate(f);
        say(f, lines[i]);
        assert_non_null(strstr(f->log.data, "closed QEMU's control connection"));
    }
}

static void test_oversize_line(void **state)
{
    struct fixture *f = *state;
    auto_free char *block = mem_zalloc(1, 65537);

    negotiate(f);
    memset(block, 'x', 65536);
    for (int i = 0; i <= QMP_LINE_MAX / 65536; i++)
        qmp_feed(f->qmp, block, 65536);
    assert_non_null(strstr(f->log.data, "a line is too long"));
    f->log.len = 0;
    qmp_feed(f->qmp, block, 65536);
    assert_int_equal(f->log.len, 0); /* closed comes once */
}

static void test_deep_nesting(void **state)
{
    struct fixture *f = *state;
    auto_free char *deep = mem_zalloc(1, 500002);

    negotiate(f);
    memset(deep, '[', 500000);
    deep[500000] = '\n';
    qmp_feed(f->qmp, deep, 500001);
    assert_non_null(strstr(f->log.data, "not a JSON object"));
}

static void test_end_of_file(void **state)
{
    struct fixture *f = *state;

    negotiate(f);
    assert_int_equal(qmp_command(f->qmp, "one", NULL, on_reply, f, NULL), 0);
    close_fd(&f->qemu); /* with unread data: the client sees ECONNRESET */
    loop_step(f->loop, 0);
    expect(f, "reply QEMU closed its control connection;closed -;", "");
}

static void test_refused_negotiation(void **state)
{
    struct fixture *f = *state;

    say(f, GREETING);
    say(f, "{\"error\": {\"desc\": \"no\"}, \"id\": 1}\n");
    assert_non_null(strstr(f->log.data, "closed"));
    assert_non_null(strstr(f->log.data, "refused the negotiation"));
}

static void test_free_in_callback(void **state)
{
    struct fixture *f = *state;

    negotiate(f);
    assert_int_equal(qmp_command(f->qmp, "one", NULL, on_reply, f, NULL), 0);
    f->free_on_event = true;
    say(f, "{\"event\":\"A\"}\n{\"event\":\"B\"}\n");
    assert_string_equal(f->log.data, "event A -;");
}

/* A QEMU that does not read: commands wait, the caller does not. */
static void test_full_socket(void **state)
{
    struct fixture *f = *state;
    int64_t deadline = clock_ms() + 5000;
    char sink[65536];
    size_t got = 0;
    int commands = 5000;

    negotiate(f);
    for (int i = 0; i < commands; i++)
        assert_int_equal(qmp_command(f->qmp, "query-status-0123456789", NULL, NULL, NULL, NULL), 0);
    while (commands > 0 && clock_ms() < deadline) {
        ssize_t n = recv(f->qemu, sink, sizeof(sink), MSG_DONTWAIT);

        for (ssize_t i = 0; i < n; i++)
            commands -= sink[i] == '\n';
        got += n > 0 ? (size_t)n : 0;
        loop_step(f->loop, 0);
    }
    assert_int_equal(commands, 0);
    assert_true(got > 50000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_conversation), TEST(test_split_lines),         TEST(test_garbage),
        TEST(test_wrong_shapes), TEST(test_oversize_line),       TEST(test_deep_nesting),
        TEST(test_end_of_file),  TEST(test_refused_negotiation), TEST(test_free_in_callback),
        TEST(test_full_socket),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
