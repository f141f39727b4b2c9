/* `agentvm cp`. */
#ifndef AGENTVM_SESSION_COPY_H
#define AGENTVM_SESSION_COPY_H

#include "session/session.h"

/* words: at least one source and the target, NULL-terminated; one side is in a VM that runs, as
 * "ID:path" or ":path".  Returns the exit code, or -1. */
int session_copy(struct session *s, char *const *words, struct err *e);

#endif
