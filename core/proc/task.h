/* Long work in the foreground: children that are watched, logged and can be interrupted. */
#ifndef AGENTVM_PROC_TASK_H
#define AGENTVM_PROC_TASK_H

#include "base/err.h"
#include "proc/loop.h"
#include "proc/spawn.h"

/* Shared by whatever runs in the foreground; owned by the session.  A signal handler on the loop
 * sets interrupted and calls loop_quit. */
struct task_env {
    struct loop *loop;
    int interrupted; /* number of the signal that asked to end, or 0 */
};

struct task_output {
    int log_fd; /* stdout and stderr are appended here; -1: nowhere */
    void (*line)(void *arg, const char *line); /* each line of them, or NULL */
    void *arg;
};

/* 0, or -1 with "interrupted" and exit code 128 + signal. */
int task_check(const struct task_env *t, struct err *e);

/* Runs a child to its end.  r's stdout and stderr are set by this function.  When interrupted the
 * child's process group gets SIGTERM, 10 s later SIGKILL, and the error says so. */
int task_run(struct task_env *t, struct spawn_request *r, const struct task_output *out,
             struct exit_status *status, struct err *e);

/* Locks fd exclusively with flock(2) if nobody else has it: 0, else -1. */
int task_try_lock(int fd);
/* Waits until fd can be locked exclusively. */
int task_lock(struct task_env *t, int fd, struct err *e);

#endif
