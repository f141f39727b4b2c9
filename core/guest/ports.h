/* Ports of the guest that appear on this host's 127.0.0.1: the guest tells of its listeners, the
 * policy says which of them get one here. */
#ifndef AGENTVM_GUEST_PORTS_H
#define AGENTVM_GUEST_PORTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "channel/conn.h"
#include "model/ports.h"
#include "proc/loop.h"

enum {
    PORTS_FIRST_STREAM = 1 << 30,      /* streams from here on are ours */
    PORTS_MAX = 256,                   /* listeners at once */
    PORTS_OTHER_FILES = 2 * PORTS_MAX, /* open files that are no forwarded connections */
};

struct ports;

struct ports_events {
    /* The list is another one now. */
    void (*changed)(void *arg);
    /* Something the user should know, as one line; few of them whatever the guest does. */
    void (*note)(void *arg, const char *text);
    void *arg;
};

struct port_pair {
    uint16_t guest, host;
};

/* What there was of it, for the record of a run. */
struct port_account {
    struct port_pair pairs[PORTS_MAX]; /* the first of those that were forwarded, by rising port of
                                          the guest; each with its last number here */
    size_t n;
    uint64_t to_guest, from_guest; /* bytes */
};

/* Begins to watch the guest behind the connection.  The policy is borrowed. */
struct ports *ports_new(struct loop *l, struct conn *guest, const struct port_policy *policy,
                        const struct ports_events *ev);
/* Closes listeners and connections. */
void ports_free(struct ports *p);
/* A frame of a stream from PORTS_FIRST_STREAM on. Returns false if the guest broke the protocol. */
bool ports_frame(struct ports *p, const struct frame *f);
/* What is forwarded now, by rising port of the guest: borrowed, up to the next event. */
const struct port_pair *ports_list(const struct ports *p, size_t *n);
void ports_account(const struct ports *p, struct port_account *out);

#endif
