/* Agents that run on without a terminal of ours: run --detach, attach, wait, logs. */
#ifndef AGENTVM_SESSION_DETACH_H
#define AGENTVM_SESSION_DETACH_H

#include "session/session.h"

/* Starts the agent in the session's VM and leaves both to the supervisor.  Returns 0, or -1. */
int session_detach(struct session *s, const struct guest_program *p, struct err *e);

/* word: as in choose.h; NULL: the only detached agent of the folder of --project.  Each returns the
 * exit code for the shell, or -1. */
int session_attach(struct session *s, const char *word, bool steal, struct err *e);
/* wait and logs also take an agent that has ended; without a word, the folder's last one if none
 * runs. */
int session_wait(struct session *s, const char *word, struct err *e);
int session_logs(struct session *s, const char *word, bool follow, struct err *e);

#endif
