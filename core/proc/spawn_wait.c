/* What becomes of a child: its end, and the signals on the way there. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/mem.h"
#include "proc/spawn.h"

int spawn_reap(struct child *c, struct exit_status *status, struct err *e)
{
    siginfo_t info = {0};

    while (waitid(P_PID, (id_t)c->pid, &info, WEXITED) < 0)
        if (errno != EINTR)
            return err_errno(e, errno, "cannot wait for process %d", c->pid);
    close_fd(&c->pidfd);
    c->pid = 0;
    if (status)
        *status = (struct exit_status){info.si_code != CLD_EXITED, info.si_status};
    return 0;
}

/* Whether it ended by the deadline. */
static bool wait_end(const struct child *c, int64_t deadline)
{
    struct pollfd p = {.fd = c->pidfd, .events = POLLIN};
    int n;

    do
        n = poll(&p, 1, clock_left(deadline));
    while (n < 0 && errno == EINTR);
    return n != 0;
}

int spawn_wait(struct child *c, int64_t deadline, struct exit_status *status, struct err *e)
{
    return wait_end(c, deadline) ? spawn_reap(c, status, e) : 1;
}

bool spawn_went_on(pid_t pid)
{
    siginfo_t info = {0};

    return pid > 0 && waitid(P_PID, (id_t)pid, &info, WCONTINUED | WNOHANG) == 0 &&
           info.si_pid == pid;
}

void spawn_signal(const struct child *c, int signal)
{
    if (c->pid <= 0)
        return;
    kill(-c->pid, signal);
    kill(c->pid, signal);
}

void spawn_kill(struct child *c, int grace_ms)
{
    if (c->pid <= 0)
        return;
    if (grace_ms > 0) {
        spawn_signal(c, SIGTERM);
        wait_end(c, clock_ms() + grace_ms);
    }
    spawn_signal(c, SIGKILL); /* its group, too: until it is reaped the number is its own */
    spawn_reap(c, NULL, NULL);
}

int exit_status_code(struct exit_status status)
{
    return status.signaled ? EXIT_SIGNAL_BASE + status.code : status.code;
}
