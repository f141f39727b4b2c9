/* Short programs whose output is wanted: spawn_capture. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "proc/spawn.h"

struct capture {
    int fd;          /* read end */
    int child_end;   /* write end, until the child has it */
    struct buf *out; /* or NULL */
};

static int read_some(struct capture *c, size_t max)
{
    char block[16384];
    ssize_t n = read(c->fd, block, sizeof(block));
    size_t room = c->out && c->out->len < max ? max - c->out->len : 0;

    if (n < 0)
        return errno == EINTR || errno == EAGAIN ? 0 : -1;
    if (n == 0)
        close_fd(&c->fd);
    else if (room > 0)
        buf_append(c->out, block, (size_t)n < room ? (size_t)n : room);
    return 0;
}

static int pump(struct capture *captures, size_t max, int64_t deadline)
{
    while (captures[0].fd >= 0 || captures[1].fd >= 0) {
        struct pollfd p[2] = {{.fd = captures[0].fd, .events = POLLIN},
                              {.fd = captures[1].fd, .events = POLLIN}};
        int n = poll(p, 2, clock_left(deadline));

        if (n == 0)
            return 1;
        for (int i = 0; n > 0 && i < 2; i++)
            if (p[i].revents && read_some(&captures[i], max) < 0)
                return -1;
    }
    return 0;
}

static int capture_open(struct capture *c, struct err *e)
{
    int p[2];

    if (pipe2(p, O_CLOEXEC) < 0)
        return err_errno(e, errno, "cannot create a pipe");
    c->fd = p[0];
    c->child_end = p[1];
    return 0;
}

static int capture_run(const struct spawn_request *r, struct capture *captures, size_t max,
                       int timeout_ms, struct exit_status *status, struct err *e)
{
    int64_t deadline = clock_ms() + timeout_ms;
    struct child child;

    if (spawn_start(r, &child, e) < 0)
        return -1;
    for (int i = 0; i < 2; i++)
        close_fd(&captures[i].child_end);
    if (pump(captures, max, deadline) == 0 && spawn_wait(&child, deadline, status, e) == 0)
        return 0;
    spawn_kill(&child, 0);
    return err_set(e, "%s did not end within %d s", r->argv[0], timeout_ms / 1000);
}

int spawn_capture(char *const *argv, size_t max, int timeout_ms, struct buf *out,
                  struct buf *errout, struct exit_status *status, struct err *e)
{
    struct spawn_request r = {.argv = argv, .death_signal = SIGKILL};
    struct capture captures[2] = {{-1, -1, out}, {-1, -1, errout}};
    int rc = -1;

    if (capture_open(&captures[0], e) == 0 && capture_open(&captures[1], e) == 0) {
        spawn_pass_fd(&r, captures[0].child_end, 1);
        spawn_pass_fd(&r, captures[1].child_end, 2);
        rc = capture_run(&r, captures, max, timeout_ms, status, e);
    }
    for (int i = 0; i < 2; i++) {
        close_fd(&captures[i].fd);
        close_fd(&captures[i].child_end);
    }
    return rc;
}
