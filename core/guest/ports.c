/* Theory of operation
 *
 * Records of the guest only change a table of its ports; from the loop, and not often, the
 * listeners here are made to match, and only then the guest gets credit for further records.  So
 * neither 10,000 ports nor a port that opens and closes all the time cost more than PORTS_MAX
 * sockets and a pass over the table in every turn. */
#include "guest/ports.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "guest/forward.h"
#include "guest/request.h"

enum {
    APPLY_MS = 100,   /* between two times */
    RETRY_MS = 1000,  /* after something failed for want of descriptors */
    NEAR_TRIES = 16,  /* numbers that are tried after the one that was wanted */
    LOW_SHIFT = 8000, /* where numbers that only root may use are near: 80 is 8080 */
    NOTES_MAX = 32,
    BACKLOG = 1024,
};

struct listener {
    struct ports *ports;
    int fd;
    struct loop_watch *watch;
    struct port_pair pair;
};

struct ports {
    struct loop *loop;
    struct conn *guest;
    const struct port_policy *policy;
    struct ports_events ev;
    struct forwards *forwards;
    struct loop_timer *apply, *retry;
    int64_t applied; /* clock_ms() of the last time */
    uint32_t uncredited;
    unsigned notes;
    bool watching;    /* the guest has not ended the stream of records */
    bool told_of_max; /* more ports than PORTS_MAX */
    struct listener *listeners[PORTS_MAX];
    struct port_pair list[PORTS_MAX]; /* of listeners, sorted */
    size_t n;
    uint8_t state[PORT_COUNT];        /* enum port_state */
    uint16_t host_before[PORT_COUNT]; /* a port that comes again gets the same number, or 0 */
};

static void note(struct ports *p, const char *text)
{
    if (++p->notes == NOTES_MAX)
        p->ev.note(p->ev.arg, "further changes of ports are not told; see agentvm list");
    if (p->notes < NOTES_MAX)
        p->ev.note(p->ev.arg, text);
}

/* ---- listeners ------------------------------------------------------------------------------ */

static void accept_again(void *arg);

static void pause_listeners(struct ports *p, bool paused)
{
    for (size_t i = 0; i < p->n; i++)
        loop_watch_events(p->listeners[i]->watch, paused ? 0 : POLLIN);
}

static void on_client(void *arg, short events)
{
    struct listener *l = arg;
    struct ports *p = l->ports;
    int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    (void)events;
    if (fd >= 0) {
        forwards_add(p->forwards, fd, l->pair.guest);
        if (forwards_are_full(p->forwards))
            pause_listeners(p, true);
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        pause_listeners(p, true);
        if (!p->retry)
            p->retry = loop_timer(p->loop, RETRY_MS, accept_again, p);
    }
}

static void accept_again(void *arg)
{
    struct ports *p = arg;

    p->retry = NULL;
    pause_listeners(p, forwards_are_full(p->forwards));
}

static void on_room(void *arg)
{
    struct ports *p = arg;

    if (!p->retry)
        pause_listeners(p, false);
}

/* Returns a socket that listens on 127.0.0.1, at *port or, if that is 0, at a number that the
 * kernel chooses; -1 with errno. */
static int listen_at(unsigned *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)*port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    auto_close int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    socklen_t len = sizeof(a);
    int one = 1;

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
        bind(fd, (struct sockaddr *)&a, len) < 0 || listen(fd, BACKLOG) < 0 ||
        getsockname(fd, (struct sockaddr *)&a, &len) < 0)
        return -1;
    *port = ntohs(a.sin_port);
    return steal_fd(&fd);
}

/* The number it had before, the one that is wanted, one near by, any.  *refused is why the wanted
 * one could not be had, an errno. */
static int listen_near(struct ports *p, unsigned guest, unsigned wanted, unsigned *host,
                       int *refused)
{
    int fd = -1;

    *host = p->host_before[guest];
    if (*host)
        fd = listen_at(host);
    if (fd >= 0)
        return fd;
    *host = wanted;
    fd = listen_at(host);
    *refused = errno;
    if (fd < 0 && *refused == EACCES)
        wanted += LOW_SHIFT - 1;
    for (unsigned i = 1; fd < 0 && i <= NEAR_TRIES && wanted + i < PORT_COUNT; i++) {
        *host = wanted + i;
        fd = listen_at(host);
    }
    if (fd >= 0)
        return fd;
    *host = 0;
    return listen_at(host);
}

static void tell_number(struct ports *p, unsigned guest, unsigned wanted, unsigned host,
                        int refused)
{
    auto_free char *text = NULL;

    if (host == wanted || p->host_before[guest] == host)
        return;
    text = mem_printf("port %u of the VM is 127.0.0.1:%u on this host, where %s%u%s", guest, host,
                      refused == EACCES ? "only root may open " : "", wanted,
                      refused == EACCES ? "" : " is taken");
    note(p, text);
}

/* Fails for want of descriptors. */
static bool open_port(struct ports *p, unsigned guest, unsigned wanted)
{
    struct listener *l;
    unsigned host;
    int refused = 0, fd = listen_near(p, guest, wanted, &host, &refused);

    if (fd < 0)
        return false;
    tell_number(p, guest, wanted, host, refused);
    p->host_before[guest] = (uint16_t)host;
    l = mem_zalloc(1, sizeof(*l));
    *l = (struct listener){.ports = p, .fd = fd, .pair = {(uint16_t)guest, (uint16_t)host}};
    l->watch = loop_watch(p->loop, fd, p->retry || forwards_are_full(p->forwards) ? 0 : POLLIN,
                          on_client, l);
    p->listeners[p->n++] = l;
    return true;
}

static void close_listener(struct listener *l)
{
    loop_unwatch(l->watch);
    close_fd(&l->fd);
    free(l);
}

/* ---- from what the guest says to what is there ---------------------------------------------- */

static void apply(void *arg);

static void apply_later(struct ports *p, int ms)
{
    if (!p->apply)
        p->apply = loop_timer(p->loop, ms, apply, p);
}

static unsigned wanted_host(const struct ports *p, unsigned guest)
{
    uint8_t state = p->state[guest];

    return state & PORT_LISTENING ? port_policy_host(p->policy, guest, state & PORT_PRIVATE) : 0;
}

static bool is_open(const struct ports *p, unsigned guest)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->listeners[i]->pair.guest == guest)
            return true;
    return false;
}

static bool close_ports(struct ports *p)
{
    size_t kept = 0, before = p->n;

    for (size_t i = 0; i < before; i++) {
        if (wanted_host(p, p->listeners[i]->pair.guest))
            p->listeners[kept++] = p->listeners[i];
        else
            close_listener(p->listeners[i]);
    }
    p->n = kept;
    return kept < before;
}

static void tell_of_max(struct ports *p)
{
    if (!p->told_of_max)
        p->ev.note(p->ev.arg,
                   "the VM listens on more than 256 ports; the others are not forwarded");
    p->told_of_max = true;
}

static bool open_ports(struct ports *p)
{
    size_t before = p->n;

    for (unsigned guest = 1; guest < PORT_COUNT; guest++) {
        unsigned wanted = wanted_host(p, guest);

        if (!wanted || is_open(p, guest))
            continue;
        if (p->n == PORTS_MAX) {
            tell_of_max(p);
            break;
        }
        if (!open_port(p, guest, wanted)) {
            apply_later(p, RETRY_MS);
            break;
        }
    }
    return p->n > before;
}

static int compare_pairs(const void *a, const void *b)
{
    const struct port_pair *x = a, *y = b;

    return (x->guest > y->guest) - (x->guest < y->guest);
}

static void apply(void *arg)
{
    struct ports *p = arg;
    bool closed, opened;

    p->apply = NULL;
    closed = close_ports(p);
    opened = open_ports(p);
    p->applied = clock_ms();
    if (p->watching && p->uncredited > 0)
        conn_send_u32(p->guest, FRAME_CREDIT, LANE_OUT, PORTS_FIRST_STREAM, p->uncredited);
    p->uncredited = 0;
    if (!closed && !opened)
        return;
    for (size_t i = 0; i < p->n; i++)
        p->list[i] = p->listeners[i]->pair;
    qsort(p->list, p->n, sizeof(*p->list), compare_pairs);
    p->ev.changed(p->ev.arg);
}

static bool take_records(struct ports *p, const struct frame *f)
{
    if (f->lane != LANE_OUT || f->len == 0 || f->len % PORT_RECORD != 0 ||
        f->len > FLOW_WINDOW - p->uncredited)
        return false;
    for (uint32_t at = 0; at < f->len; at += PORT_RECORD)
        p->state[get_u16(f->payload + at)] =
            (uint8_t)(get_u16(f->payload + at + 2) & (PORT_LISTENING | PORT_PRIVATE));
    p->uncredited += f->len;
    apply_later(p, clock_left(p->applied + APPLY_MS));
    return true;
}

/* The guest cannot tell of its listeners any more: what is known stays. */
static bool end_watch(struct ports *p, const struct frame *f)
{
    auto_free char *why = f->type == FRAME_ERROR ? guest_error_text(f) : NULL, *text = NULL;

    p->watching = false;
    if (!why)
        return true;
    text = mem_printf("ports of the VM are not forwarded: %s", why);
    note(p, text);
    return true;
}

bool ports_frame(struct ports *p, const struct frame *f)
{
    if (f->stream != PORTS_FIRST_STREAM)
        return forwards_frame(p->forwards, f);
    if (!p->watching)
        return false;
    if (f->type == FRAME_EXIT || f->type == FRAME_ERROR)
        return end_watch(p, f);
    return f->type == FRAME_DATA && take_records(p, f);
}

const struct port_pair *ports_list(const struct ports *p, size_t *n)
{
    *n = p ? p->n : 0;
    return p ? p->list : NULL;
}

void ports_account(const struct ports *p, struct port_account *out)
{
    *out = (struct port_account){.n = 0};
    for (unsigned guest = 1; guest < PORT_COUNT && out->n < PORTS_MAX; guest++)
        if (p->host_before[guest])
            out->pairs[out->n++] = (struct port_pair){(uint16_t)guest, p->host_before[guest]};
    forwards_count(p->forwards, &out->to_guest, &out->from_guest);
}

struct ports *ports_new(struct loop *l, struct conn *guest, const struct port_policy *policy,
                        const struct ports_events *ev)
{
    struct ports *p = mem_zalloc(1, sizeof(*p));
    auto_buf struct buf body = BUF_INIT;

    p->loop = l;
    p->guest = guest;
    p->policy = policy;
    p->ev = *ev;
    p->watching = true;
    p->forwards =
        forwards_new(l, guest, PORTS_FIRST_STREAM + FORWARDS_MAX, PORTS_OTHER_FILES, on_room, p);
    guest_ports_body(&body);
    conn_send_open(guest, PORTS_FIRST_STREAM, &body);
    return p;
}

void ports_free(struct ports *p)
{
    if (!p)
        return;
    loop_untimer(p->apply);
    loop_untimer(p->retry);
    for (size_t i = 0; i < p->n; i++)
        close_listener(p->listeners[i]);
    forwards_free(p->forwards);
    free(p);
}
