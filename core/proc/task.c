#include "proc/task.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

enum {
    GRACE_MS = 10000, /* mmdebstrap unmounts and removes its folder in this time */
    LINE_MAX_BYTES = 4096,
};

struct task {
    struct task_env *env;
    const struct task_output *out;
    int fd; /* read end of the child's output */
    struct loop_watch *output_watch;
    struct buf line;
    const struct child *child;
    struct loop_timer *grace;
    bool child_ended, terminated;
};

int task_check(const struct task_env *t, struct err *e)
{
    if (!t->interrupted)
        return 0;
    err_set(e, "interrupted");
    return err_exit(e, EXIT_SIGNAL_BASE + t->interrupted);
}

static void flush_line(struct task *t)
{
    if (t->line.len > 0 && t->out->line)
        t->out->line(t->out->arg, t->line.data);
    t->line.len = 0;
}

/* Carriage returns end lines too: progress displays use them. */
static void split_lines(struct task *t, const char *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (data[i] == '\n' || data[i] == '\r')
            flush_line(t);
        else if (t->line.len < LINE_MAX_BYTES)
            buf_append(&t->line, data + i, 1);
    }
}

static bool read_output(struct task *t)
{
    char block[16384];
    ssize_t n = read(t->fd, block, sizeof(block));

    if (n <= 0)
        return n < 0 && errno == EINTR;
    if (t->out->log_fd >= 0)
        file_write_all(t->out->log_fd, block, (size_t)n, NULL);
    split_lines(t, block, (size_t)n);
    return true;
}

static void on_output(void *arg, short events)
{
    struct task *t = arg;

    (void)events;
    if (!read_output(t)) {
        loop_unwatch(t->output_watch);
        t->output_watch = NULL;
    }
}

static void on_child(void *arg, short events)
{
    struct task *t = arg;

    (void)events;
    t->child_ended = true;
    loop_quit(t->env->loop);
}

/* A task must not outlive us, not even when we are killed: a guard, in a session of its own, waits
 * for the pipe that only we hold, and then ends the task's process group. */
struct guard {
    struct child process;
    int lifeline; /* write end */
};

struct guard_order {
    int lifeline; /* read end */
    const struct child *task;
};

static int guard_main(void *arg)
{
    const struct guard_order *order = arg;
    struct pollfd task = {.fd = order->task->pidfd, .events = POLLIN};
    ssize_t n;
    char byte;

    do
        n = read(order->lifeline, &byte, 1);
    while (n < 0 && errno == EINTR);
    spawn_signal(order->task, SIGTERM);
    poll(&task, 1, GRACE_MS);
    spawn_signal(order->task, SIGKILL);
    return 0;
}

static int guard_start(struct guard *g, const struct child *task, struct err *e)
{
    struct guard_order order = {.task = task};
    int p[2], keep[2], rc;

    if (pipe2(p, O_CLOEXEC) < 0)
        return err_errno(e, errno, "cannot create a pipe");
    order.lifeline = p[0];
    g->lifeline = p[1];
    keep[0] = p[0];
    keep[1] = task->pidfd;
    rc = spawn_fork(guard_main, &order, keep, 2, &g->process, e);
    close(p[0]);
    if (rc < 0)
        close_fd(&g->lifeline);
    return rc;
}

/* The task was reaped: the guard goes before it sees its pipe close. */
static void guard_end(struct guard *g)
{
    spawn_kill(&g->process, 0);
    close_fd(&g->lifeline);
}

static void on_grace_over(void *arg)
{
    struct task *t = arg;

    t->grace = NULL;
    spawn_signal(t->child, SIGKILL);
}

/* Its output is read on: it may have much to say about its clean-up. */
static void terminate(struct task *t)
{
    t->terminated = true;
    spawn_signal(t->child, SIGTERM);
    t->grace = loop_timer(t->env->loop, GRACE_MS, on_grace_over, t);
}

static int wait_child(struct task *t, struct child *c, struct exit_status *status, struct err *e)
{
    struct loop_watch *watch = loop_watch(t->env->loop, c->pidfd, POLLIN, on_child, t);
    int rc;

    t->child = c;
    while (!t->child_ended) {
        if (t->env->interrupted && !t->terminated)
            terminate(t);
        loop_run(t->env->loop);
    }
    loop_unwatch(watch);
    loop_untimer(t->grace);
    if (t->terminated)
        spawn_signal(c, SIGKILL); /* what is left of its group */
    rc = spawn_reap(c, status, e);
    file_set_nonblock(t->fd, true, NULL);
    while (t->output_watch && read_output(t))
        ;
    flush_line(t);
    return t->terminated ? task_check(t->env, e) : rc;
}

int task_run(struct task_env *env, struct spawn_request *r, const struct task_output *out,
             struct exit_status *status, struct err *e)
{
    struct task t = {.env = env, .out = out, .fd = -1};
    auto_close int read_end = -1, write_end = -1;
    struct guard guard;
    struct child c;
    int p[2], rc;

    if (task_check(env, e) < 0)
        return -1;
    if (pipe2(p, O_CLOEXEC) < 0)
        return err_errno(e, errno, "cannot create a pipe");
    t.fd = read_end = p[0];
    write_end = p[1];
    spawn_pass_fd(r, write_end, STDOUT_FILENO);
    spawn_pass_fd(r, write_end, STDERR_FILENO);
    r->death_signal = SIGTERM; /* for the moment until the guard stands */
    if (spawn_start(r, &c, e) < 0)
        return -1;
    close_fd(&write_end);
    if (guard_start(&guard, &c, e) < 0) {
        spawn_kill(&c, GRACE_MS);
        return -1;
    }
    t.output_watch = loop_watch(env->loop, t.fd, POLLIN, on_output, &t);
    rc = wait_child(&t, &c, status, e);
    guard_end(&guard);
    loop_unwatch(t.output_watch);
    buf_free(&t.line);
    return rc;
}

int task_try_lock(int fd)
{
    return flock(fd, LOCK_EX | LOCK_NB);
}

struct lock_order {
    int fd;
    pid_t parent;
};

/* It may wait for many minutes, so it ends with us. */
static int lock_in_child(void *arg)
{
    const struct lock_order *order = arg;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != order->parent)
        return EXIT_AGENTVM;
    return flock(order->fd, LOCK_EX) == 0 ? 0 : EXIT_AGENTVM;
}

/* The wait happens in a forked child: a lock of flock(2) belongs to the open file description,
 * which both processes share, so it stays with us when the child ends. */
int task_lock(struct task_env *env, int fd, struct err *e)
{
    struct task_output none = {.log_fd = -1};
    struct task t = {.env = env, .out = &none, .fd = -1};
    struct lock_order order = {fd, getpid()};
    struct exit_status status = {0};
    struct child c;

    if (task_check(env, e) < 0 || spawn_fork(lock_in_child, &order, &fd, 1, &c, e) < 0 ||
        wait_child(&t, &c, &status, e) < 0)
        return -1;
    if (exit_status_code(status) != 0)
        return err_set(e, "cannot wait for a lock");
    return 0;
}
