/* Why QEMU ended: from its exit status, its last words and what it said over QMP. */
#ifndef AGENTVM_VM_QEMU_END_H
#define AGENTVM_VM_QEMU_END_H

#include <stdbool.h>

#include "base/err.h"
#include "proc/spawn.h"

struct qemu_end {
    struct exit_status status;
    bool asked;             /* it was asked to end */
    bool killed;            /* it did not do so, and got SIGKILL */
    const char *shutdown;   /* reason of its SHUTDOWN event, or NULL */
    const char *stderr_log; /* files, or NULL */
    const char *console;
};

/* Makes the error (a cause already in e stays), with the tail of the log that explains it as
 * detail; leaves e empty if the end was asked for or the guest powered itself off. */
void qemu_end_explain(const struct qemu_end *end, struct err *e);

/* Whether a signal ended it that agentvm did not send, and that no fault of its own raises. */
bool qemu_end_is_foreign(const struct qemu_end *end);

#endif
