/* TCP connections of this host, each carried to a port of the guest on a stream of its own. */
#ifndef AGENTVM_GUEST_FORWARD_H
#define AGENTVM_GUEST_FORWARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "channel/conn.h"
#include "proc/loop.h"

enum {
    FORWARDS_MAX = 1024, /* at once, where the limit of open files allows it */
    FORWARD_FILES = 2,   /* that one takes of this limit: poll(2) gets it once for each direction */
};

struct forwards;

/* Streams get numbers from first_stream to the last one.  Others need so many files, of those that
 * the process may open now.  has_room is called when there is room for a connection again. */
struct forwards *forwards_new(struct loop *l, struct conn *guest, uint32_t first_stream,
                              uint64_t other_files, void (*has_room)(void *arg), void *arg);
/* Aborts all connections. */
void forwards_free(struct forwards *s);
bool forwards_are_full(const struct forwards *s);
/* Carries an accepted connection (owned, non-blocking) to a port of the guest; there must be room.
 */
void forwards_add(struct forwards *s, int fd, unsigned port);
/* How many bytes were carried to the guest and from it so far. */
void forwards_count(const struct forwards *s, uint64_t *to_guest, uint64_t *from_guest);
/* A frame of one of the streams.  Returns false if the guest broke the protocol. */
bool forwards_frame(struct forwards *s, const struct frame *f);

#endif
