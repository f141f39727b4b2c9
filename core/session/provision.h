/* Executing the steps of plans in a running VM. */
#ifndef AGENTVM_SESSION_PROVISION_H
#define AGENTVM_SESSION_PROVISION_H

#include "base/err.h"
#include "model/plan.h"
#include "session/session.h"

/* Writes the files of a plan (secret ones too), then runs its commands, their output going to the
 * file log, which is created.  Stops at the first that fails, naming it. */
int provision_run(struct session *s, const struct plan *p, const char *log, struct err *e);
/* Runs one command in the VM, its output appended to log, and fails if it does; name is how the
 * error calls it. */
int provision_command(struct session *s, const char *name, char *const *argv, const char *user,
                      int log, struct err *e);
/* Only the files. */
int provision_files(struct session *s, const struct plan *p, struct err *e);

#endif
