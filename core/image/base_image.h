/* The base image: a Debian root file system made by mmdebstrap from signed packages, with the
 * kernel and the initial RAM disk that boot it.
 *
 * Works as root and as an ordinary user (in a user namespace, which needs newuidmap and a range in
 * /etc/subuid). */
#ifndef AGENTVM_IMAGE_BASE_IMAGE_H
#define AGENTVM_IMAGE_BASE_IMAGE_H

#include <sys/types.h>

#include "base/digest.h"
#include "base/err.h"
#include "base/str.h"
#include "image/store.h"
#include "model/finding.h"
#include "proc/task.h"

#define BASE_ROOTFS "rootfs.ext4" /* raw, sparse, BASE_SIZE */
#define BASE_KERNEL "vmlinuz"
#define BASE_INITRD "initrd.img"

/* Where the host's own certificates lie that the image gets, as update-ca-certificates(8) has it.
 */
#define BASE_CA_FOLDER "/usr/local/share/ca-certificates"
#define BASE_BUILD_FOLDER "/var/tmp" /* the root file system lies here while it is made */

enum {
    BASE_GIB = 10,      /* size of the root file system; a larger disk grows it in the guest */
    BASE_BUILD_GIB = 5, /* in BASE_BUILD_FOLDER; measured: 3.0 of files, 0.6 of packages, slack */
    BASE_LAYER_GIB = 4, /* measured: 3.1 */
};

/* The guest user mirrors the host user. Borrowed strings. */
struct base_user {
    const char *name, *group, *home, *shell;
    uid_t uid;
    gid_t gid;
};

struct base_request {
    const struct paths *paths;
    struct strv packages;
    struct base_user user;
    const char *log; /* file that gets the whole output */
    /* Called with what happens now and how far it is, 0 to 1, or -1 where that is unknown. */
    void (*progress)(void *arg, const char *what, double fraction);
    void *arg;
};

/* Debian packages of every image: what a developer's agent expects to find. */
extern const char *const base_seed_packages[]; /* NULL-terminated */
/* Packages that the machine itself needs, whatever the profile says. */
extern const char *const base_system_packages[];

/* The layer's key. */
int base_image_key(const struct base_request *r, char key[DIGEST_HEX + 1], struct err *e);
/* Fills the draft; the caller commits it. */
int base_image_make(const struct base_request *r, struct task_env *t, const struct layer_draft *d,
                    struct err *e);
/* Removes what builds that were killed left in the temporary folder. */
void base_image_sweep(void);

/* base_check.c: whether mmdebstrap and what it needs are there; the error says what to install. */
int base_image_check(struct err *e);
/* The same and more for `agentvm doctor`: programs and keys, namespaces, ranges of ids, the host's
 * certificates in folder. */
void base_examine_programs(struct findings *f);
void base_examine_namespaces(struct findings *f);
void base_examine_ids(struct findings *f);
void base_examine_certificates(const char *folder, struct findings *f);

#endif
