/* Tells when the host's clock is set. */
#ifndef AGENTVM_PROC_CLOCK_WATCH_H
#define AGENTVM_PROC_CLOCK_WATCH_H

#include "base/err.h"
#include "proc/loop.h"

/* Calls fn from the loop each time that CLOCK_REALTIME jumps against CLOCK_MONOTONIC: somebody set
 * it, or the host slept.  For the rest of the process.  Returns 0 or -1. */
int clock_watch(struct loop *l, void (*fn)(void *arg), void *arg, struct err *e);

#endif
