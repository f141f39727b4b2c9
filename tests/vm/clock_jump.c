/* Preloaded into agentvm: a host whose clock jumps by so many seconds as are written to the FIFO
 * $CLOCK_JUMP.  Programs that agentvm starts, QEMU included, live on with the real clock. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static int fifo = -1;
static long jumped;

int clock_gettime(clockid_t clock, struct timespec *ts)
{
    long rc = syscall(SYS_clock_gettime, clock, ts);

    if (rc == 0 && clock == CLOCK_REALTIME)
        ts->tv_sec += jumped;
    return (int)rc;
}

int timerfd_create(int clock, int flags)
{
    (void)clock, (void)flags;
    fifo = open(getenv("CLOCK_JUMP"), O_RDWR | O_NONBLOCK | O_CLOEXEC);
    return fifo;
}

int timerfd_settime(int fd, int flags, const struct itimerspec *new, struct itimerspec *old)
{
    (void)fd, (void)flags, (void)new, (void)old;
    return 0;
}

ssize_t read(int fd, void *data, size_t size)
{
    char text[64] = {0}, *end = text;

    if (fd < 0 || fd != fifo)
        return syscall(SYS_read, fd, data, size);
    if (syscall(SYS_read, fd, text, sizeof(text) - 1) <= 0)
        return -1;
    for (; *end; end += *end == '\n')
        jumped += strtol(end, &end, 10);
    errno = ECANCELED;
    return -1;
}
