/* Theory of operation
 *
 *     client          host                                guest          server
 *       connect ----> accept, OPEN_CONNECT ------------->  connect -------> accept
 *                     reads the client from here on  <---  CREDIT(0)
 *       bytes ------> DATA(0) -------------------------->  bytes
 *       half-close -> EOF(0)  -------------------------->  half-close
 *                     and the same from the right to the left on lane 1
 *                     end, when all is written       <---  EXIT
 *
 * The guest ends every stream once, with EXIT or ERROR, and may be hostile: what it sends is
 * checked against the state of its stream, and the slots and windows bound what it makes us keep.
 * Nor do clients matter that send a lot, byte by byte: nothing more is read from them while much
 * waits for the guest (CONN_ROOM).
 */
#include "guest/forward.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "channel/pump.h"
#include "guest/request.h"

struct forward {
    struct forwards *set;
    uint32_t stream;
    int fd;
    struct source *to_guest;
    struct sink *from_guest;
    bool eof;   /* the guest sends no more */
    bool ended; /* the guest ended the stream; what it sent may still be on its way to the client */
};

struct forwards {
    struct loop *loop;
    struct conn *guest;
    uint32_t first_stream, serial;
    size_t n, max;
    uint64_t to_guest, from_guest;       /* bytes; to_guest of those that are gone */
    struct forward *slots[FORWARDS_MAX]; /* a stream's number says which */
    struct loop_timer *reaper;
    void (*has_room)(void *arg);
    void *arg;
};

static size_t most(uint64_t other_files)
{
    uint64_t limit = file_limit(), max = 1;

    if (limit > other_files + FORWARD_FILES)
        max = (limit - other_files) / FORWARD_FILES;
    return max < FORWARDS_MAX ? (size_t)max : FORWARDS_MAX;
}

struct forwards *forwards_new(struct loop *l, struct conn *guest, uint32_t first_stream,
                              uint64_t other_files, void (*has_room)(void *arg), void *arg)
{
    struct forwards *s = mem_zalloc(1, sizeof(*s));

    *s = (struct forwards){.loop = l,
                           .guest = guest,
                           .first_stream = first_stream,
                           .max = most(other_files),
                           .has_room = has_room,
                           .arg = arg};
    return s;
}

bool forwards_are_full(const struct forwards *s)
{
    return s->n >= s->max;
}

static void forward_free(struct forward *f)
{
    source_free(f->to_guest);
    sink_free(f->from_guest);
    close_fd(&f->fd);
    free(f);
}

static void remove_forward(struct forward *f)
{
    struct forwards *s = f->set;

    s->slots[(f->stream - s->first_stream) % FORWARDS_MAX] = NULL;
    s->n--;
    s->to_guest += source_sent(f->to_guest);
    forward_free(f);
}

void forwards_count(const struct forwards *s, uint64_t *to_guest, uint64_t *from_guest)
{
    *to_guest = s->to_guest;
    *from_guest = s->from_guest;
    for (size_t i = 0; i < FORWARDS_MAX; i++)
        if (s->slots[i])
            *to_guest += source_sent(s->slots[i]->to_guest);
}

/* The client sees that this was not an ordinary end. */
static void abort_forward(struct forward *f)
{
    struct linger none = {.l_onoff = 1, .l_linger = 0};

    setsockopt(f->fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
}

void forwards_free(struct forwards *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < FORWARDS_MAX; i++) {
        if (!s->slots[i])
            continue;
        if (!sink_is_done(s->slots[i]->from_guest))
            abort_forward(s->slots[i]);
        forward_free(s->slots[i]);
    }
    loop_untimer(s->reaper);
    free(s);
}

static void reap(void *arg)
{
    struct forwards *s = arg;
    bool was_full = forwards_are_full(s);

    s->reaper = NULL;
    for (size_t i = 0; i < FORWARDS_MAX; i++) {
        struct forward *f = s->slots[i];

        if (f && f->ended && sink_is_done(f->from_guest))
            remove_forward(f);
    }
    if (was_full && !forwards_are_full(s))
        s->has_room(s->arg);
}

/* Removes from the loop what is over: its pumps may be at work now. */
static void reap_later(struct forward *f)
{
    struct forwards *s = f->set;

    if (f->ended && sink_is_done(f->from_guest) && !s->reaper)
        s->reaper = loop_timer(s->loop, 0, reap, s);
}

static void on_source_done(void *arg)
{
    (void)arg; /* the guest is told, and ends the stream when it is through, too */
}

static void on_sink_done(void *arg)
{
    struct forward *f = arg;

    shutdown(f->fd, SHUT_WR);
    reap_later(f);
}

/* A number that no stream had for a long time. */
static uint32_t next_stream(struct forwards *s, uint32_t slot)
{
    uint32_t serials = (UINT32_MAX - s->first_stream) / FORWARDS_MAX;

    s->serial = (s->serial + 1) % serials;
    return s->first_stream + s->serial * FORWARDS_MAX + slot;
}

void forwards_add(struct forwards *s, int fd, unsigned port)
{
    struct forward *f = mem_zalloc(1, sizeof(*f));
    auto_buf struct buf body = BUF_INIT;
    uint32_t slot = 0;

    while (s->slots[slot])
        slot++;
    *f = (struct forward){.set = s, .stream = next_stream(s, slot), .fd = fd};
    s->slots[slot] = f;
    s->n++;
    guest_connect_body(&body, port);
    conn_send_open(s->guest, f->stream, &body);
    f->to_guest = source_new(s->loop, s->guest, f->stream, LANE_IN, fd, on_source_done, f);
    source_set_window(f->to_guest, CONNECT_WINDOW, 0);
    f->from_guest = sink_new(s->loop, s->guest, f->stream, LANE_OUT, fd, on_sink_done, f);
    sink_set_window(f->from_guest, CONNECT_WINDOW);
}

static struct forward *find(const struct forwards *s, uint32_t stream)
{
    struct forward *f = s->slots[(stream - s->first_stream) % FORWARDS_MAX];

    return f && f->stream == stream && !f->ended ? f : NULL;
}

/* The guest ended the stream; in an ordinary way, after all that it sent. */
static bool end_forward(struct forward *f, bool ordinary)
{
    f->ended = true;
    source_stop(f->to_guest);
    if (!ordinary) {
        abort_forward(f);
        remove_forward(f);
        return true;
    }
    if (!f->eof)
        sink_eof(f->from_guest);
    reap_later(f);
    return true;
}

static bool take_output(struct forward *f, const struct frame *frame)
{
    if (frame->lane != LANE_OUT || f->eof)
        return false;
    if (frame->type == FRAME_DATA)
        f->set->from_guest += frame->len;
    if (frame->type == FRAME_DATA)
        return frame->len > 0 && sink_data(f->from_guest, frame->payload, frame->len);
    f->eof = true;
    sink_eof(f->from_guest);
    return true;
}

bool forwards_frame(struct forwards *s, const struct frame *frame)
{
    struct forward *f = find(s, frame->stream);
    bool was_full = forwards_are_full(s);

    if (!f)
        return false;
    switch (frame->type) {
    case FRAME_DATA:
    case FRAME_EOF:
        return take_output(f, frame);
    case FRAME_CREDIT:
        if (frame->lane != LANE_IN || frame->len != 4)
            return false;
        source_credit(f->to_guest, get_u32(frame->payload));
        return true;
    case FRAME_STOP:
        if (frame->lane != LANE_IN)
            return false;
        source_stop(f->to_guest);
        return true;
    case FRAME_EXIT:
        return end_forward(f, true);
    case FRAME_ERROR:
        end_forward(f, false);
        if (was_full)
            s->has_room(s->arg);
        return true;
    default:
        return false;
    }
}
