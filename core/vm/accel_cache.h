/* The remembered verdicts of the accelerator probe, and what it depends on. */
#ifndef AGENTVM_VM_ACCEL_CACHE_H
#define AGENTVM_VM_ACCEL_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "vm/accel.h"

/* How long a "no" is believed, seconds: a probe may fail because the machine was overloaded, and a
 * reboot may change a firmware setting that no key sees.  A week. */
enum { ACCEL_RETRY_S = 7 * 24 * 3600 };
/* How many are remembered, the newest ones: one for each image that is in use. */
enum { ACCEL_VERDICTS_MAX = 16 };

struct accel_verdict {
    enum vm_accel accel;
    char *reason; /* owned; "" for KVM */
};

/* The key: QEMU's binary, the host's kernel, CPU model and microcode, the image's kernel and
 * initrd; files by size and time of change, as reading them would cost more than the start. */
void accel_cache_key(const struct accel_request *r, const char *qemu, char hex[DIGEST_HEX + 1]);

/* Returns whether the text holds a verdict for the key that is still valid at `now` (time_t); takes
 * it into *v. */
bool accel_cache_parse(const char *text, size_t len, const char *key, int64_t now,
                       struct accel_verdict *v);
/* The text with a new verdict in front of those of the old text, which may be NULL or anything; the
 * caller frees it. */
char *accel_cache_format(const char *old, size_t len, const struct accel_verdict *v,
                         const char *key, int64_t now);

#endif
