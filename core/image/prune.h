/* What nobody needs any more: layers of the store, and what lies around it because of them.
 *
 * What goes is decided from a list of what there is (pure).  Each thing is looked at again once it
 * is claimed, so that a start that comes in between keeps what it uses. */
#ifndef AGENTVM_IMAGE_PRUNE_H
#define AGENTVM_IMAGE_PRUNE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/digest.h"
#include "base/err.h"
#include "base/str.h"
#include "model/paths.h"

enum prune_kind {
    PRUNE_LAYER,
    PRUNE_LOCK, /* a makers' lock without a layer */
    PRUNE_INITRD,
    PRUNE_LOG,
    /* What its owner judges and removes. */
    PRUNE_VM,    /* a kept one */
    PRUNE_LOCAL, /* what VMs keep of a project's [guest-local] folders */
};

enum prune_verdict {
    PRUNE_GOES,
    PRUNE_IN_USE,
    PRUNE_RECENT,
    PRUNE_PARENT, /* a layer that is kept is made from it */
    PRUNE_BASED,  /* a kept VM's disk is based on it */
    PRUNE_FAILED, /* could not be removed; the reason was told */
};

struct prune_item {
    enum prune_kind kind;
    const char *label; /* "lock", "initrd", "log", "vm", "guest-local"; of a layer "base",
                          "provisioned", "warm", "layer" */
    /* Of a layer or lock its own, of an initrd its base layer's, of a VM its id, of "guest-local"
     * the digest of its project's path.  Of a log what its name tells: the beginning of a layer's,
     * or a machine's id, or nothing. */
    char key[DIGEST_HEX + 1];
    char parent[DIGEST_HEX + 1]; /* of a layer; "" if it has none */
    char *path;
    struct timespec used; /* when last; for a log when it was last written */
    uint64_t size;        /* bytes on the disk */
    bool in_use;
    bool based; /* a layer that a kept VM's disk is based on */
    enum prune_verdict verdict;
    bool done; /* removed; in a dry run, would be */
};

struct prune_list {
    struct prune_item *v;
    size_t n;
};

#define auto_prune_list __attribute__((cleanup(prune_list_free)))

/* Used later than that, seconds since the epoch, is recent.  Nothing is recent for PRUNE_ALL. */
#define PRUNE_ALL INT64_MAX

/* Sets the verdicts. */
void prune_decide(struct prune_list *l, int64_t cutoff);

/* Finds all there is; machines are the ids of those that run. */
int prune_scan(const struct paths *p, const struct strv *machines, struct prune_list *out,
               struct err *e);
/* Notes that kept VMs' disks are based on the layers of these keys. */
void prune_protect(struct prune_list *l, const struct strv *keys);
/* When a thing was last used, as the disk tells it now.  Returns 0, or 1 if it is gone. */
int prune_last_use(enum prune_kind kind, const char *path, struct timespec *out);

/* Decides, and removes what goes unless it is a dry run; children before their parents, which stay
 * where a child turns out to be in use.  Failures are told, and counted in the error. */
int prune_remove(const struct paths *p, struct prune_list *l, int64_t cutoff, bool dry_run,
                 struct err *e);
/* Whether a project's folder is gone; one that only cannot be looked at is there. */
bool prune_has_vanished(const char *folder);
void prune_list_free(struct prune_list *l);

#endif
