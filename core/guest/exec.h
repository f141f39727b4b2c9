/* The client's end of requests to guestd: runs one to its end on the event loop. */
#ifndef AGENTVM_GUEST_EXEC_H
#define AGENTVM_GUEST_EXEC_H

#include <stdbool.h>

#include "base/err.h"
#include "channel/conn.h"
#include "guest/request.h"
#include "proc/loop.h"
#include "proc/spawn.h"

/* A link to guestd over a connection (normally the supervisor's socket).  The owner of the
 * connection hands it frames and tells it when the connection is gone. */
struct guest;

struct guest *guest_new(struct loop *l, struct conn *c);
void guest_free(struct guest *g);
/* Takes a frame of a stream other than 0. Returns false if it breaks the protocol. */
bool guest_frame(struct guest *g, const struct frame *f);
/* The connection ended: the request that runs fails with why, unless its end was told before. */
void guest_lost(struct guest *g, const char *why);

/* Where a program's streams go on this side. Descriptors are borrowed. */
struct guest_stdio {
    int in, out, err; /* in: -1 for end of file at once */
    bool tty;         /* in is a terminal (already raw): the program gets one too */
    bool raw;         /* a terminal gets every byte, not only what is harmless; see terminal.h */
};

/* Runs a program and waits for its end.  Returns 0 with *status, or -1 if it could not be started
 * (exit codes 126 and 127 as in spawn) or the connection was lost. */
int guest_exec(struct guest *g, const struct guest_program *p, const struct guest_stdio *io,
               struct exit_status *status, struct err *e);
/* Whether the guest's kernel killed a program for want of memory while the last one ran. */
bool guest_lacked_memory(const struct guest *g);
/* What the user is told then. */
#define GUEST_LACKED_MEMORY                                                                      \
    "the VM's memory did not suffice, and its kernel killed a program; --memory gives a new VM " \
    "more"
/* Starts the agent, which the supervisor keeps when this link ends; record is what it completes at
 * the agent's end.  tty: give it a terminal of rows x columns, else its stdin is at its end.
 * Returns when it runs. */
int guest_detach(struct guest *g, const struct guest_program *p, bool tty, uint16_t rows,
                 uint16_t columns, const char *record, struct err *e);
/* Gives the supervisor the record so far of a run: it completes that if this process is killed. */
void guest_leave_record(struct guest *g, const char *record);
/* The run is over, and the VM goes on: this process writes the record. */
void guest_take_record_back(struct guest *g);
/* Comes to the agent that a supervisor keeps, with our terminal, until it ends or the user leaves:
 * then *left is true.  steal: takes it from who is attached. */
int guest_attach(struct guest *g, const struct guest_stdio *io, bool steal, bool *left,
                 struct exit_status *status, struct err *e);
/* Writes a file in the guest. path may start with "~/". */
int guest_put(struct guest *g, const char *path, uint32_t mode, const char *user, const void *data,
              size_t len, struct err *e);

/* For the running program, from signal handlers on the loop; without one they do nothing. */
void guest_signal(struct guest *g, int signal);
void guest_resize(struct guest *g, uint16_t rows, uint16_t columns);
/* Gives the running request up: guest_exec returns -1 at once, with why. */
void guest_abort(struct guest *g, const char *why);

#endif
