/* Theory of operation
 *
 * The descriptor may be shared with other programs, so its O_NONBLOCK flag is not ours to change.
 * Pipes and terminals are reopened through /proc/self/fd, which gives an open file description of
 * its own; where that fails at most PIPE_BUF bytes are written after POLLOUT, which POSIX promises
 * not to block on a pipe.  Sockets take MSG_DONTWAIT; regular files never block.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "channel/pump.h"

enum { ABANDON_MS = 200 /* for a reader who may be gone */ };

enum sink_kind {
    SINK_NONBLOCK, /* our own open file description, or a regular file */
    SINK_SOCKET,
    SINK_BLOCKING,
};

struct sink {
    struct loop *loop;
    struct conn *conn;
    struct loop_watch *watch;
    uint32_t stream;
    uint8_t lane;
    int fd;
    int own_fd; /* reopened, or -1 */
    enum sink_kind kind;
    bool eof, done;
    int error; /* errno of the write that failed */
    struct buf queue;
    uint32_t window;
    struct sink *other;  /* writes to the same terminal, or NULL */
    bool waits;          /* until the other one's queue is empty */
    uint32_t uncredited; /* bytes written since the last CREDIT */
    pump_done_fn *done_fn;
    void *arg;
};

static void sink_open(struct sink *s, int fd)
{
    struct stat st;
    char path[32];

    s->fd = fd;
    s->own_fd = -1;
    s->kind = SINK_BLOCKING;
    if (fstat(fd, &st) < 0)
        return;
    if (S_ISREG(st.st_mode) || (fcntl(fd, F_GETFL) & O_NONBLOCK))
        s->kind = SINK_NONBLOCK;
    else if (S_ISSOCK(st.st_mode))
        s->kind = SINK_SOCKET;
    else if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)) {
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        s->own_fd = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (s->own_fd >= 0) {
            s->fd = s->own_fd;
            s->kind = SINK_NONBLOCK;
        }
    }
}

static ssize_t sink_write(struct sink *s)
{
    size_t len = s->queue.len;

    if (s->kind == SINK_SOCKET)
        return send(s->fd, s->queue.data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (s->kind == SINK_BLOCKING && len > PIPE_BUF)
        len = PIPE_BUF;
    return write(s->fd, s->queue.data, len);
}

static void watch_output(struct sink *s)
{
    if (!s->done)
        loop_watch_events(s->watch, s->queue.len > 0 && !s->waits ? POLLOUT : 0);
}

/* Before something is written or queued: whoever has something left to write has the turn. */
static void ask_turn(struct sink *s)
{
    if (s->queue.len == 0)
        s->waits = s->other && s->other->queue.len > 0;
}

static void pass_turn(struct sink *s)
{
    if (!s->other || s->queue.len > 0)
        return;
    s->other->waits = false;
    watch_output(s->other);
}

static void sink_end(struct sink *s)
{
    if (s->done)
        return;
    s->done = true;
    loop_unwatch(s->watch);
    s->watch = NULL;
    pass_turn(s);
    s->done_fn(s->arg);
}

static void give_credit(struct sink *s, size_t bytes)
{
    s->uncredited += (uint32_t)bytes;
    if (s->uncredited < s->window / 4)
        return;
    conn_send_u32(s->conn, FRAME_CREDIT, s->lane, s->stream, s->uncredited);
    s->uncredited = 0;
}

static void sink_ready(void *arg, short events)
{
    struct sink *s = arg;

    (void)events;
    while (s->queue.len > 0) {
        ssize_t n = sink_write(s);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        if (n < 0) { /* the reader is gone, or the disk full */
            s->error = errno;
            conn_send(s->conn, FRAME_STOP, s->lane, s->stream, NULL, 0);
            buf_free(&s->queue);
            sink_end(s);
            return;
        }
        buf_consume(&s->queue, (size_t)n);
        give_credit(s, (size_t)n);
        if (s->kind == SINK_BLOCKING)
            break;
    }
    if (s->queue.len == 0 && s->eof)
        sink_end(s);
    else
        watch_output(s);
    pass_turn(s);
}

struct sink *sink_new(struct loop *l, struct conn *c, uint32_t stream, uint8_t lane, int fd,
                      pump_done_fn *done, void *arg)
{
    struct sink *s = mem_zalloc(1, sizeof(*s));

    *s = (struct sink){.loop = l,
                       .conn = c,
                       .stream = stream,
                       .lane = lane,
                       .window = FLOW_WINDOW,
                       .done_fn = done,
                       .arg = arg};
    sink_open(s, fd);
    s->watch = loop_watch(l, s->fd, 0, sink_ready, s);
    return s;
}

void sink_set_window(struct sink *s, uint32_t window)
{
    s->window = window;
}

/* What the reader takes at once needs no place in the queue.  Returns how much that is; an error is
 * left for sink_ready to find. */
static size_t write_at_once(struct sink *s, const void *data, size_t len)
{
    bool now = s->kind == SINK_NONBLOCK && s->queue.len == 0 && !s->waits;
    ssize_t n = now ? write(s->fd, data, len) : 0;

    if (n <= 0)
        return 0;
    give_credit(s, (size_t)n);
    return (size_t)n;
}

bool sink_data(struct sink *s, const void *data, size_t len)
{
    size_t taken;

    if (s->done) /* after STOP: in flight, dropped */
        return true;
    if (s->eof || s->queue.len + s->uncredited + len > s->window)
        return false;
    ask_turn(s);
    taken = write_at_once(s, data, len);
    if (taken == len)
        return true;
    buf_append(&s->queue, (const char *)data + taken, len - taken);
    watch_output(s);
    return true;
}

void sink_skip(struct sink *s, size_t bytes)
{
    if (!s->done && bytes > 0)
        give_credit(s, bytes);
}

void sink_add(struct sink *s, const void *data, size_t len)
{
    if (s->done || s->eof || len == 0)
        return;
    ask_turn(s);
    buf_append(&s->queue, data, len);
    watch_output(s);
}

void sink_take_turns(struct sink *a, struct sink *b)
{
    a->other = b;
    b->other = a;
}

void sink_eof(struct sink *s)
{
    s->eof = true;
    if (s->queue.len == 0)
        sink_end(s);
}

void sink_abandon(struct sink *s, const void *data, size_t len)
{
    struct pollfd p = {.fd = s->fd, .events = POLLOUT};
    ssize_t n = 0;

    if (s->done)
        return;
    buf_free(&s->queue);
    buf_append(&s->queue, data, len);
    if (len > 0 && poll(&p, 1, ABANDON_MS) == 1)
        n = sink_write(s);
    (void)n;
    buf_free(&s->queue);
}

size_t sink_queued(const struct sink *s)
{
    return s->queue.len;
}

bool sink_is_done(const struct sink *s)
{
    return s->done;
}

int sink_error(const struct sink *s)
{
    bool unread = s->error == EPIPE || s->error == ECONNRESET || s->error == EIO;

    return unread ? 0 : s->error;
}

void sink_free(struct sink *s)
{
    if (!s)
        return;
    if (s->other)
        s->other->other = NULL;
    loop_unwatch(s->watch);
    close_fd(&s->own_fd);
    buf_free(&s->queue);
    free(s);
}
