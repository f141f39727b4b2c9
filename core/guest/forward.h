/* TCP connections of this host, each carried to a port of the guest on a stream of its own. */
#ifndef AGENTVM_GUEST_FORWARD_H
#define AGENTVM_GUEST_FORWARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "channel/conn.h"
#include "proc/loop.h"

enum {
    FORWARDS_MAX = 1024, /* at once */
    /* What of them may lie on the way to a guest that does not read. */
    FORWARDS_QUEUE_MAX = FORWARDS_MAX * CONNECT_WINDOW,
};

struct forwards;

/* Streams get numbers from first_stream to the last one.  has_room is called when there is room for
 * a connection again. */
struct forwards *forwards_new(struct loop *l, struct conn *guest, uint32_t first_stream,
                              void (*has_room)(void *arg), void *arg);
/* Aborts all connections. */
void forwards_free(struct forwards *s);
bool forwards_are_full(const struct forwards *s);
/* Carries an accepted connection (owned, non-blocking) to a port of the guest; there must be room.
 */
void forwards_add(struct forwards *s, int fd, unsigned port);
/* A frame of one of the streams.  Returns false if the guest broke the protocol. */
bool forwards_frame(struct forwards *s, const struct frame *f);

#endif
