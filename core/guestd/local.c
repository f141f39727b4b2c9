/* Folders of the project that are on the guest's own disk rather than the share's; or in a file of
 * the second share that is one, which outlives the guest. */
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "guestd/mounts.h"

int mount_local(struct server *srv, const struct mount_request *m, struct err *e)
{
    auto_user struct user u = {0};

    (void)srv; /* what has to be flushed at the end is the disk that it is on */
    if (user_find(m->user, &u, e) < 0 || user_make_parents(&u, m->source, e) < 0)
        return -1;
    if (mkdir(m->source, 0755) == 0 ? chown(m->source, u.uid, u.gid) < 0 : errno != EEXIST)
        return err_errno(e, errno, "cannot create folder %s", m->source);
    if (mount(m->source, m->path, NULL, MS_BIND, NULL) < 0)
        return err_errno(e, errno, "cannot bind %s to %s", m->source, m->path);
    return 0;
}

/* Puts the file behind a block device, whose path the caller frees.  Returns its descriptor: the
 * device is given up when it is closed, unless it is mounted by then.  -1 with errno. */
static int attach(const char *file, char **path)
{
    auto_close int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), image = -1, device = -1;
    struct loop_config config = {.info = {.lo_flags = LO_FLAGS_AUTOCLEAR}};
    int n = control < 0 ? -1 : ioctl(control, LOOP_CTL_GET_FREE);

    if (n < 0)
        return -1;
    *path = mem_printf("/dev/loop%d", n);
    image = open(file, O_RDWR | O_CLOEXEC);
    device = image < 0 ? -1 : open(*path, O_RDWR | O_CLOEXEC);
    config.fd = (uint32_t)image;
    if (device < 0 || ioctl(device, LOOP_CONFIGURE, &config) < 0)
        return -1;
    return steal_fd(&device);
}

/* An earlier guest could have damaged it: that is told, and the folders are on the disk. */
int mount_image(struct server *srv, const struct mount_request *m, struct err *e)
{
    auto_user struct user u = {0};
    auto_free char *path = NULL;
    auto_close int device = -1;

    if (user_find(m->user, &u, e) < 0 || user_make_parents(&u, m->path, e) < 0)
        return -1;
    if (mkdir(m->path, 0755) < 0 && errno != EEXIST)
        return err_errno(e, errno, "cannot create folder %s", m->path);
    device = attach(m->source, &path);
    if (device < 0 || mount(path, m->path, "ext4", MS_NODEV | MS_NOSUID, NULL) < 0)
        srv->image_error = errno;
    else
        strv_push(&srv->mounts, m->path);
    return 0;
}
