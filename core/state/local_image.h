/* What is in a project's folders that its VMs have on their own disk outlives them with
 * [guest-local] keep: it is a file system in a file, which reaches the guest in the second share.
 *
 *     <data>/guest-local/<sha256 of the project's path>/
 *         lock         held by the VM that has the image: its supervisor, and its engine
 *         store.json   {"project"}
 *         disk.img     ext4; what is in it was written by a guest, and only guests mount it
 *         disk.new     one that is made
 */
#ifndef AGENTVM_STATE_LOCAL_IMAGE_H
#define AGENTVM_STATE_LOCAL_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "image/prune.h"
#include "model/paths.h"

struct local_image {
    char *path; /* canonical; NULL: none */
    int lock;
};

#define LOCAL_IMAGE_INIT ((struct local_image){.lock = -1})

/* Takes the project's image, making it, size bytes large, where there is none, or anew.  It takes
 * space only as far as it is used.  Returns 0; 1 if another VM has it; or -1. */
int local_image_take(const struct paths *p, const char *project, uint64_t size, bool anew,
                     struct local_image *out, struct err *e);
void local_image_free(struct local_image *i);

/* Images of projects whose folder is gone, last used no later than cutoff, as seconds since the
 * epoch, go, unless it is a dry run; each of a vanished folder is added to the list with what
 * became of it. */
void local_image_prune(const struct paths *p, int64_t cutoff, bool dry_run, struct prune_list *l);

#endif
