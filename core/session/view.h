/* What a VM sees of the host beyond the plain project folder, and what of that folder it does not:
 * git's files that it cannot write, masks, mounts.  Decided here, done by proc/jail around the
 * engine; what is mounted travels in the second share:
 *
 *     kept/        what of the agent outlives the VM (state/kept)
 *     mounts/N     the N-th mount
 *     local        what is kept of folders on the VM's disk
 */
#ifndef AGENTVM_SESSION_VIEW_H
#define AGENTVM_SESSION_VIEW_H

#include <stddef.h>

#include "base/err.h"
#include "base/str.h"
#include "guest/request.h"
#include "model/paths.h"
#include "model/profile.h"
#include "proc/jail.h"
#include "state/kept.h"

struct view {
    struct jail_bind *binds; /* none: no namespace is needed */
    size_t nbinds;
    struct guest_keep *items; /* of a second share that is composed; else NULL */
    size_t nitems;
    const char *image;   /* relative to the second share, see state/local_image; or NULL */
    struct strv locals;  /* folders of the project that are on the VM's disk, below the folder */
    struct strv strings; /* what binds point to */
};

/* What a profile masks and protects, as it is now. */
struct view_finds {
    struct strv folders; /* what leads to the next: absolute, outer ones first */
    struct strv git;     /* what cannot be written: absolute */
    struct strv masks;   /* what is hidden, none below another: below the project */
};

/* Makes the view of a session; image is the path of its local_image, or NULL.  Looks through the
 * project and what is mounted writable where the profile protects git's files, and through the
 * project where it has patterns as masks. */
int view_prepare(const struct paths *paths, const struct profile *p, const char *project,
                 const struct kept *kept, const char *image, struct view *out, struct err *e);
void view_free(struct view *v);

/* view_find.c; writable are the host's paths of such mounts, canonical. */
int view_find(const struct profile *p, const char *home, const char *project,
              const struct strv *writable, struct view_finds *out, struct err *e);
void view_finds_free(struct view_finds *f);

#endif
