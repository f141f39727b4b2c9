/* A walk through a project folder, whose owner may be hostile: bounded, and never through a
 * symlink.
 */
#ifndef AGENTVM_SESSION_TREE_H
#define AGENTVM_SESSION_TREE_H

#include <stdbool.h>

#include "base/err.h"

/* An entry on the walk. */
struct tree_entry {
    const char *path;   /* relative to the folder */
    const char *name;   /* its last part */
    int dir;            /* the folder that it is in */
    unsigned char type; /* DT_* */
};

/* Returns 1 to leave out what is below the entry, 0 to go on, -1 with an error to end the walk. */
typedef int tree_visit(void *arg, const struct tree_entry *entry, struct err *e);

/* Visits everything below the folder, each folder before what is in it.  Folders of other users
 * that cannot be read are left out: the guest cannot read them either.  It is an error if there are
 * too many entries, or too many folders in each other, to be done in reasonable time. */
int tree_walk(const char *folder, tree_visit *visit, void *arg, struct err *e);

#endif
