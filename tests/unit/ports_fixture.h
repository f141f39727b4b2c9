/* Ports of a guest on this host.  The guest is a real guestd beside us, so every port that it tells
 * of is taken here, and gets another number; or it is a hostile one, played by the test. */
#ifndef AGENTVM_TESTS_PORTS_FIXTURE_H
#define AGENTVM_TESTS_PORTS_FIXTURE_H

#include "guestd_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "guest/forward.h"
#include "guest/ports.h"

enum { MANY = 1000 };

struct world {
    struct fixture f;
    int far; /* the guest's end, where the test plays the guest */
    struct ports *ports;
    struct port_policy policy;
    struct strv notes;
    unsigned changes;
    bool broken;
};

static inline void on_world_frame(void *arg, struct conn *c, const struct frame *f)
{
    struct world *w = arg;

    (void)c;
    if (f->type == FRAME_HELLO)
        w->f.greeted = true;
    else if (!w->broken)
        w->broken = !ports_frame(w->ports, f);
}

static inline void on_world_closed(void *arg, struct conn *c, const char *why)
{
    (void)arg;
    (void)c;
    (void)why;
}

static inline void on_changed(void *arg)
{
    ((struct world *)arg)->changes++;
}

static inline void on_note(void *arg, const char *text)
{
    strv_push(&((struct world *)arg)->notes, text);
}

/* Watches the ports, with a policy that allow and fixed say. */
static inline void watch(struct world *w, const char *allow, const char *fixed)
{
    struct ports_events ev = {on_changed, on_note, w};
    auto_strv struct strv allowed = STRV_INIT, none = STRV_INIT, pairs = STRV_INIT;

    strv_split(&allowed, allow);
    strv_split(&pairs, fixed);
    port_policy_make(&w->policy, allowed.n > 0, &allowed, &none, &pairs);
    w->ports = ports_new(w->f.loop, w->f.conn, &w->policy, &ev);
}

static inline struct world *world_new(bool hostile)
{
    struct world *w = mem_zalloc(1, sizeof(*w));
    struct conn_events ev = {on_world_frame, on_world_closed, w};
    int pair[2];

    signal(SIGPIPE, SIG_IGN);
    alarm(50);
    file_raise_limit(4096);
    w->far = -1;
    w->f.dir = scratch_make();
    assert_int_equal(sock_pair(pair, NULL), 0);
    if (hostile)
        w->far = pair[1];
    else
        start_guestd(&w->f, pair[1]);
    w->f.loop = loop_new();
    w->f.conn = conn_new(w->f.loop, pair[0], true, &ev);
    return w;
}

static inline int set_up_real(void **state)
{
    struct world *w = *state = world_new(false);

    WAIT_FOR(w->f.loop, w->f.greeted);
    return 0;
}

static inline int set_up_hostile(void **state)
{
    *state = world_new(true);
    return 0;
}

static inline int tear_down_world(void **state)
{
    struct world *w = *state;
    struct exit_status status;

    ports_free(w->ports);
    conn_free(w->f.conn);
    loop_free(w->f.loop);
    if (w->far < 0) {
        assert_int_equal(spawn_wait(&w->f.guestd, clock_ms() + TEST_DEADLINE_MS, &status, NULL), 0);
        assert_int_equal(exit_status_code(status), 0);
    }
    close_fd(&w->far);
    strv_free(&w->notes);
    scratch_remove(w->f.dir);
    free(w);
    return 0;
}

/* ---- sockets -------------------------------------------------------------------------------- */

/* Listens on 127.0.0.1 at a port that the kernel chooses. */
static inline int listen_somewhere(unsigned *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
    assert_int_equal(listen(fd, MANY), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    *port = ntohs(a.sin_port);
    return fd;
}

/* The same at ::1. */
static inline int listen_v6(unsigned *port)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&a, len) < 0)
        skip();
    assert_int_equal(listen(fd, MANY), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    *port = ntohs(a.sin6_port);
    return fd;
}

/* Returns a connection, or -1. */
static inline int try_to_connect(in_addr_t address, unsigned port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr.s_addr = htonl(address)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
        close_fd(&fd);
    return fd;
}

static inline int connect_to(unsigned port)
{
    int fd = try_to_connect(INADDR_LOOPBACK, port);

    assert_true(fd >= 0);
    return fd;
}

/* The number here of a port of the guest; 0: it does not appear. */
static inline unsigned host_of(const struct world *w, unsigned guest)
{
    size_t n;
    const struct port_pair *list = ports_list(w->ports, &n);

    for (size_t i = 0; i < n; i++)
        if (list[i].guest == guest)
            return list[i].host;
    return 0;
}

static inline bool is_readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, 0) > 0;
}

/* As WAIT_FOR, for something that the loop does not watch. */
#define WAIT_READABLE(w, fd)                                       \
    do {                                                           \
        int64_t readable_deadline = clock_ms() + TEST_DEADLINE_MS; \
        while (!is_readable(fd)) {                                 \
            assert_true(clock_ms() < readable_deadline);           \
            loop_step((w)->f.loop, 5);                             \
        }                                                          \
    } while (0)

/* What comes next on a socket: the text, "" at its end. */
static inline char *receive(struct world *w, int fd)
{
    char block[256];
    ssize_t n;

    WAIT_READABLE(w, fd);
    n = recv(fd, block, sizeof(block), 0);
    if (n < 0)
        return mem_strdup(strerror(errno));
    return mem_dup(block, (size_t)n);
}

#define RECEIVES(w, fd, want)                      \
    do {                                           \
        auto_free char *received = receive(w, fd); \
        assert_string_equal(received, want);       \
    } while (0)

/* Accepts what comes to the guest's listener. */
static inline int accept_in(struct world *w, int listener)
{
    WAIT_READABLE(w, listener);
    return accept4(listener, NULL, NULL, SOCK_CLOEXEC);
}

/* A guest's listener that appears here. */
static inline int open_port(struct world *w, unsigned *guest, unsigned *host)
{
    int listener = listen_somewhere(guest);
    auto_free char *allow = mem_printf("%u", *guest);

    watch(w, allow, "");
    WAIT_FOR(w->f.loop, (*host = host_of(w, *guest)) != 0);
    return listener;
}

static inline void send_text(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

#endif
