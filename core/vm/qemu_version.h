/* Which QEMU this machine has. */
#ifndef AGENTVM_VM_QEMU_VERSION_H
#define AGENTVM_VM_QEMU_VERSION_H

#include <stdbool.h>

#include "base/err.h"
#include "model/finding.h"

#define QEMU_PROGRAM "qemu-system-x86_64"
#define QEMU_PACKAGE "qemu-system-x86"

/* The oldest QEMU that works: Debian 12's, and the first where all options used here exist. */
enum { QEMU_MIN_MAJOR = 7, QEMU_MIN_MINOR = 2 };

struct qemu_info {
    char *path; /* owned */
    int major;
    int minor;
    int micro;
};

#define QEMU_INFO_INIT ((struct qemu_info){0})

/* Finds QEMU in PATH and asks for its version, which takes 20 ms and more and is remembered in the
 * folder cache (NULL: it is not).  The error says what to install. */
int qemu_info_find(const char *cache, struct qemu_info *out, struct err *e);
void qemu_info_free(struct qemu_info *q);
#define auto_qemu_info __attribute__((cleanup(qemu_info_free)))

/* Takes the version out of what `qemu --version` prints; path stays as it is. */
int qemu_version_parse(const char *text, struct qemu_info *out, struct err *e);

/* The same for `agentvm doctor`; returns whether there is one that can be used. */
bool qemu_examine(const char *cache, struct findings *f);

#endif
