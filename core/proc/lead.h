/* The leader of a session on a terminal, in place of a shell. */
#ifndef AGENTVM_PROC_LEAD_H
#define AGENTVM_PROC_LEAD_H

#include <sys/types.h>

/* Before the program is forked: keeps signals for lead_run.  The program unblocks its own. */
void lead_prepare(void);
/* In the program, before it is executed: a process group of its own, in the foreground of the
 * terminal that is descriptor 0. */
int lead_become_foreground(void);
/* In the leader: hands signals on, continues the program when it stops, and ends as it does. */
void lead_run(pid_t program) __attribute__((noreturn));

#endif
