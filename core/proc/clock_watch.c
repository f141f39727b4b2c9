#include "proc/clock_watch.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/mem.h"

struct clock_watch {
    int fd;
    void (*fn)(void *arg);
    void *arg;
};

/* A timer that never expires, but is cancelled when the clock is set: see timerfd_create(2). */
static int arm(int fd)
{
    struct itimerspec never = {.it_value.tv_sec = LONG_MAX};

    return timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL);
}

static void on_ready(void *arg, short events)
{
    struct clock_watch *w = arg;
    uint64_t expired;

    (void)events;
    if (read(w->fd, &expired, sizeof(expired)) >= 0 || errno != ECANCELED)
        return;
    arm(w->fd);
    w->fn(w->arg);
}

int clock_watch(struct loop *l, void (*fn)(void *arg), void *arg, struct err *e)
{
    auto_close int fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    struct clock_watch *w;

    if (fd < 0 || arm(fd) < 0)
        return err_errno(e, errno, "cannot watch the clock");
    w = mem_zalloc(1, sizeof(*w));
    *w = (struct clock_watch){.fd = steal_fd(&fd), .fn = fn, .arg = arg};
    loop_watch(l, w->fd, POLLIN, on_ready, w);
    return 0;
}
