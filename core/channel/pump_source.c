/* From a descriptor to a lane.  It may be shared with other programs (the user's terminal, a pipe
 * of a shell), so its O_NONBLOCK flag is not ours to change; nor need it be: one read after poll
 * does not block. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "channel/pump.h"

struct source {
    struct loop *loop;
    struct conn *conn;
    struct loop_watch *watch;
    uint32_t stream;
    uint8_t lane;
    int fd;
    bool finishing, done;
    size_t left; /* while finishing: how much is still read */
    uint32_t window, credit;
    uint64_t sent;
    struct conn_waiter waiter;
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
    conn_unwait(s->conn, &s->waiter);
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
    s->sent += (uint64_t)n;
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

static void watch_input(struct source *s)
{
    if (!s->done)
        loop_watch_events(s->watch, s->credit > 0 && !s->waiter.waiting ? POLLIN : 0);
}

static void source_ready(void *arg, short events)
{
    struct source *s = arg;

    (void)events;
    if (s->finishing)
        source_drain(s);
    else if (!conn_has_room(s->conn))
        conn_wait(s->conn, &s->waiter);
    else if (!source_read(s))
        source_end(s, true);
    watch_input(s);
}

/* There is room, and those who waited longer had theirs. */
static void source_turn(void *arg)
{
    struct source *s = arg;

    if (s->credit > 0 && is_readable(s->fd) && !source_read(s))
        source_end(s, true);
    watch_input(s);
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
                         .window = FLOW_WINDOW,
                         .credit = FLOW_WINDOW,
                         .waiter = {.fn = source_turn, .arg = s},
                         .done_fn = done,
                         .arg = arg};
    s->watch = loop_watch(l, fd, POLLIN, source_ready, s);
    return s;
}

void source_set_window(struct source *s, uint32_t window, uint32_t granted)
{
    s->window = window;
    s->credit = granted;
    watch_input(s);
}

void source_credit(struct source *s, uint32_t bytes)
{
    if (s->done || bytes == 0) /* without credit a read would look like the end */
        return;
    s->credit = bytes > s->window - s->credit ? s->window : s->credit + bytes;
    watch_input(s);
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

uint64_t source_sent(const struct source *s)
{
    return s->sent;
}

bool source_is_done(const struct source *s)
{
    return s->done;
}

void source_free(struct source *s)
{
    if (!s)
        return;
    conn_unwait(s->conn, &s->waiter);
    loop_unwatch(s->watch);
    free(s);
}
