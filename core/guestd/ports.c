/* Which TCP ports have a listener that is reached over the loopback.
 *
 * The kernel tells of no listener by itself, so it is asked in turns.  sock_diag answers for
 * listeners alone; /proc/net/tcp also walks the table of all connections, which costs ten times as
 * much in an emulated guest.  What was told is remembered for each port, so there is no queue: a
 * host that gives no credit gets the differences later. */
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "guestd/server.h"

#define CONTAINERD "/sys/fs/cgroup/system.slice/containerd.service"

enum {
    SCAN_MS = 250,      /* measured in an emulated guest: a scan takes 1 to 2 ms */
    SCAN_SHARE = 10,    /* of the time, whatever the guest's programs do: one part for scans */
    SCAN_LATE_MS = 750, /* but a port is to appear within a second */
    PORTS = 65536,
    ANSWER_MAX = 65536,
};

struct ports {
    struct stream stream;
    struct loop_timer *timer;
    int fd; /* of sock_diag */
    uint32_t credit;
    uint64_t containerd; /* its control group: it has a port for itself, of a random number */
    uint8_t told[PORTS], now[PORTS]; /* enum port_state, by number */
};

/* Whether a connection to 127.0.0.1 or ::1 reaches who listens there. */
static bool is_reachable(const struct inet_diag_msg *m)
{
    struct in6_addr a;

    memcpy(&a, m->id.idiag_src, sizeof(a));
    if (m->idiag_family == AF_INET || IN6_IS_ADDR_V4MAPPED(&a)) {
        uint32_t v4 = ntohl(a.s6_addr32[m->idiag_family == AF_INET ? 0 : 3]);

        return v4 == INADDR_LOOPBACK || v4 == INADDR_ANY;
    }
    return IN6_IS_ADDR_LOOPBACK(&a) || IN6_IS_ADDR_UNSPECIFIED(&a);
}

/* The number of the control group that made the socket, or 0. */
static uint64_t group_of(const struct nlmsghdr *h)
{
    const struct inet_diag_msg *m = NLMSG_DATA(h);
    const struct rtattr *at = (const struct rtattr *)(m + 1);
    uint64_t group = 0;

    for (size_t left = h->nlmsg_len - NLMSG_LENGTH(sizeof(*m)); RTA_OK(at, left);
         at = RTA_NEXT(at, left))
        if (at->rta_type == INET_DIAG_CGROUP_ID && RTA_PAYLOAD(at) == sizeof(group))
            memcpy(&group, RTA_DATA(at), sizeof(group));
    return group;
}

static void add_listener(struct ports *p, const struct nlmsghdr *h)
{
    const struct inet_diag_msg *m = NLMSG_DATA(h);
    uint8_t *at = &p->now[ntohs(m->id.idiag_sport)];

    if (m->idiag_state != TCP_LISTEN || !is_reachable(m))
        return;
    if (!p->containerd || group_of(h) != p->containerd)
        *at = PORT_LISTENING;
    else if (!*at)
        *at = PORT_LISTENING | PORT_PRIVATE;
}

/* Takes one datagram of the answer.  Returns 1 if there are more, 0 at the end, -1 on an error. */
static int take_answer(struct ports *p, void *data, ssize_t len)
{
    for (struct nlmsghdr *h = data; NLMSG_OK(h, (size_t)len); h = NLMSG_NEXT(h, len)) {
        if (h->nlmsg_type == NLMSG_DONE)
            return 0;
        if (h->nlmsg_type == NLMSG_ERROR)
            return -1;
        if (h->nlmsg_type == SOCK_DIAG_BY_FAMILY &&
            h->nlmsg_len >= NLMSG_LENGTH(sizeof(struct inet_diag_msg)))
            add_listener(p, h);
    }
    return 1;
}

static int ask(int fd, uint8_t family)
{
    struct {
        struct nlmsghdr head;
        struct inet_diag_req_v2 body;
    } request = {.head = {.nlmsg_len = sizeof(request),
                          .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                          .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
                 .body = {.sdiag_family = family,
                          .sdiag_protocol = IPPROTO_TCP,
                          .idiag_states = 1u << TCP_LISTEN}};

    return send(fd, &request, sizeof(request), 0) == sizeof(request) ? 0 : -1;
}

/* Adds the listeners of a family.  The kernel has the answer ready when it is read. */
static int scan_family(struct ports *p, uint8_t family)
{
    _Alignas(struct nlmsghdr) char answer[ANSWER_MAX];
    int rc = ask(p->fd, family);

    if (rc < 0)
        return -1;
    do {
        ssize_t n = recv(p->fd, answer, sizeof(answer), MSG_DONTWAIT);

        rc = n < 0 ? -1 : take_answer(p, answer, n);
    } while (rc > 0);
    return rc;
}

static int open_diag(struct ports *p, struct err *e)
{
    close_fd(&p->fd); /* with what an answer that went wrong left there */
    p->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    return p->fd < 0 ? err_errno(e, errno, "cannot ask for listeners") : 0;
}

/* A guest without IPv6 has no listeners there. */
static int scan(struct ports *p, struct err *e)
{
    struct stat st;

    p->containerd = stat(CONTAINERD, &st) == 0 ? st.st_ino : 0;
    memset(p->now, 0, sizeof(p->now));
    if (scan_family(p, AF_INET) < 0)
        return err_errno(e, errno, "cannot list listeners");
    return scan_family(p, AF_INET6) < 0 ? open_diag(p, e) : 0;
}

/* Tells what changed, as far as credit goes. */
static void tell(struct ports *p)
{
    uint8_t records[FRAME_PAYLOAD_MAX];
    size_t len = 0;

    if (memcmp(p->now, p->told, sizeof(p->now)) == 0)
        return;
    for (unsigned port = 1; port < PORTS; port++) {
        if (p->now[port] == p->told[port] || p->credit < PORT_RECORD ||
            len + PORT_RECORD > sizeof(records))
            continue;
        put_u16(records + len, (uint16_t)port);
        put_u16(records + len + 2, p->now[port]);
        p->told[port] = p->now[port];
        p->credit -= PORT_RECORD;
        len += PORT_RECORD;
    }
    if (len > 0)
        conn_send(p->stream.server->conn, FRAME_DATA, LANE_OUT, p->stream.id, records, len);
}

static void on_turn(void *arg)
{
    struct ports *p = arg;
    auto_err struct err e = ERR_INIT;
    int64_t start = clock_ms(), pause;

    p->timer = NULL;
    if (scan(p, &e) < 0) {
        stream_error(&p->stream, &e);
        return;
    }
    tell(p);
    pause = (clock_ms() - start) * SCAN_SHARE;
    pause = pause < SCAN_MS ? SCAN_MS : pause > SCAN_LATE_MS ? SCAN_LATE_MS : pause;
    p->timer = loop_timer(p->stream.server->loop, (int)pause, on_turn, p);
}

static void ports_frame(struct stream *s, const struct frame *f)
{
    struct ports *p = (struct ports *)s;
    uint32_t bytes = f->type == FRAME_CREDIT && f->len == 4 ? get_u32(f->payload) : 0;

    if (f->type == FRAME_RESET)
        stream_ok(s);
    else if (f->lane == LANE_OUT)
        p->credit = bytes > FLOW_WINDOW - p->credit ? FLOW_WINDOW : p->credit + bytes;
}

static void ports_release(struct stream *s)
{
    struct ports *p = (struct ports *)s;

    loop_untimer(p->timer);
    close_fd(&p->fd);
}

static const struct stream_ops ports_ops = {.frame = ports_frame, .release = ports_release};

void ports_open(struct stream *s, struct field_reader r)
{
    struct ports *p = stream_become(s, sizeof(*p), &ports_ops);
    auto_err struct err e = ERR_INIT;

    (void)r;
    p->fd = -1;
    p->credit = FLOW_WINDOW;
    if (open_diag(p, &e) < 0)
        stream_error(&p->stream, &e);
    else
        p->timer = loop_timer(p->stream.server->loop, 0, on_turn, p);
}
