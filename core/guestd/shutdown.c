/* Before the engine is stopped: what programs wrote to the shares reaches the host; for a template
 * the root file system is flushed and frozen, so that its image is consistent without a journal
 * replay.  The virtual machine itself is then simply switched off. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/mem.h"
#include "guestd/server.h"

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

void shutdown_open(struct stream *s, struct field_reader r)
{
    auto_err struct err e = ERR_INIT;
    struct server *srv = s->server;
    bool freeze = false;
    struct field f;

    while (field_next(&r, &f))
        if (f.tag == TAG_FREEZE)
            freeze = field_u32(&f, 0) != 0;
    if (srv->in_guest) {
        if (!freeze)
            kill(-1, SIGKILL); /* nobody writes to a share behind the flush */
        if (shutdown_mounts(srv, &e) == 0 && freeze)
            freeze_root(&e);
    }
    if (e.msg)
        stream_error(s, &e);
    else
        stream_ok(s);
}
