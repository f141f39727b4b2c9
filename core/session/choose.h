/* Which VM a command means that needs one which runs. */
#ifndef AGENTVM_SESSION_CHOOSE_H
#define AGENTVM_SESSION_CHOOSE_H

#include "session/session.h"

/* A word names a VM by its ID, or by its name in the folder of --project.  *out is the ID; the
 * caller frees it. */

/* The VM of that word which runs; or (NULL) the only one that runs for that folder; may_lack:
 * without one, *out is NULL. */
int choose_running(struct session *s, const char *word, bool may_lack, char **out, struct err *e);

/* The only detached agent's VM that runs for that folder; may_lack: without one, *out stays NULL.
 */
int choose_detached(struct session *s, bool may_lack, char **out, struct err *e);
/* The VM of a detached agent that runs or has ended: of that word; or (NULL) that runs in the
 * folder, else the last one there.  One that is not kept has no name any more when it has ended. */
int choose_agent(struct session *s, const char *word, char **out, bool *runs, struct err *e);

#endif
