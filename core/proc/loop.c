#include "proc/loop.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

/* Removed watches and timers are only marked, and freed between rounds: a callback may remove one
 * that is about to be dispatched. */
struct loop_watch {
    struct loop_watch *next;
    struct loop *loop;
    int fd;
    short events;
    bool removed;
    loop_fd_fn *fn;
    void *arg;
};

struct loop_timer {
    struct loop_timer *next;
    int64_t deadline;
    bool removed;
    loop_timer_fn *fn;
    void *arg;
};

struct loop {
    struct loop_watch *watches;
    struct loop_timer *timers;
    struct pollfd *polls;
    struct loop_watch **polled;
    size_t cap;
    bool quit;
    int signal_fd;
    loop_signal_fn *signal_fn;
    void *signal_arg;
};

struct loop *loop_new(void)
{
    struct loop *l = mem_zalloc(1, sizeof(*l));

    l->signal_fd = -1;
    return l;
}

struct loop_watch *loop_watch(struct loop *l, int fd, short events, loop_fd_fn *fn, void *arg)
{
    struct loop_watch *w = mem_zalloc(1, sizeof(*w));

    *w = (struct loop_watch){
        .next = l->watches, .loop = l, .fd = fd, .events = events, .fn = fn, .arg = arg};
    l->watches = w;
    return w;
}

void loop_watch_events(struct loop_watch *w, short events)
{
    w->events = events;
}

void loop_unwatch(struct loop_watch *w)
{
    if (w)
        w->removed = true;
}

struct loop_timer *loop_timer(struct loop *l, int ms, loop_timer_fn *fn, void *arg)
{
    struct loop_timer *t = mem_zalloc(1, sizeof(*t));

    *t = (struct loop_timer){.next = l->timers, .deadline = clock_ms() + ms, .fn = fn, .arg = arg};
    l->timers = t;
    return t;
}

void loop_untimer(struct loop_timer *t)
{
    if (t)
        t->removed = true;
}

static void on_signal(void *arg, short events)
{
    struct loop *l = arg;
    struct signalfd_siginfo info;

    (void)events;
    while (read(l->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
        l->signal_fn(l->signal_arg, (int)info.ssi_signo);
}

int loop_signals(struct loop *l, const int *signals, loop_signal_fn *fn, void *arg, struct err *e)
{
    sigset_t set;

    sigemptyset(&set);
    for (; *signals; signals++)
        sigaddset(&set, *signals);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return err_errno(e, errno, "cannot block signals");
    l->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (l->signal_fd < 0)
        return err_errno(e, errno, "cannot receive signals");
    l->signal_fn = fn;
    l->signal_arg = arg;
    loop_watch(l, l->signal_fd, POLLIN, on_signal, l);
    return 0;
}

static void free_removed(struct loop *l, bool all)
{
    for (struct loop_watch **w = &l->watches; *w;) {
        struct loop_watch *dead = *w;

        if (dead->removed || all) {
            *w = dead->next;
            free(dead);
        } else {
            w = &dead->next;
        }
    }
    for (struct loop_timer **t = &l->timers; *t;) {
        struct loop_timer *dead = *t;

        if (dead->removed || all) {
            *t = dead->next;
            free(dead);
        } else {
            t = &dead->next;
        }
    }
}

void loop_free(struct loop *l)
{
    if (!l)
        return;
    free_removed(l, true);
    close_fd(&l->signal_fd);
    free(l->polls);
    free(l->polled);
    free(l);
}

static size_t collect(struct loop *l)
{
    size_t n = 0;

    for (struct loop_watch *w = l->watches; w; w = w->next) {
        if (w->removed || !w->events)
            continue;
        if (n == l->cap) {
            l->cap = l->cap ? 2 * l->cap : 16;
            l->polls = mem_realloc(l->polls, l->cap, sizeof(*l->polls));
            l->polled = mem_realloc(l->polled, l->cap, sizeof(*l->polled));
        }
        l->polls[n] = (struct pollfd){.fd = w->fd, .events = w->events};
        l->polled[n++] = w;
    }
    return n;
}

static int next_timeout(const struct loop *l, int timeout_ms)
{
    int64_t deadline = timeout_ms < 0 ? -1 : clock_ms() + timeout_ms;

    for (const struct loop_timer *t = l->timers; t; t = t->next)
        if (!t->removed && (deadline < 0 || t->deadline < deadline))
            deadline = t->deadline;
    return clock_left(deadline);
}

static void run_timers(struct loop *l)
{
    int64_t now = clock_ms();

    for (struct loop_timer *t = l->timers; t; t = t->next) {
        if (t->removed || t->deadline > now)
            continue;
        t->removed = true;
        t->fn(t->arg);
    }
}

void loop_step(struct loop *l, int timeout_ms)
{
    size_t n = collect(l);
    int ready = poll(l->polls, n, next_timeout(l, timeout_ms));

    for (size_t i = 0; ready > 0 && i < n; i++) {
        struct loop_watch *w = l->polled[i];

        if (l->polls[i].revents && !w->removed)
            w->fn(w->arg, l->polls[i].revents);
    }
    run_timers(l);
    free_removed(l, false);
}

void loop_run(struct loop *l)
{
    l->quit = false;
    while (!l->quit)
        loop_step(l, -1);
}

void loop_quit(struct loop *l)
{
    l->quit = true;
}
