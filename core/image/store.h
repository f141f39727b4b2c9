/* The template store: layers by key.
 *
 * A layer is a folder that appears by rename when it is complete and is never changed after that.
 * Its user holds a shared lock on it; who removes layers takes that lock exclusively first.  A
 * draft is a folder being filled; it is removed on failure, and swept by the next command after a
 * crash.
 *
 *     layers/<key>/layer.json   kind, parent and what it was made of
 *     layers/<key>/lock         shared: in use; its time is that of the last use
 *     layers/<key>.lock         exclusive: being made or removed; others wait for it
 *     layers/tmp.<key>/         the draft of who holds that lock
 *
 * Files that are locked may be removed by who holds the lock, so a lock counts only while the file
 * still has its name.
 */
#ifndef AGENTVM_IMAGE_STORE_H
#define AGENTVM_IMAGE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"
#include "base/str.h"
#include "model/paths.h"
#include "proc/task.h"

#define LAYER_JSON "layer.json"
#define LAYER_LOCK "lock"
#define LAYER_MAKER_SUFFIX ".lock"

enum { LAYER_JSON_MAX = 65536 };

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

/* A key that nobody uses or makes, and nobody can before the claim ends. */
struct layer_claim {
    char key[DIGEST_HEX + 1];
    int layers;      /* the folder */
    int maker, lock; /* lock is -1 where there is no such layer */
};

#define CLAIM_INIT ((struct layer_claim){.layers = -1, .maker = -1, .lock = -1})
#define auto_claim __attribute__((cleanup(store_unclaim)))

bool store_has(const struct paths *p, const char *key);
/* Takes a complete layer into use, which is a use that `agentvm prune` goes by. Returns 0, or 1 if
 * there is none of that key: it may have gone since somebody saw it. */
int store_use(const struct paths *p, const char *key, struct layer *out, struct err *e);
/* The same for who only looks at it: no use that `agentvm prune` goes by. */
int store_hold(const struct paths *p, const char *key, struct layer *out, struct err *e);
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

/* Claims a key, of which there need not be a layer.  Returns 0, or 1 if somebody uses or makes it.
 * e is not NULL. */
int store_claim(const struct paths *p, const char *key, struct layer_claim *out, struct err *e);
/* Removes the claimed layer.  After a crash in between, what is left is a draft. */
int store_remove(struct layer_claim *c, struct err *e);
/* Ends the claim, and removes the makers' lock; harmless on an empty one. */
void store_unclaim(struct layer_claim *c);

/* The digest of some files of a layer or draft, to tell later whether they were changed: size,
 * inode and times of each, and the content of small ones.  Nobody can set back a file's time of
 * status change, so damage by writing shows; a disk that forgets does not. */
int store_seal(const char *dir, const char *const *names, char hex[DIGEST_HEX + 1], struct err *e);

/* Removes the drafts of makers that are gone. */
void store_sweep(const struct paths *p);

/* Fails if the file system of the store has less than bytes free, saying how much is missing. */
int store_check_space(const struct paths *p, uint64_t bytes, const char *what, struct err *e);

#endif
