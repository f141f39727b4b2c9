#include "channel/conn.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "proc/sock.h"

enum { READ_CHUNK = 256 * 1024, PORT_CHUNK = FRAME_PAYLOAD_MAX };

struct conn {
    struct loop *loop;
    struct loop_watch *watch;
    int fd;
    bool socket, paused, closed, freed;
    int depth; /* callbacks on the stack: freeing waits for them */
    int passed_fd;
    struct conn_events ev;
    struct buf in;
    struct buf out;
    size_t out_start; /* bytes of out already written */
    size_t limit;     /* of what may be queued; 0: none */
    struct loop_timer *overrun;
    struct conn_waiter *waiters; /* the first has the next turn */
    struct loop_timer *turns;
};

static void on_ready(void *arg, short events);

static void update_watch(struct conn *c)
{
    short events = 0;

    if (c->closed || !c->watch)
        return;
    if (!c->paused)
        events |= POLLIN;
    if (conn_queued(c) > 0)
        events |= POLLOUT;
    loop_watch_events(c->watch, events);
}

struct conn *conn_new(struct loop *l, int fd, bool socket, const struct conn_events *ev)
{
    struct conn *c = mem_zalloc(1, sizeof(*c));

    *c = (struct conn){.loop = l, .fd = fd, .socket = socket, .passed_fd = -1, .ev = *ev};
    file_set_nonblock(fd, true, NULL);
    c->watch = loop_watch(l, fd, POLLIN, on_ready, c);
    return c;
}

static void destroy(struct conn *c)
{
    close_fd(&c->fd);
    close_fd(&c->passed_fd);
    buf_free(&c->in);
    buf_free(&c->out);
    free(c);
}

static void stop_watching(struct conn *c)
{
    loop_unwatch(steal_ptr(&c->watch));
    loop_untimer(steal_ptr(&c->overrun));
    loop_untimer(steal_ptr(&c->turns));
    while (c->waiters)
        conn_unwait(c, c->waiters);
}

void conn_free(struct conn *c)
{
    if (!c)
        return;
    stop_watching(c);
    c->closed = c->freed = true;
    if (c->depth == 0)
        destroy(c);
}

static void fail(struct conn *c, const char *why)
{
    if (c->closed)
        return;
    c->closed = true;
    stop_watching(c);
    c->ev.closed(c->ev.arg, c, why);
}

size_t conn_queued(const struct conn *c)
{
    return c->out.len - c->out_start;
}

/* Leaves a callback. */
static void release(struct conn *c)
{
    c->depth--;
    if (c->freed && c->depth == 0)
        destroy(c);
}

static void on_overrun(void *arg)
{
    struct conn *c = arg;

    c->overrun = NULL;
    c->depth++;
    fail(c, "it does not read what it is sent");
    release(c);
}

/* Queues bytes, or none any more if the peer has let too many lie: the loop then ends the
 * connection, since whoever sends does not expect that. */
static void enqueue(struct conn *c, const void *data, size_t len)
{
    if (c->overrun)
        return;
    if (c->limit && conn_queued(c) + len > c->limit)
        c->overrun = loop_timer(c->loop, 0, on_overrun, c);
    else
        buf_append(&c->out, data, len);
}

void conn_limit(struct conn *c, size_t max)
{
    c->limit = max;
}

/* ---- room ----------------------------------------------------------------------------------- */

bool conn_has_room(const struct conn *c)
{
    return !c->waiters && conn_queued(c) < CONN_ROOM;
}

void conn_wait(struct conn *c, struct conn_waiter *w)
{
    struct conn_waiter **end = &c->waiters;

    if (w->waiting || c->closed)
        return;
    while (*end)
        end = &(*end)->next;
    w->next = NULL;
    w->waiting = true;
    *end = w;
}

void conn_unwait(struct conn *c, struct conn_waiter *w)
{
    struct conn_waiter **link = &c->waiters;

    if (!w->waiting)
        return;
    while (*link != w)
        link = &(*link)->next;
    *link = w->next;
    w->waiting = false;
}

static void give_turns(void *arg)
{
    struct conn *c = arg;

    c->turns = NULL;
    c->depth++;
    while (c->waiters && conn_queued(c) < CONN_ROOM) {
        struct conn_waiter *w = c->waiters;

        conn_unwait(c, w);
        w->fn(w->arg);
    }
    release(c);
}

/* Those who wait may find nothing to send: they are asked until one fills the room. */
static void check_room(struct conn *c)
{
    if (c->waiters && !c->turns && conn_queued(c) < CONN_ROOM / 2)
        c->turns = loop_timer(c->loop, 0, give_turns, c);
}

/* ---- writing -------------------------------------------------------------------------------- */

static bool is_transient(int errnum)
{
    return errnum == EAGAIN || errnum == EINTR;
}

/* Returns 0, or the errno of a failure that ends the connection. */
static int write_queued(struct conn *c)
{
    while (conn_queued(c) > 0) {
        ssize_t n = write(c->fd, c->out.data + c->out_start, conn_queued(c));

        if (n < 0 && is_transient(errno))
            break;
        if (n < 0)
            return errno;
        c->out_start += (size_t)n;
    }
    if (conn_queued(c) == 0) {
        c->out.len = c->out_start = 0;
    } else if (c->out_start > READ_CHUNK) {
        buf_consume(&c->out, c->out_start);
        c->out_start = 0;
    }
    check_room(c);
    return 0;
}

void conn_send(struct conn *c, uint8_t type, uint8_t lane, uint32_t stream, const void *payload,
               size_t len)
{
    uint8_t header[FRAME_HEADER];
    ssize_t n = 0;

    if (c->closed || c->overrun)
        return;
    frame_encode_header(header, type, lane, stream, (uint32_t)len);
    if (c->socket && conn_queued(c) == 0) { /* a virtio port would take the parts one by one */
        struct iovec iov[2] = {{header, sizeof(header)}, {(void *)payload, len}};

        n = writev(c->fd, iov, len ? 2 : 1);
        if (n < 0)
            n = 0; /* transient, or found again by on_ready, which may report it */
    }
    if ((size_t)n < sizeof(header)) {
        enqueue(c, header + n, sizeof(header) - (size_t)n);
        n = 0;
    } else {
        n -= (ssize_t)sizeof(header);
    }
    if ((size_t)n < len)
        enqueue(c, (const char *)payload + n, len - (size_t)n);
    if (!c->socket && conn_queued(c) <= FRAME_HEADER + len)
        write_queued(c); /* likewise */
    update_watch(c);
}

void conn_send_rest(struct conn *c, const void *data, size_t len)
{
    if (c->closed)
        return;
    enqueue(c, data, len);
    update_watch(c);
}

void conn_send_u32(struct conn *c, uint8_t type, uint8_t lane, uint32_t stream, uint32_t value)
{
    uint8_t raw[4];

    put_u32(raw, value);
    conn_send(c, type, lane, stream, raw, sizeof(raw));
}

void conn_send_open(struct conn *c, uint32_t stream, const struct buf *body)
{
    size_t sent = 0;

    for (; body->len - sent > FRAME_PAYLOAD_MAX; sent += FRAME_PAYLOAD_MAX)
        conn_send(c, FRAME_OPEN_PART, 0, stream, body->data + sent, FRAME_PAYLOAD_MAX);
    conn_send(c, FRAME_OPEN, 0, stream, body->data + sent, body->len - sent);
}

/* Hands on all complete frames in the buffer; the handler may free the connection meanwhile. */
static void dispatch(struct conn *c)
{
    size_t start = 0;
    struct frame f;
    enum frame_parse result = FRAME_MORE;

    c->depth++;
    while (!c->closed && !c->paused) {
        result = frame_parse(c->in.data + start, c->in.len - start, &f);
        if (result != FRAME_OK)
            break;
        start += FRAME_HEADER + f.len;
        c->ev.frame(c->ev.arg, c, &f);
    }
    if (!c->closed) {
        buf_consume(&c->in, start);
        if (result == FRAME_MALFORMED)
            fail(c, "malformed frame");
    }
    release(c);
}

static ssize_t receive(struct conn *c)
{
    buf_reserve(&c->in, c->socket ? READ_CHUNK : PORT_CHUNK);
    if (c->socket)
        return sock_recv(c->fd, c->in.data + c->in.len, READ_CHUNK, &c->passed_fd);
    return read(c->fd, c->in.data + c->in.len, PORT_CHUNK);
}

static void read_frames(struct conn *c)
{
    size_t before = c->in.len;
    ssize_t n = receive(c);

    /* A virtio port gives a page at a time: take what is there before frames are looked for. */
    while (n > 0 && !c->socket && c->in.len + (size_t)n - before < PORT_CHUNK) {
        c->in.len += (size_t)n;
        n = receive(c);
        if (n <= 0) {
            dispatch(c);
            return;
        }
    }
    if (n > 0) {
        c->in.len += (size_t)n;
        dispatch(c);
    } else if (n == 0) {
        fail(c, c->in.len ? "truncated frame" : NULL);
    } else if (!is_transient(errno)) {
        fail(c, errno == ECONNRESET ? NULL : strerror(errno));
    }
}

static void on_ready(void *arg, short events)
{
    struct conn *c = arg;
    int errnum = 0;

    c->depth++;
    if (events & POLLOUT)
        errnum = write_queued(c);
    if (!c->paused && (events & (POLLIN | POLLHUP | POLLERR)))
        read_frames(c); /* what the peer still said comes before its end */
    if (errnum)
        fail(c, errnum == EPIPE ? NULL : strerror(errnum));
    update_watch(c);
    release(c);
}

void conn_flush(struct conn *c, int timeout_ms)
{
    int64_t deadline = clock_ms() + timeout_ms;

    while (!c->closed && conn_queued(c) > 0) {
        struct pollfd p = {.fd = c->fd, .events = POLLOUT};

        if (poll(&p, 1, clock_left(deadline)) == 0 || write_queued(c) != 0)
            break;
    }
    update_watch(c);
}

void conn_pause(struct conn *c, bool paused)
{
    bool resumed = c->paused && !paused;

    c->paused = paused;
    update_watch(c);
    if (resumed && c->depth == 0) /* else the dispatch under way goes on */
        dispatch(c);
}

int conn_take_fd(struct conn *c)
{
    return steal_fd(&c->passed_fd);
}

int conn_fd(const struct conn *c)
{
    return c->fd;
}
