/* What is mounted in the guest when it is made ready: the types of mounts that personalize.c knows
 * and others do. */
#ifndef AGENTVM_GUESTD_MOUNTS_H
#define AGENTVM_GUESTD_MOUNTS_H

#include "base/err.h"
#include "guestd/server.h"
#include "guestd/user.h"

/* A TAG_MOUNT; owned strings. */
struct mount_request {
    char *type, *source, *path, *user;
};

/* "local": binds a folder of the guest's disk, which is made for the user, to one that exists.
 * Where the image is damaged or full, it is a folder outside of that. */
int mount_local(struct server *srv, const struct mount_request *m, struct err *e);
/* "image": mounts the file system that is in a file. */
int mount_image(struct server *srv, const struct mount_request *m, struct err *e);

#endif
