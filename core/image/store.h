/* The template store: layers by key.
 *
 * A layer is a folder that appears by rename when it is complete and is never changed after that.
 * Its user holds a shared lock on it; who removes layers takes that lock exclusively first.  A
 * draft is a folder being filled; it is removed on failure, and swept by the next command after a
 * crash.
 *
 *     layers/<key>/layer.json   kind, parent and what it was made of
 *     layers/<key>/lock         shared: in use
 *     layers/<key>.lock         exclusive: being made; others wait for it
 *     layers/tmp.<key>/         the draft of who holds that lock
 */
#ifndef AGENTVM_IMAGE_STORE_H
#define AGENTVM_IMAGE_STORE_H

#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"
#include "base/str.h"
#include "model/paths.h"
#include "proc/task.h"

struct layer {
    char key[DIGEST_HEX + 1];
    char *dir;
    int lock; /* shared lock; closing it ends the use */
};

#define LAYER_INIT ((struct layer){.lock = -1})
#define auto_layer __attribute__((cleanup(layer_release)))

struct layer_draft {
    char key[DIGEST_HEX + 1];
    char *dir;
    char *final;
    int lock;
};

#define DRAFT_INIT ((struct layer_draft){.lock = -1})
#define auto_draft __attribute__((cleanup(store_abandon)))

/* Takes a complete layer into use. Returns 0, or 1 if there is none of that key. */
int store_use(const struct paths *p, const char *key, struct layer *out, struct err *e);
void layer_release(struct layer *l);
/* Path of a file in a layer; the caller frees it. */
char *layer_file(const struct layer *l, const char *name);

/* Starts to make a layer, waiting while somebody else makes the same one (waiting is called once
 * then, may be NULL).  Returns 0 with an empty draft; 1 if the layer exists now. */
int store_begin(const struct paths *p, struct task_env *t, const char *key,
                void (*waiting)(void *arg), void *arg, struct layer_draft *out, struct err *e);
/* Completes the layer: writes layer.json from json, flushes, renames. The draft is used up. */
int store_commit(struct layer_draft *d, const char *json, struct err *e);
/* Removes a draft that was not committed; harmless otherwise. */
void store_abandon(struct layer_draft *d);

/* A layer's layer.json, which the caller frees. */
int store_read(const struct layer *l, struct buf *json, struct err *e);
/* Takes a layer that turned out to be broken out of the store, unless somebody did so before; who
 * uses it may go on.  Releases l. */
void store_discard(const struct paths *p, struct task_env *t, struct layer *l);

/* The digest of some files of a layer or draft, to tell later whether they were changed: size,
 * inode and times of each, and the content of small ones.  Nobody can set back a file's time of
 * status change, so damage by writing shows; a disk that forgets does not. */
int store_seal(const char *dir, const char *const *names, char hex[DIGEST_HEX + 1], struct err *e);

/* Removes the drafts of makers that are gone. */
void store_sweep(const struct paths *p);

/* Fails if the file system of the store has less than bytes free, saying how much is missing. */
int store_check_space(const struct paths *p, uint64_t bytes, const char *what, struct err *e);

#endif
