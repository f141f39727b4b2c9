/* Folders of the project that a VM has on its own disk, [guest-local]: guestd mounts them over
 * those of the share, which must exist there for that.  Which ones were missing, and so are made on
 * the host for a VM, is written down before, in its folder of disks:
 *
 *     folders.json   {"project", "folders": [a folder before those in it]}
 *
 * Nothing of the VM's gets into them: they are removed again, as far as they are empty, when the
 * last VM that has them ends, or by the sweep when it was killed. */
#ifndef AGENTVM_STATE_LOCAL_H
#define AGENTVM_STATE_LOCAL_H

#include "base/err.h"
#include "base/str.h"
#include "model/paths.h"

/* Those of the list that are not below others of it, as a list in out.  It is an error if
 * something else than a folder is in the place of one, or on the way to it. */
int local_find(const struct strv *wanted, const char *project, struct strv *out, struct err *e);
/* Makes the folders (NULL: none), for a VM that holds its lock.  fd is the project's, whatever is
 * at its path by now; 0: it is found by the path. */
int local_make(const struct paths *p, const char *id, const char *project, int fd,
               char *const *folders, struct err *e);
/* Removes what local_make made; fd as above. */
void local_remove(const struct paths *p, const char *id, int fd);
/* The same, by the path, unless that VM lives. */
void local_remove_dead(const struct paths *p, const char *id);
/* The same of all VMs that are dead, before vms_sweep, which leaves their folders until this is
 * done.  A file system that does not answer is waited for by a process of its own. */
void local_sweep(const struct paths *p);

#endif
