/* The supervisor's switchboard: streams of many clients over the one channel to guestd.
 *
 * Frames pass through with the stream's number rewritten.  Credit is end to end; the relay counts
 * it, so that a guest which sends more than it may is found out before it fills our memory.  What
 * the guest does not read is bounded by conn_limit on its connection. */
#ifndef AGENTVM_SESSION_RELAY_H
#define AGENTVM_SESSION_RELAY_H

#include <stdbool.h>

#include "channel/conn.h"

struct relay;

struct relay *relay_new(struct conn *guest);
void relay_free(struct relay *r);
/* A frame of a client's stream. */
void relay_from_client(struct relay *r, struct conn *client, const struct frame *f);
/* A frame of the guest's.  Returns false if the guest broke the protocol. */
bool relay_from_guest(struct relay *r, const struct frame *f);
/* A client is gone: what it ran is killed. */
void relay_drop_client(struct relay *r, struct conn *client);

/* Streams below this number are the supervisor's own. */
enum { RELAY_FIRST_STREAM = 16 };

#endif
