/* Which VM a command means that needs one which runs. */
#ifndef AGENTVM_SESSION_CHOOSE_H
#define AGENTVM_SESSION_CHOOSE_H

#include "session/session.h"

/* The VM of this id; or (NULL) the only one that runs for the folder of --project.  *out is its id;
 * the caller frees it. */
int choose_running(struct session *s, const char *id, char **out, struct err *e);

/* The only detached agent's VM that runs for that folder; may_lack: without one, *out stays NULL.
 */
int choose_detached(struct session *s, bool may_lack, char **out, struct err *e);
/* The VM of a detached agent that runs or has ended: of this id; or (NULL) that runs in the folder,
 * else the last one there. */
int choose_agent(struct session *s, const char *id, char **out, bool *runs, struct err *e);

#endif
