/* A process that can do nothing but compute on what comes through one descriptor. */
#ifndef AGENTVM_PROC_CONFINE_H
#define AGENTVM_PROC_CONFINE_H

#include <stddef.h>

#include "base/err.h"

/* For the rest of this process, which has one thread, and of none that it could start: it reads and
 * writes fd, has an address space of at most memory bytes (not where the address sanitizer is,
 * which reserves terabytes), and ends.  Whatever else it asks of the kernel kills it with SIGSYS.
 * Returns 0, or -1 where the kernel cannot do that; the process is to end then. */
int confine_process(int fd, size_t memory, struct err *e);

#endif
