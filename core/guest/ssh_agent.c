/* Theory of operation
 *
 *     ssh-agent         host                               guest             program
 *                       OPEN_SSH_AGENT ----------------->  accept, waits
 *                                                   <---   CREDIT(0)  <---- connect
 *                       OPEN_SSH_AGENT ----------------->  accept, waits for the next one
 *                       collects a request, judges it <--  DATA(1)    <---- request
 *       accept  <------ connects, if this is the first,
 *       request <------ and passes it, or
 *       answer  ------> answers itself; DATA(0) -------->             ----> answer
 *
 * One stream waits in the guest at any time, as long as there are fewer than SSH_AGENT_MAX: so the
 * host opens all streams, and the queue of those who wait is the guest's own.
 *
 * Requests are taken one by one: the next is judged when the one before was answered, so that a
 * refusal comes in its turn.  What a link keeps is bounded by a message each way and a window. */
#include "guest/ssh_agent.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "base/str.h"
#include "guest/request.h"
#include "guest/ssh_filter.h"
#include "proc/sock.h"

enum {
    REQUESTS_MAX = SSH_MESSAGE_MAX + CONNECT_WINDOW, /* bytes that wait, or may come */
    READ_MAX = 65536,
};

enum phase {
    FREE,
    WAITING,   /* for a program to connect */
    LISTENING, /* to its next request */
    ASKING,    /* the agent has the request, or is getting it */
    ANSWERING, /* the program is getting the answer */
    LEAVING,   /* no more is to be said: the guest is to end the stream */
};

struct link {
    struct ssh_agent *set;
    enum phase phase;
    uint32_t stream;
    int fd; /* to the agent, or -1 */
    struct loop_watch *watch;
    struct buf requests; /* the guest's, as they come */
    uint32_t window;     /* how much more of them may come */
    struct buf request;  /* what the agent has not taken of it */
    struct buf answer;
    uint32_t credit; /* how much the guest takes */
    bool eof;        /* the program says no more */
};

struct ssh_agent {
    struct loop *loop;
    struct conn *guest;
    struct ssh_agent_order order;
    uint32_t serial;
    bool told, given_up;
    struct link links[SSH_AGENT_MAX];
};

static void note(struct ssh_agent *a, const char *what, const char *why)
{
    auto_free char *text = mem_printf("%s: %s", what, why);

    if (!a->told)
        a->order.note(a->order.arg, text);
    a->told = true;
}

/* Closes what a link has on this side. */
static void close_link(struct link *l)
{
    loop_unwatch(steal_ptr(&l->watch));
    close_fd(&l->fd);
    buf_free(&l->requests);
    buf_free(&l->request);
    buf_free(&l->answer);
}

/* Has the next connection come on a stream of its own, if there is room and none waits already. */
static void await(struct ssh_agent *a)
{
    auto_buf struct buf body = BUF_INIT;
    struct link *room = NULL;

    for (size_t i = 0; i < SSH_AGENT_MAX; i++) {
        if (a->links[i].phase == WAITING)
            return;
        if (a->links[i].phase == FREE)
            room = &a->links[i];
    }
    if (!room || a->given_up)
        return;
    *room = (struct link){
        .set = a,
        .phase = WAITING,
        .stream = SSH_AGENT_FIRST_STREAM + a->serial,
        .fd = -1,
        .window = CONNECT_WINDOW,
    };
    a->serial = (a->serial + 1) % (SSH_AGENT_LAST_STREAM - SSH_AGENT_FIRST_STREAM + 1);
    guest_ssh_agent_body(&body, SSH_AGENT_GUEST_SOCKET, a->order.user);
    conn_send_open(a->guest, room->stream, &body);
}

/* The program sees its connection break. */
static void break_link(struct link *l)
{
    close_link(l);
    l->phase = LEAVING;
    conn_send(l->set->guest, FRAME_RESET, 0, l->stream, NULL, 0);
}

/* The program said all, and was told all. */
static void finish(struct link *l)
{
    close_link(l);
    l->phase = LEAVING;
    conn_send(l->set->guest, FRAME_EOF, LANE_IN, l->stream, NULL, 0);
}

/* While an answer is on its way to the program nothing is read behind it; at other times the
 * agent's end is noticed. */
static void watch_agent(struct link *l)
{
    short events = l->phase == ANSWERING ? 0 : POLLIN;

    if (l->watch)
        loop_watch_events(l->watch, l->request.len > 0 ? events | POLLOUT : events);
}

/* There is room for a window behind the longest request. */
static void grant(struct link *l)
{
    size_t room = REQUESTS_MAX - l->requests.len;
    uint32_t window = room < CONNECT_WINDOW ? (uint32_t)room : CONNECT_WINDOW;

    if (l->eof || window < l->window + CONNECT_WINDOW / 4)
        return;
    conn_send_u32(l->set->guest, FRAME_CREDIT, LANE_OUT, l->stream, window - l->window);
    l->window = window;
}

/* Sends of the answer what the guest takes.  Returns whether that was all. */
static bool send_answer(struct link *l)
{
    while (l->answer.len > 0 && l->credit > 0) {
        size_t n = l->answer.len < l->credit ? l->answer.len : l->credit;

        if (n > FRAME_PAYLOAD_MAX)
            n = FRAME_PAYLOAD_MAX;
        conn_send(l->set->guest, FRAME_DATA, LANE_IN, l->stream, l->answer.data, n);
        l->credit -= (uint32_t)n;
        buf_consume(&l->answer, n);
    }
    return l->answer.len == 0;
}

static void on_agent(void *arg, short events);

/* A connection to the agent, unless the link has one.  Before a request that the agent is to get
 * there is none: a program that is told by a broken connection has asked by then. */
static bool call_agent(struct link *l)
{
    struct ssh_agent *a = l->set;
    auto_err struct err e = ERR_INIT;

    if (l->fd >= 0)
        return true;
    l->fd = sock_connect_now(a->order.path, &e);
    if (l->fd >= 0)
        l->watch = loop_watch(a->loop, l->fd, POLLIN, on_agent, l);
    else
        note(a, "the ssh-agent of this host does not answer", err_msg(&e));
    return l->fd >= 0;
}

/* Takes a complete request; returns its size, 0 if there is none. */
static size_t take_request(struct link *l, const char *data, size_t len)
{
    size_t size = 0;

    switch (ssh_judge_request(data, len, &size)) {
    case SSH_MORE:
        return 0;
    case SSH_PASS:
        if (!call_agent(l))
            break;
        buf_append(&l->request, data, size);
        l->phase = ASKING;
        return size;
    case SSH_REFUSE:
        buf_append(&l->answer, ssh_failure, sizeof(ssh_failure));
        l->phase = ANSWERING;
        return size;
    case SSH_BROKEN:
        break;
    }
    break_link(l);
    return 0;
}

/* Goes on as far as can be now. */
static void advance(struct link *l)
{
    size_t at = 0, size = 1;

    while (size > 0) {
        if (l->phase == ANSWERING && send_answer(l))
            l->phase = LISTENING;
        size = 0;
        if (l->phase == LISTENING && at < l->requests.len)
            size = take_request(l, l->requests.data + at, l->requests.len - at);
        at += size;
    }
    if (l->phase == LEAVING)
        return;
    buf_consume(&l->requests, at);
    if (l->phase == LISTENING && l->eof) {
        finish(l);
        return;
    }
    grant(l);
    watch_agent(l);
}

/* Returns false if the agent does not take it. */
static bool write_request(struct link *l)
{
    ssize_t n = send(l->fd, l->request.data, l->request.len, MSG_NOSIGNAL);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    buf_consume(&l->request, (size_t)n);
    return true;
}

/* Returns false at the agent's end, and if it says what was not asked. */
static bool read_answer(struct link *l)
{
    char block[READ_MAX];
    ssize_t n = recv(l->fd, block, sizeof(block), 0);
    size_t size = 0;

    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    if (n == 0 || l->phase != ASKING || l->request.len > 0)
        return false;
    buf_append(&l->answer, block, (size_t)n);
    switch (ssh_judge_answer(l->answer.data, l->answer.len, &size)) {
    case SSH_MORE:
        return true;
    case SSH_PASS:
        l->phase = ANSWERING;
        return l->answer.len == size;
    default:
        return false;
    }
}

static void on_agent(void *arg, short events)
{
    struct link *l = arg;

    if (((events & POLLOUT) && !write_request(l)) || ((events & ~POLLOUT) && !read_answer(l))) {
        break_link(l);
        return;
    }
    advance(l);
}

static void remove_link(struct link *l)
{
    close_link(l);
    l->phase = FREE;
    await(l->set);
}

static bool end_link(struct link *l, const struct frame *f)
{
    auto_free char *why = f->type == FRAME_ERROR ? guest_error_text(f) : NULL;

    if (l->phase == WAITING) { /* it cannot listen */
        l->set->given_up = true;
        note(l->set, "the ssh-agent is not forwarded to the VM", why ? why : "no reason is known");
    }
    remove_link(l);
    return true;
}

static bool take_data(struct link *l, const struct frame *f)
{
    if (f->lane != LANE_OUT || f->len == 0 || f->len > l->window || l->eof)
        return false;
    l->window -= f->len;
    if (l->phase == LEAVING) /* it crossed our end */
        return true;
    buf_append(&l->requests, f->payload, f->len);
    if (l->phase == LISTENING)
        advance(l);
    return true;
}

static bool take_eof(struct link *l, const struct frame *f)
{
    if (f->lane != LANE_OUT || l->eof)
        return false;
    l->eof = true;
    if (l->phase == LISTENING)
        advance(l);
    return true;
}

static bool take_credit(struct link *l, const struct frame *f)
{
    uint32_t bytes = f->len == 4 ? get_u32(f->payload) : 0;

    if (f->lane != LANE_IN || bytes == 0)
        return false;
    l->credit = bytes > CONNECT_WINDOW - l->credit ? CONNECT_WINDOW : l->credit + bytes;
    if (l->phase == WAITING) { /* a program connected */
        l->phase = LISTENING;
        await(l->set);
    } else if (l->phase == ANSWERING) {
        advance(l);
    }
    return true;
}

static struct link *find(struct ssh_agent *a, uint32_t stream)
{
    for (size_t i = 0; i < SSH_AGENT_MAX; i++)
        if (a->links[i].phase != FREE && a->links[i].stream == stream)
            return &a->links[i];
    return NULL;
}

bool ssh_agent_frame(struct ssh_agent *a, const struct frame *f)
{
    struct link *l = find(a, f->stream);

    if (!l)
        return false;
    if (f->type == FRAME_EXIT || f->type == FRAME_ERROR)
        return end_link(l, f);
    if (f->type == FRAME_CREDIT)
        return take_credit(l, f);
    if (l->phase == WAITING)
        return false;
    switch (f->type) {
    case FRAME_DATA:
        return take_data(l, f);
    case FRAME_EOF:
        return take_eof(l, f);
    case FRAME_STOP: /* the program hears no more */
        if (l->phase != LEAVING)
            break_link(l);
        return f->lane == LANE_IN;
    default:
        return false;
    }
}

struct ssh_agent *ssh_agent_new(struct loop *l, struct conn *guest,
                                const struct ssh_agent_order *order)
{
    struct ssh_agent *a = mem_zalloc(1, sizeof(*a));

    *a = (struct ssh_agent){.loop = l, .guest = guest, .order = *order};
    await(a);
    return a;
}

void ssh_agent_free(struct ssh_agent *a)
{
    if (!a)
        return;
    for (size_t i = 0; i < SSH_AGENT_MAX; i++)
        if (a->links[i].phase != FREE)
            close_link(&a->links[i]);
    free(a);
}
