/* A child's own view of some files: a mount namespace in which parts of a hostile tree stay as they
 * are, others are hidden, and further files of the host appear in a folder of ours.
 *
 * Root needs a mount namespace only.  Any other user gets a user namespace, too, in which the uid
 * is the same as outside; so nothing is left of the rights to mount once the program is executed.
 * Root loses all capabilities but those for its own files.  In either case what the child runs
 * cannot undo its view.
 *
 * Whoever made the tree may change it meanwhile: paths are walked by descriptor, through no symlink
 * and never out of the tree, and mounts are attached to what was found.  Linux 5.12 is needed.
 */
#ifndef AGENTVM_PROC_JAIL_H
#define AGENTVM_PROC_JAIL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum jail_kind {
    /* The target, below the tree, can be neither renamed nor removed; nor written, if read-only.
     * Of a path's parts the outer ones come first. */
    JAIL_PIN,
    JAIL_MASK,        /* the target, below the tree, is an empty file or folder */
    JAIL_MOUNT,       /* the source appears as the target, a new name below the scratch folder */
    JAIL_PIN_MOUNTED, /* as JAIL_PIN, but the target is below that of a JAIL_MOUNT before */
};

struct jail_bind {
    enum jail_kind kind;
    const char *source; /* of JAIL_MOUNT: an absolute path without symlinks; of JAIL_PIN_MOUNTED:
                           how the target is called where it is told */
    const char *target; /* relative, without "." and ".." */
    bool readonly;
};

/* Borrowed strings. */
struct jail {
    const char *tree;    /* absolute path without symlinks */
    const char *scratch; /* an empty folder of ours; in the child there is a small, read-only file
                            system on it, with the targets of JAIL_MOUNT in it */
    const struct jail_bind *binds; /* masks behind pins */
    size_t n;
    int tree_fd; /* a descriptor of this process that the tree must be, and that becomes one of it
                    in the new view; or 0 */
};

/* What could not be done. */
struct jail_failure {
    enum jail_step { JAIL_NAMESPACE, JAIL_SCRATCH, JAIL_TREE, JAIL_BIND, JAIL_RIGHTS } step;
    size_t bind; /* which, at JAIL_BIND */
};

/* Changes the view of this process, which has one thread; makes only async-signal-safe calls.
 * Returns 0, or -1 with errno and *failure. */
int jail_enter(const struct jail *j, struct jail_failure *failure);
/* Makes the error for a failure. */
int jail_explain(const struct jail *j, struct jail_failure failure, int errnum, struct err *e);

#endif
