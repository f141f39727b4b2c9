/* Theory of operation
 *
 * A program that leads its session is in an orphaned process group: the kernel does not let the
 * terminal stop it, and whoever stops it otherwise, as full-screen programs do to themselves at
 * Ctrl-Z, waits for a shell that is not there.  With this process above it the program can stop,
 * and is told to go on at once, whereupon it paints its screen again.  Shells with job control see
 * to their children themselves and do not stop.
 *
 * The leader keeps the rights of who started it; the program, with fewer, cannot send it signals.
 */
#include "proc/lead.h"

#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"

void lead_prepare(void)
{
    sigset_t all;

    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
}

/* With SIGTTOU blocked, as it is here, the terminal lets a background process do so. */
static int set_foreground(pid_t group)
{
    return tcsetpgrp(STDIN_FILENO, group);
}

int lead_become_foreground(void)
{
    return setpgid(0, 0) < 0 ? -1 : set_foreground(getpid());
}

static void end_as(const siginfo_t *program)
{
    sigset_t one;

    if (program->si_code == CLD_EXITED)
        _exit(program->si_status);
    prctl(PR_SET_DUMPABLE, 0); /* it is not us who crashed */
    signal(program->si_status, SIG_DFL);
    sigemptyset(&one);
    sigaddset(&one, program->si_status);
    kill(getpid(), program->si_status);
    sigprocmask(SIG_UNBLOCK, &one, NULL);
    _exit(EXIT_SIGNAL_BASE + program->si_status);
}

/* One that stopped as it wanted the terminal while another group had it, which may be gone, gets
 * it. */
static void go_on(pid_t program, int signo)
{
    if (signo == SIGTTIN || signo == SIGTTOU)
        set_foreground(program);
    kill(-program, SIGCONT);
}

static void look_after(pid_t program)
{
    siginfo_t info = {0};

    while (waitid(P_PID, (id_t)program, &info, WEXITED | WSTOPPED | WNOHANG) == 0 &&
           info.si_pid == program) {
        if (info.si_code != CLD_STOPPED)
            end_as(&info);
        go_on(program, info.si_status);
        info = (siginfo_t){0};
    }
}

void lead_run(pid_t program)
{
    sigset_t all;

    syscall(SYS_close_range, STDERR_FILENO + 1, ~0u, 0);
    sigfillset(&all);
    for (;;) {
        int signo = sigwaitinfo(&all, NULL);

        if (signo > 0 && signo != SIGCHLD)
            kill(-program, signo);
        look_after(program);
    }
}
