#include "proc/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"
#include "proc/lead.h"

extern char **environ;

/* Child descriptors are collected above this number first, so that dup2 overwrites none of them. */
enum { FD_SAFE_BASE = 64 };

void spawn_pass_fd(struct spawn_request *r, int parent, int child)
{
    if (r->nfds < SPAWN_FDS_MAX)
        r->fds[r->nfds++] = (struct spawn_fd){parent, child};
}

static bool is_program(const char *file)
{
    struct stat st;

    if (stat(file, &st) < 0) {
        errno = ENOENT; /* also in a folder that we may not search */
        return false;
    }
    if (!S_ISREG(st.st_mode)) { /* a folder may be "executable" too */
        errno = EACCES;
        return false;
    }
    return access(file, X_OK) == 0;
}

/* Searches a PATH-like list; without success errno is EACCES if a file of that name was there. */
static char *search(const char *name, const char *path)
{
    auto_free char *list = mem_strdup(path);
    char *save = NULL;
    int errnum = ENOENT;

    for (char *dir = strtok_r(list, ":", &save); dir; dir = strtok_r(NULL, ":", &save)) {
        auto_free char *file = mem_printf("%s/%s", dir, name);

        if (dir[0] == '/' && is_program(file))
            return steal_ptr(&file);
        if (dir[0] == '/' && errno == EACCES)
            errnum = EACCES;
    }
    errno = errnum;
    return NULL;
}

char *spawn_find(const char *name)
{
    const char *path = getenv("PATH");
    /* Administration programs live in sbin, which ordinary users' PATH often lacks. */
    auto_free char *list =
        mem_printf("%s:/usr/sbin:/sbin", path && *path ? path : "/usr/local/bin:/usr/bin:/bin");

    return search(name, list);
}

/* From here to exec only async-signal-safe calls are made. */

static void reset_signals(void)
{
    sigset_t none;

    for (int s = 1; s < NSIG; s++)
        signal(s, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static int open_null(int fd)
{
    int null = open("/dev/null", O_RDWR);

    if (null < 0 || (null != fd && dup2(null, fd) < 0))
        return -1;
    if (null > 2)
        close(null);
    return 0;
}

static bool is_passed(const struct spawn_request *r, int fd)
{
    for (size_t i = 0; i < r->nfds; i++)
        if (r->fds[i].child == fd)
            return true;
    return false;
}

/* *report is moved out of the way; its new number is written back. */
static int place_fds(const struct spawn_request *r, int *report)
{
    int high[SPAWN_FDS_MAX];
    int moved = fcntl(*report, F_DUPFD_CLOEXEC, FD_SAFE_BASE);

    if (moved < 0)
        return -1;
    *report = moved;
    for (size_t i = 0; i < r->nfds; i++) {
        high[i] = fcntl(r->fds[i].parent, F_DUPFD_CLOEXEC, FD_SAFE_BASE);
        if (high[i] < 0)
            return -1;
    }
    for (int fd = 0; fd < 3; fd++)
        if (open_null(fd) < 0)
            return -1;
    for (size_t i = 0; i < r->nfds; i++)
        if (dup2(high[i], r->fds[i].child) < 0)
            return -1;
    for (int fd = 3; fd < FD_SAFE_BASE; fd++)
        if (!is_passed(r, fd))
            close(fd);
    if (moved > FD_SAFE_BASE)
        syscall(SYS_close_range, FD_SAFE_BASE, (unsigned)moved - 1, 0);
    return (int)syscall(SYS_close_range, (unsigned)moved + 1, ~0u, 0);
}

static int become_user(const struct spawn_request *r)
{
    if (!r->set_ids)
        return 0;
    if (setgroups(r->ngroups, r->groups) < 0 || setgid(r->gid) < 0)
        return -1;
    return setuid(r->uid);
}

/* A process that raised its own limit does so for itself. */
static void limit_files(uint64_t soft)
{
    struct rlimit limit;

    if (!soft || getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = soft;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static int die_with_parent(int death_signal, pid_t parent)
{
    if (!death_signal)
        return 0;
    if (prctl(PR_SET_PDEATHSIG, death_signal) < 0)
        return -1;
    if (getppid() != parent)
        _exit(EXIT_AGENTVM); /* the parent died before prctl */
    return 0;
}

/* What the child reports when it could not become the program. */
struct child_failure {
    int errnum;
    int stage;
    struct jail_failure jail;
};

enum { STAGE_PREPARE, STAGE_JAIL, STAGE_CWD, STAGE_EXEC };

/* Forks the program, which goes on; this process becomes its leader and does not return. */
static int fork_led(void)
{
    pid_t pid;

    lead_prepare();
    pid = fork();
    if (pid > 0)
        lead_run(pid);
    return pid < 0 ? -1 : lead_become_foreground();
}

static int enter_jail(const struct spawn_request *r, struct child_failure *failure)
{
    if (!r->jail)
        return 0;
    failure->stage = STAGE_JAIL;
    if (jail_enter(r->jail, &failure->jail) < 0)
        return -1;
    failure->stage = STAGE_PREPARE;
    return 0;
}

static int prepare_child(const struct spawn_request *r, int *report, pid_t parent,
                         struct child_failure *failure)
{
    int death_signal = r->led ? SIGKILL : r->death_signal;

    if (place_fds(r, report) < 0)
        return -1;
    if ((r->new_session ? setsid() : setpgid(0, 0)) < 0)
        return -1;
    if (r->ctty && ioctl(0, TIOCSCTTY, 0) < 0)
        return -1;
    if (r->led) {
        parent = getpid();
        if (fork_led() < 0)
            return -1;
    }
    if (become_user(r) < 0 || enter_jail(r, failure) < 0)
        return -1;
    limit_files(r->files_limit);
    /* After the changes of rights, which clear it. */
    return die_with_parent(death_signal, parent);
}

static void run_child(const struct spawn_request *r, const char *file, int report, pid_t parent)
{
    struct child_failure failure = {.stage = STAGE_PREPARE};
    ssize_t n;

    if (prepare_child(r, &report, parent, &failure) == 0) {
        failure.stage = STAGE_CWD;
        if (!r->cwd || chdir(r->cwd) == 0) {
            failure.stage = STAGE_EXEC;
            reset_signals();
            execve(file, r->argv, r->env ? r->env : environ);
        }
    }
    failure.errnum = errno;
    n = write(report, &failure, sizeof(failure));
    _exit(n < 0 ? EXIT_CANNOT_EXEC : EXIT_NOT_FOUND);
}

/* A child that cannot be watched is not kept. */
static int adopt(struct child *out, pid_t pid, struct err *e)
{
    out->pid = pid;
    out->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (out->pidfd >= 0)
        return 0;
    err_errno(e, errno, "cannot watch a process");
    spawn_kill(out, 0);
    return -1;
}

static int exec_failed(const struct spawn_request *r, struct child_failure f, struct err *e)
{
    if (f.stage == STAGE_PREPARE)
        return err_errno(e, f.errnum, "cannot prepare a process for %s", r->argv[0]);
    if (f.stage == STAGE_JAIL)
        return jail_explain(r->jail, f.jail, f.errnum, e);
    if (f.stage == STAGE_CWD)
        return err_errno(e, f.errnum, "cannot enter folder %s", r->cwd);
    err_errno(e, f.errnum, "cannot execute %s", r->argv[0]);
    return err_exit(e, f.errnum == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXEC);
}

/* The file to execute: argv[0] itself if it has a slash (the child may have another folder). */
static char *find_program(const struct spawn_request *r)
{
    if (strchr(r->argv[0], '/'))
        return mem_strdup(r->argv[0]);
    return r->path ? search(r->argv[0], r->path) : spawn_find(r->argv[0]);
}

int spawn_start(const struct spawn_request *r, struct child *out, struct err *e)
{
    auto_free char *file = find_program(r);
    auto_close int report_r = -1, report_w = -1;
    struct child_failure failure = {.errnum = errno, .stage = STAGE_EXEC};
    int pipe_fds[2];
    pid_t parent = getpid(), pid;
    ssize_t n;

    *out = CHILD_INIT;
    if (!file)
        return exec_failed(r, failure, e);
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return err_errno(e, errno, "cannot create a pipe");
    report_r = pipe_fds[0];
    report_w = pipe_fds[1];
    pid = fork();
    if (pid < 0)
        return err_errno(e, errno, "cannot fork");
    if (pid == 0)
        run_child(r, file, report_w, parent);
    close_fd(&report_w);
    if (adopt(out, pid, e) < 0)
        return -1;
    do
        n = read(report_r, &failure, sizeof(failure));
    while (n < 0 && errno == EINTR);
    if (n == (ssize_t)sizeof(failure)) {
        spawn_kill(out, 0);
        return exec_failed(r, failure, e);
    }
    return 0;
}

static int compare_fds(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/* Closes all descriptors from 3 on but those of keep[], which is sorted for that. */
static void close_others(int *keep, size_t nkeep)
{
    unsigned next = 3;

    if (nkeep)
        qsort(keep, nkeep, sizeof(*keep), compare_fds);
    for (size_t i = 0; i < nkeep; i++) {
        if (keep[i] < 0 || (unsigned)keep[i] < next)
            continue;
        if ((unsigned)keep[i] > next)
            syscall(SYS_close_range, next, (unsigned)keep[i] - 1, 0);
        next = (unsigned)keep[i] + 1;
    }
    syscall(SYS_close_range, next, ~0u, 0);
}

int spawn_fork(int (*fn)(void *arg), void *arg, int *keep, size_t nkeep, struct child *out,
               struct err *e)
{
    pid_t pid = fork();

    *out = CHILD_INIT;
    if (pid < 0)
        return err_errno(e, errno, "cannot fork");
    if (pid == 0) {
        setsid();
        close_others(keep, nkeep);
        reset_signals();
        _exit(fn(arg));
    }
    return adopt(out, pid, e);
}
