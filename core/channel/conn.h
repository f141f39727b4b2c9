/* A connection that carries frames over a descriptor, on the event loop.
 *
 * Reading is bounded by one frame, writing by the flow control of the streams above it and, for
 * those who can wait, by CONN_ROOM; the owner may ask how much is queued.  The process must ignore
 * SIGPIPE.
 */
#ifndef AGENTVM_CHANNEL_CONN_H
#define AGENTVM_CHANNEL_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "channel/frame.h"
#include "proc/loop.h"

struct conn;

enum { CONN_ROOM = 8 << 20 }; /* bytes queued, from which on who can wait does */

/* Somebody who waits for room; embedded in its owner. */
struct conn_waiter {
    struct conn_waiter *next;
    bool waiting;
    void (*fn)(void *arg); /* called from the loop when it has its turn */
    void *arg;
};

struct conn_events {
    /* One frame; its payload is valid during the call.  The handler may close the connection. */
    void (*frame)(void *arg, struct conn *c, const struct frame *f);
    /* The peer hung up, broke the protocol or the descriptor failed; why is one line, or NULL for
     * an ordinary end.  Called once, the connection is dead and only conn_free is left. */
    void (*closed)(void *arg, struct conn *c, const char *why);
    void *arg;
};

/* Takes ownership of fd and makes it non-blocking.  socket: descriptors may come along with frames
 * (see conn_take_fd). */
struct conn *conn_new(struct loop *l, int fd, bool socket, const struct conn_events *ev);
/* Closes and frees; safe inside the connection's own callbacks. NULL is allowed. */
void conn_free(struct conn *c);

/* Queues a frame of at most FRAME_PAYLOAD_MAX bytes and writes what the peer takes at once. */
void conn_send(struct conn *c, uint8_t type, uint8_t lane, uint32_t stream, const void *payload,
               size_t len);
void conn_send_u32(struct conn *c, uint8_t type, uint8_t lane, uint32_t stream, uint32_t value);
/* Queues the rest of a frame whose first bytes the owner wrote to the descriptor itself. */
void conn_send_rest(struct conn *c, const void *data, size_t len);
/* Sends an OPEN with a body of any size up to OPEN_BODY_MAX. */
void conn_send_open(struct conn *c, uint32_t stream, const struct buf *body);
/* Sends HELLO with our version. */
void conn_send_hello(struct conn *c);
/* Checks the peer's HELLO; who names the peer for the message.  Returns 0 or -1 with *why set
 * (the caller frees it). */
int conn_check_hello(const struct frame *f, const char *who, char **why);

/* Bytes queued and not yet taken by the peer. */
size_t conn_queued(const struct conn *c);
/* Ends the connection, from the loop, when more than max bytes are queued: for a peer that grants
 * credit but does not read. */
void conn_limit(struct conn *c, size_t max);
/* For those who read what they send: many of them together are to queue no more than CONN_ROOM and
 * a frame, whatever credit each has.  Whether one may go on now; or it waits, once, behind those
 * who wait already.  A waiter whose connection was freed waits no more. */
bool conn_has_room(const struct conn *c);
void conn_wait(struct conn *c, struct conn_waiter *w);
void conn_unwait(struct conn *c, struct conn_waiter *w);
/* Writes out what is queued, waiting at most timeout_ms. */
void conn_flush(struct conn *c, int timeout_ms);
/* Pauses or resumes reading. */
void conn_pause(struct conn *c, bool paused);
/* The descriptor that came along last, or -1; the caller owns it. */
int conn_take_fd(struct conn *c);
/* The underlying descriptor, borrowed. */
int conn_fd(const struct conn *c);

#endif
