/* The supervisor's switchboard: streams of many clients over the one channel to guestd.
 *
 * Frames pass through with the stream's number rewritten.  Credit is end to end; the relay counts
 * it, so that a guest which sends more than it may is found out before it fills our memory.  What
 * the guest does not read is bounded by conn_limit on its connection. */
#ifndef AGENTVM_SUPERVISOR_RELAY_H
#define AGENTVM_SUPERVISOR_RELAY_H

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

/* A stream of the supervisor's own: fn gets what the guest sends on it, its end (EXIT or ERROR)
 * last.  Returns its number.  fn may not free the relay. */
typedef void relay_fn(void *arg, const struct frame *f);
uint32_t relay_open(struct relay *r, relay_fn *fn, void *arg);
/* Sends on it; DATA no more than relay_window allows. */
void relay_send(struct relay *r, uint32_t stream, uint8_t type, uint8_t lane, const void *data,
                size_t len);
/* Gives the guest credit for what it sent. */
void relay_credit(struct relay *r, uint32_t stream, uint8_t lane, uint32_t bytes);
/* How much the guest takes on LANE_IN now; 0 if the stream has ended. */
uint32_t relay_window(struct relay *r, uint32_t stream);

/* Streams below this number are the supervisor's own. */
enum { RELAY_FIRST_STREAM = 16 };

#endif
