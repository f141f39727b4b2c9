/* Before the engine is stopped: what programs wrote to the shares reaches the host; for a template
 * and a kept machine the root file system is flushed and frozen, so that its image is consistent
 * without a journal replay.  The virtual machine itself is then simply switched off. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "guestd/server.h"

enum {
    PROGRAMS_MAX = 512, /* that are waited for; descriptors are 1024 */
    TERM_MS = 2000,     /* for programs to end by themselves */
    KILL_MS = 2000,     /* for the kernel to let go of their files */
};

int shutdown_mounts(struct server *srv, struct err *e)
{
    for (size_t i = srv->mounts.n; i-- > 0;) {
        auto_close int fd = open(srv->mounts.v[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd >= 0 && syncfs(fd) < 0)
            return err_errno(e, errno, "cannot flush %s", srv->mounts.v[i]);
        umount2(srv->mounts.v[i], MNT_DETACH);
    }
    strv_free(&srv->mounts);
    return 0;
}

static int freeze_root(struct err *e)
{
    auto_close int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    sync();
    if (fd < 0 || ioctl(fd, FIFREEZE, 0) < 0)
        return err_errno(e, errno, "cannot freeze the root file system");
    return 0;
}

/* Whether it is a program: threads of the kernel have no file. */
static bool is_program(long pid)
{
    auto_free char *exe = mem_printf("/proc/%ld/exe", pid);
    char target[2];

    return pid > 1 && pid != (long)getpid() && readlink(exe, target, sizeof(target)) > 0;
}

static size_t open_programs(struct pollfd fds[PROGRAMS_MAX])
{
    DIR *dir = opendir("/proc");
    struct dirent *entry;
    size_t n = 0;

    while (dir && n < PROGRAMS_MAX && (entry = readdir(dir))) {
        long pid = strtol(entry->d_name, NULL, 10);
        int fd = is_program(pid) ? (int)syscall(SYS_pidfd_open, (pid_t)pid, 0) : -1;

        if (fd >= 0)
            fds[n++] = (struct pollfd){.fd = fd, .events = POLLIN};
    }
    if (dir)
        closedir(dir);
    return n;
}

/* Signals all programs and waits until those that run now have ended, at most so long: a file that
 * is deleted and still open would need mending. */
static void signal_programs(int signal, int ms)
{
    struct pollfd fds[PROGRAMS_MAX];
    size_t n = open_programs(fds);
    int64_t deadline = clock_ms() + ms;

    kill(-1, signal);
    for (size_t i = 0; i < n; i++) {
        poll(&fds[i], 1, clock_left(deadline));
        close(fds[i].fd);
    }
}

void shutdown_open(struct stream *s, struct field_reader r)
{
    auto_err struct err e = ERR_INIT;
    struct server *srv = s->server;
    uint32_t freeze = 0;
    struct field f;

    while (field_next(&r, &f))
        if (f.tag == TAG_FREEZE)
            freeze = field_u32(&f, 0);
    if (srv->in_guest) {
        if (freeze == 0)
            kill(-1, SIGKILL); /* nobody writes to a share behind the flush */
        if (freeze == 2) {
            signal_programs(SIGTERM, TERM_MS);
            signal_programs(SIGKILL, KILL_MS);
        }
        if (shutdown_mounts(srv, &e) == 0 && freeze)
            freeze_root(&e);
    }
    if (e.msg)
        stream_error(s, &e);
    else
        stream_ok(s);
}
