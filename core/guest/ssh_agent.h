/* The host's ssh-agent, for programs in the guest: they may list its keys and sign with them, see
 * guest/ssh_filter.h. */
#ifndef AGENTVM_GUEST_SSH_AGENT_H
#define AGENTVM_GUEST_SSH_AGENT_H

#include <stdbool.h>

#include "channel/conn.h"
#include "proc/loop.h"

enum {
    SSH_AGENT_FIRST_STREAM = 1 << 29, /* streams from here on are ours, */
    SSH_AGENT_LAST_STREAM = (1 << 30) - 1,
    SSH_AGENT_MAX = 16, /* connections at once; further ones wait in the guest */
};

/* Where the guest has it. */
#define SSH_AGENT_GUEST_SOCKET "/run/agentvm/ssh-agent.sock"

struct ssh_agent;

struct ssh_agent_order {
    const char *path; /* of the agent's socket on this host */
    const char *user; /* of the guest, who may use it */
    /* Something the user should know, as one line; few of them whatever the guest does. */
    void (*note)(void *arg, const char *text);
    void *arg;
};

/* Begins to await the guest's programs; who is started in the guest from now on finds it.  The
 * order's strings are borrowed. */
struct ssh_agent *ssh_agent_new(struct loop *l, struct conn *guest,
                                const struct ssh_agent_order *order);
/* Closes the connections to the agent. */
void ssh_agent_free(struct ssh_agent *a);
/* A frame of one of the streams.  Returns false if the guest broke the protocol. */
bool ssh_agent_frame(struct ssh_agent *a, const struct frame *f);

#endif
