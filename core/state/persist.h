/* Kept VMs: those whose disk outlives them.
 *
 *     <data>/vms/<sha256 of the project's path>/<name>/
 *         vm.json      what it is
 *         disk.qcow2   what its guest wrote, on top of the template's layers
 *         lock         held by whoever starts it, runs it or removes it, and by its engine
 *
 * What is made, removed or locked is so under the lock of <data>/vms, which is held for a moment
 * only: a VM appears and goes by rename, and nobody gets a lock whose file has lost its name. */
#ifndef AGENTVM_STATE_PERSIST_H
#define AGENTVM_STATE_PERSIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"
#include "base/str.h"
#include "image/prune.h"
#include "model/paths.h"

/* What the one is called that was given no name. */
#define PERSIST_DEFAULT "default"

struct persist {
    char id[9]; /* of the VM, whenever it runs */
    char *name, *project, *agent;
    char *dir;
    char base[DIGEST_HEX + 1], provisioned[DIGEST_HEX + 1]; /* layers below its disk; or "" */
    uint64_t template_disk;                                 /* size of the disk of these, bytes */
    int64_t created, used;                                  /* seconds since the epoch */
    unsigned cpus;
    uint64_t memory, disk; /* bytes */
    int lock;              /* or -1 */
    bool busy;             /* somebody else has it */
    int holder;            /* then: the process, or 0 where that is not known */
    char *holder_run;      /* and its folder of running VMs; or NULL */
};

#define PERSIST_INIT ((struct persist){.lock = -1})
#define auto_persist __attribute__((cleanup(persist_free)))

struct persists {
    struct persist *v;
    size_t n;
};

#define auto_persists __attribute__((cleanup(persists_free)))

/* Whether a VM may be called so: at most 32 letters, digits, '.', '_' and '-', the first a letter
 * or digit; no ID. */
bool persist_is_name(const char *s);

/* The text of vm.json, for the caller to free; and what it says.  A text that is damaged, or that
 * somebody else wrote, is an error. */
char *persist_format(const struct persist *v);
int persist_parse(const char *text, size_t len, struct persist *out, struct err *e);

/* Takes a project's VM of that name.  Returns 0 with its lock; 1 if there is none; 2 if somebody
 * has it, then out is told, too; -1 on failure. */
int persist_take(const struct paths *p, const char *project, const char *name, struct persist *out,
                 struct err *e);
/* Makes v, which says all but id, dir and lock, with an empty disk, and takes it; instead of the
 * one of that name if replace.  Returns 0, or 1 if there is one that must stay, as somebody has it
 * or replace is not set. */
int persist_create(const struct paths *p, struct persist *v, bool replace, struct err *e);
/* Writes vm.json anew. */
int persist_save(const struct persist *v, struct err *e);
/* Removes a VM by its folder, whatever is in it.  Returns 0; 1 if there is none; 2 if somebody has
 * it. */
int persist_remove(const struct paths *p, const char *dir, struct err *e);
/* Those of a project, or all (NULL), by folder and name, without their locks.  One that cannot be
 * read is left out; how many these are is added to *damaged, and the last error stays in why. */
int persist_list(const struct paths *p, const char *project, struct persists *out, size_t *damaged,
                 struct err *why);
/* Removes what a crash left of one that was made or removed. */
void persist_sweep(const struct paths *p);

/* Those whose folder is gone and that were last used no later than cutoff, as seconds since the
 * epoch, go, unless it is a dry run; each of a vanished folder is added to the list with what
 * became of it.  based gets the keys of the layers that the others need.  One that cannot be read
 * is an error: nobody knows which layers it needs. */
int persist_prune(const struct paths *p, int64_t cutoff, bool dry_run, struct prune_list *l,
                  struct strv *based, struct err *e);

/* persist_holder.c */
/* Writes into the lock's file that this process holds it; what is written by the last of those who
 * share a lock counts. */
void persist_sign(int lock, const struct paths *p);
/* Reads it, for a folder whose lock somebody has. */
void persist_read_holder(int folder, struct persist *out);
/* Fails if the holder's VMs are in another folder than ours, where it cannot be attached to. */
int persist_check_holder(const struct paths *p, const struct persist *v, struct err *e);

/* The path of its disk, for the caller to free; how much space that takes, in bytes. */
char *persist_disk(const struct persist *v);
uint64_t persist_disk_used(const struct persist *v);
void persist_free(struct persist *v);
void persists_free(struct persists *l);

#endif
