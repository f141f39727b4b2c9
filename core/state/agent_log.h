/* What a detached agent wrote: two files in the folder of logs, of which the older one goes when
 * the newer one is full. */
#ifndef AGENTVM_STATE_AGENT_LOG_H
#define AGENTVM_STATE_AGENT_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "model/paths.h"

enum { AGENT_LOG_MAX = 4 << 20 }; /* bytes of each */

struct agent_log {
    int fd;
    char *path, *old;
    uint64_t size; /* of path */
};

/* Paths of a VM's; the caller frees them. */
char *agent_log_path(const struct paths *p, const char *id, bool old);

/* Begins a new one, which only the user can read. */
int agent_log_create(struct agent_log *l, const struct paths *p, const char *id, struct err *e);
/* What there is no room for on the disk is lost. */
void agent_log_append(struct agent_log *l, const void *data, size_t len);
void agent_log_close(struct agent_log *l);

#endif
