/* What `agentvm list` and others know of VMs: those that run, and those that are kept. */
#ifndef AGENTVM_STATE_ROWS_H
#define AGENTVM_STATE_ROWS_H

#include <stdbool.h>

#include "state/persist.h"
#include "state/vms.h"

struct vm_row {
    const char *id, *name, *agent, *project; /* of the two below; never NULL */
    bool running;                            /* or about to: somebody has it */
    bool kept;
    int64_t since; /* when it was started, or used last, in seconds since the epoch */
    unsigned cpus;
    uint64_t memory, disk, disk_used; /* bytes; the last on the host */
    struct vm_info run;               /* empty unless it runs */
    struct persist own;               /* empty unless it is kept */
};

struct vm_rows {
    struct vm_row *v;
    size_t n;
};

#define auto_vm_rows __attribute__((cleanup(vm_rows_free)))

/* Those of a project, or all (NULL): first those that run, the oldest start first, then the others
 * by folder and name.  One that cannot be read is told. */
int vm_rows_list(const struct paths *p, const char *project, struct vm_rows *out, struct err *e);
/* The one that a word names: by its id, or by its name in the project's folder; NULL: none. */
const struct vm_row *vm_rows_find(const struct vm_rows *l, const char *word, const char *project);
void vm_rows_free(struct vm_rows *l);

#endif
