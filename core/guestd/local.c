/* Folders of the project that are on the guest's own disk rather than the share's; or in a file of
 * the second share that is one, which outlives the guest. */
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <linux/major.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "guestd/mounts.h"

#define LOOP_CONTROL "/dev/loop-control"
/* On the guest's own disk; the folders there have numbers. */
#define UNKEPT "/var/lib/agentvm/unkept"

static int hand_over(const struct user *u, int folder)
{
    auto_free char *path = mem_printf("/proc/self/fd/%d", folder);

    return chown(path, u->uid, u->gid);
}

/* Opens the folder, which is made for the user if it is missing, as is what leads to it; through no
 * symlink, which an earlier guest could have left in the image.  -1 with errno. */
static int open_folder(const struct user *u, const char *path)
{
    auto_free char *copy = mem_strdup(path);
    auto_close int folder = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    char *rest = NULL;

    for (char *name = strtok_r(copy, "/", &rest); name; name = strtok_r(NULL, "/", &rest)) {
        auto_close int above = folder;
        bool made = mkdirat(above, name, 0755) == 0;

        folder = -1;
        if (!made && errno != EEXIST)
            return -1;
        folder = openat(above, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (folder < 0 || (made && hand_over(u, folder) < 0))
            return -1;
    }
    return steal_fd(&folder);
}

/* In place of one that the image does not give: the host is told which, and why. */
static int open_unkept(struct server *srv, const struct user *u, uint32_t number, int errnum)
{
    auto_free char *path = mem_printf(UNKEPT "/%u", number);
    uint8_t record[UNKEPT_RECORD];

    put_u32(record, number);
    put_u32(record + 4, (uint32_t)errnum);
    if (srv->unkept.len + sizeof(record) <= FRAME_PAYLOAD_MAX)
        buf_append(&srv->unkept, record, sizeof(record));
    return open_folder(u, path);
}

int mount_local(struct server *srv, const struct mount_request *m, struct err *e)
{
    auto_user struct user u = {0};
    auto_free char *source = NULL;
    auto_close int folder = -1;
    uint32_t number = srv->locals++;

    if (user_find(m->user, &u, e) < 0)
        return -1;
    if (m->source[0] != '/')
        return err_set(e, "%s is not an absolute path", m->source);
    folder = open_folder(&u, m->source);
    if (folder < 0 && srv->has_image)
        folder = open_unkept(srv, &u, number, errno);
    if (folder < 0)
        return err_errno(e, errno, "cannot create folder %s", m->source);
    source = mem_printf("/proc/self/fd/%d", folder);
    if (mount(source, m->path, NULL, MS_BIND, NULL) < 0)
        return err_errno(e, errno, "cannot bind %s to %s", m->source, m->path);
    return 0;
}

enum { LOOP_CONTROL_MINOR = 237 }; /* LOOP_CTRL_MINOR of the kernel's linux/miscdevice.h */

/* The kernel loads the driver when its node is opened, which a guest that just boots may not have
 * yet.  Returns a descriptor, or -1 with errno. */
static int open_control(void)
{
    mode_t mode = S_IFCHR | 0600;

    if (mknod(LOOP_CONTROL, mode, makedev(MISC_MAJOR, LOOP_CONTROL_MINOR)) < 0 && errno != EEXIST)
        return -1;
    return open(LOOP_CONTROL, O_RDWR | O_CLOEXEC);
}

/* Puts the file behind a block device, whose path the caller frees.  Returns its descriptor: the
 * device is given up when it is closed, unless it is mounted by then.  -1 with errno. */
static int attach(const char *file, char **path)
{
    auto_close int control = open_control(), image = -1, device = -1;
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
    srv->has_image = srv->image_error == 0;
    return 0;
}
