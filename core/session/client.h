/* A client of a supervisor: the process that a user started. */
#ifndef AGENTVM_SESSION_CLIENT_H
#define AGENTVM_SESSION_CLIENT_H

#include <stdbool.h>
#include <termios.h>

#include "guest/exec.h"
#include "guest/ports.h"
#include "proc/task.h"
#include "session/stage.h"
#include "supervisor/supervisor.h"

struct client_link;

enum vm_fault {
    FAULT_HOST, /* its engine did not come up, or something outside the VM ended it */
    FAULT_LATE, /* a deadline passed: it may be good on a machine with less to do */
    FAULT_VM,   /* the engine came up, and the rest was the guest's turn */
};

/* Starts a VM and links to its supervisor as its creator. */
struct client_link *client_create(struct task_env *t, struct stages *stages,
                                  const struct vm_order *order, struct err *e);
/* Links to a VM that runs. */
struct client_link *client_attach(struct task_env *t, const struct paths *p, const char *id,
                                  struct err *e);
/* Waits until the VM takes requests. */
int client_wait_ready(struct client_link *c, struct err *e);
/* The VM's id. */
const char *client_id(const struct client_link *c);
/* Whether the VM was created by this link, and its life hangs on it. */
bool client_is_creator(const struct client_link *c);
/* Whose fault it is that the VM did not become ready. */
enum vm_fault client_fault(const struct client_link *c);
/* What there was of ports, once the VM ended in order; borrowed. */
const struct port_account *client_ports(const struct client_link *c);
/* For requests; valid until the link is freed. */
struct guest *client_guest(struct client_link *c);
/* Tells the supervisor that the terminal behind fd is raw now and how to restore it, in case this
 * process is killed; fd -1: it is restored. */
int client_lend_tty(struct client_link *c, int fd, const struct termios *saved, struct err *e);
/* Leaves the VM to itself, which this link created: it does not end with it. */
void client_let_go(struct client_link *c);
/* Waits until nothing of a VM is left that this link is attached to, or a signal came.  NULL is
 * allowed. */
void client_wait_end(struct client_link *c);
bool client_has_ended(const struct client_link *c);
/* Ends the VM and waits until nothing of it is left. */
int client_stop(struct client_link *c, struct err *e);
/* Ends a VM that another link created, unless that was done meanwhile. */
int client_stop_attached(struct client_link *c, struct err *e);
/* While held, lines that the supervisor has for the user wait: they would garble the terminal. */
void client_hold_notes(struct client_link *c, bool hold);
/* Ends the link; a creator's VM ends too, without waiting. NULL is allowed. */
void client_free(struct client_link *c);

#endif
