/* How much of the host's processors and memory this process may use. */
#ifndef AGENTVM_MODEL_LIMITS_H
#define AGENTVM_MODEL_LIMITS_H

#include <stdint.h>

struct limits {
    unsigned cpus;   /* at least 1 */
    uint64_t memory; /* bytes; 0: not known */
};

/* Those of the host, narrowed by the affinity mask and the control groups (version 2) that the
 * process is in. */
void limits_find(struct limits *out);
/* Narrows by control groups alone: membership is the text of /proc/self/cgroup, root where their
 * tree is mounted.  What cannot be read does not limit. */
void limits_narrow(const char *membership, const char *root, struct limits *l);

#endif
