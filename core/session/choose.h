/* Which VM a command means that needs one which runs. */
#ifndef AGENTVM_SESSION_CHOOSE_H
#define AGENTVM_SESSION_CHOOSE_H

#include "session/session.h"

/* The VM of this id; or (NULL) the only one that runs for the folder of --project.  *out is its id;
 * the caller frees it. */
int choose_running(struct session *s, const char *id, char **out, struct err *e);

#endif
