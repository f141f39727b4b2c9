/* The only place that starts processes.
 *
 * A child gets exactly the descriptors named in the request (0, 1 and 2 are /dev/null unless
 * named), default signal dispositions, an empty signal mask and, if asked, dies with its parent.
 * A failed exec comes back as an error with errno, over a close-on-exec pipe.
 */
#ifndef AGENTVM_PROC_SPAWN_H
#define AGENTVM_PROC_SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/str.h"
#include "proc/jail.h"

struct spawn_fd {
    int parent; /* open descriptor of this process; stays open here */
    int child;  /* its number in the child, below 64 */
};

enum { SPAWN_FDS_MAX = 8 };

struct spawn_request {
    char *const *argv; /* argv[0] is searched if it has no slash */
    const char *path;  /* where to search, as PATH; NULL: this process's PATH */
    char *const *env;  /* NULL: this process's environment */
    const char *cwd;   /* NULL: this process's */
    struct spawn_fd fds[SPAWN_FDS_MAX];
    size_t nfds;
    int death_signal; /* sent to the child when its parent dies; 0: none */
    bool new_session; /* setsid(); otherwise a new process group */
    bool ctty;        /* with new_session: child descriptor 0 becomes its terminal */
    bool led;         /* with ctty: the child started is a leader above the program; see lead.c */
    bool set_ids;     /* become uid, gid and groups */
    uid_t uid;
    gid_t gid;
    const gid_t *groups;
    size_t ngroups;
    uint64_t files_limit;    /* soft limit of open files; 0: this process's */
    const struct jail *jail; /* NULL: it sees files as this process does */
};

/* A child that was started.  pidfd becomes readable when it ends; whoever owns the struct reaps it
 * with spawn_reap or spawn_kill. */
struct child {
    pid_t pid; /* 0: none */
    int pidfd;
};

#define CHILD_INIT ((struct child){.pid = 0, .pidfd = -1})

/* How a child ended. */
struct exit_status {
    bool signaled;
    int code; /* exit code, or signal number */
};

/* Adds a descriptor to the request. */
void spawn_pass_fd(struct spawn_request *r, int parent, int child);
/* Starts the child.  A failure's exit code is 127 if argv[0] was not found, 126 if it could not be
 * executed, 0 (agentvm's own) if the child could not be prepared. */
int spawn_start(const struct spawn_request *r, struct child *out, struct err *e);
/* Forks a process that runs fn(arg) and exits with its value; it keeps the descriptors 0 to 2 and
 * those in keep[] (which the child sorts), and gets a session of its own. */
int spawn_fork(int (*fn)(void *arg), void *arg, int *keep, size_t nkeep, struct child *out,
               struct err *e);
/* Waits for the end up to a clock_ms() deadline (negative: for ever).
 * Returns 0 and reaps; 1 if the deadline passed first; -1 on error. */
int spawn_wait(struct child *c, int64_t deadline, struct exit_status *status, struct err *e);
/* Reaps a child known to have ended. */
int spawn_reap(struct child *c, struct exit_status *status, struct err *e);
/* Whether a child that was stopped goes on since this was asked last; SIGCHLD is the time to ask.
 */
bool spawn_went_on(pid_t pid);
/* Sends a signal to the child's process group (it has one of its own) and to the child. */
void spawn_signal(const struct child *c, int signal);
/* SIGTERM, up to grace_ms, then SIGKILL for what is left of the group; reaps.  Does nothing for
 * CHILD_INIT. */
void spawn_kill(struct child *c, int grace_ms);
/* The exit code a shell would show: code, or 128 + signal. */
int exit_status_code(struct exit_status status);

/* Runs a short program to its end with stdin closed and collects the first max bytes of its
 * stdout, and of its stderr if errout is not NULL.  A longer run than timeout_ms is killed and is
 * an error. Returns 0 whatever the exit status, which is in *status. */
int spawn_capture(char *const *argv, size_t max, int timeout_ms, struct buf *out,
                  struct buf *errout, struct exit_status *status, struct err *e);

/* Finds a program in PATH; returns its path (the caller frees it) or NULL. */
char *spawn_find(const char *name);

#endif
