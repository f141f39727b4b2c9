/* Folders of the project that are on the guest's own disk rather than the share's. */
#include <errno.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "guestd/mounts.h"

int mount_local(struct server *srv, const struct mount_request *m, struct err *e)
{
    auto_user struct user u = {0};

    (void)srv; /* there is nothing to flush at the end: it is not the host's */
    if (user_find(m->user, &u, e) < 0 || user_make_parents(&u, m->source, e) < 0)
        return -1;
    if (mkdir(m->source, 0755) == 0 ? chown(m->source, u.uid, u.gid) < 0 : errno != EEXIST)
        return err_errno(e, errno, "cannot create folder %s", m->source);
    if (mount(m->source, m->path, NULL, MS_BIND, NULL) < 0)
        return err_errno(e, errno, "cannot bind %s to %s", m->source, m->path);
    return 0;
}
