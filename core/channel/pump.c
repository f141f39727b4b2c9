/* Theory of operation
 *
 * A descriptor may be shared with other programs (the user's terminal, a pipe of a shell), so its
 * O_NONBLOCK flag is not ours to change.  A source needs no flag: one read after poll does not
 * block.  A sink reopens pipes and terminals through /proc/self/fd, which gives an open file
 * description of its own; where that fails it writes at most PIPE_BUF bytes after POLLOUT, which
 * POSIX promises not to block on a pipe.  Sockets take MSG_DONTWAIT; regular files never block.
 */
#include "channel/pump.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

enum { ABANDON_MS = 200 /* for a reader who may be gone */ };

struct source {
    struct loop *loop;
    struct conn *conn;
    struct loop_watch *watch;
    uint32_t stream;
    uint8_t lane;
    int fd;
    bool finishing, done;
    size_t left; /* while finishing: how much is still read */
    uint32_t credit;
    pump_done_fn *done_fn;
    void *arg;
};

static void source_end(struct source *s, bool send_eof)
{
    if (s->done)
        return;
    s->done = true;
    loop_unwatch(s->watch);
    s->watch = NULL;
    if (send_eof)
        conn_send(s->conn, FRAME_EOF, s->lane, s->stream, NULL, 0);
    s->done_fn(s->arg);
}

/* Sends what one read gives.  Returns false when there is nothing more (now, if finishing). */
static bool source_read(struct source *s)
{
    char block[FRAME_PAYLOAD_MAX];
    size_t want = s->credit < sizeof(block) ? s->credit : sizeof(block);
    ssize_t n = read(s->fd, block, want < s->left ? want : s->left);

    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return !s->finishing;
    if (n <= 0) /* the end; EIO from a terminal whose other side closed */
        return false;
    s->credit -= (uint32_t)n;
    if (s->finishing)
        s->left -= (size_t)n;
    conn_send(s->conn, FRAME_DATA, s->lane, s->stream, block, (size_t)n);
    return true;
}

static bool is_readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, 0) > 0 && (p.revents & POLLIN);
}

/* Reads until the descriptor is empty or credit is used up; ends when it is empty. */
static void source_drain(struct source *s)
{
    while (!s->done && s->credit > 0)
        if (s->left == 0 || !is_readable(s->fd) || !source_read(s))
            source_end(s, true);
}

static void source_ready(void *arg, short events)
{
    struct source *s = arg;

    (void)events;
    if (s->finishing)
        source_drain(s);
    else if (!source_read(s))
        source_end(s, true);
    if (!s->done && s->credit == 0)
        loop_watch_events(s->watch, 0);
}

struct source *source_new(struct loop *l, struct conn *c, uint32_t stream, uint8_t lane, int fd,
                          pump_done_fn *done, void *arg)
{
    struct source *s = mem_zalloc(1, sizeof(*s));

    *s = (struct source){.loop = l,
                         .conn = c,
                         .stream = stream,
                         .lane = lane,
                         .fd = fd,
                         .left = SIZE_MAX,
                         .credit = FLOW_WINDOW,
                         .done_fn = done,
                         .arg = arg};
    s->watch = loop_watch(l, fd, POLLIN, source_ready, s);
    return s;
}

void source_credit(struct source *s, uint32_t bytes)
{
    if (s->done || bytes == 0) /* without credit a read would look like the end */
        return;
    s->credit = bytes > FLOW_WINDOW - s->credit ? FLOW_WINDOW : s->credit + bytes;
    loop_watch_events(s->watch, POLLIN);
    if (s->finishing)
        source_drain(s);
}

void source_stop(struct source *s)
{
    source_end(s, false);
}

void source_finish(struct source *s)
{
    struct stat st;
    int n;

    s->finishing = true;
    /* Somebody else may hold the pipe and write faster than we read. */
    if (fstat(s->fd, &st) == 0 && S_ISFIFO(st.st_mode) && ioctl(s->fd, FIONREAD, &n) == 0)
        s->left = (size_t)n;
    source_drain(s);
}

bool source_is_done(const struct source *s)
{
    return s->done;
}

void source_free(struct source *s)
{
    if (!s)
        return;
    loop_unwatch(s->watch);
    free(s);
}

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
    if (s->uncredited < FLOW_WINDOW / 4)
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

    *s = (struct sink){
        .loop = l, .conn = c, .stream = stream, .lane = lane, .done_fn = done, .arg = arg};
    sink_open(s, fd);
    s->watch = loop_watch(l, s->fd, 0, sink_ready, s);
    return s;
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
    if (s->eof || s->queue.len + s->uncredited + len > FLOW_WINDOW)
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
