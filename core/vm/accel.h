/* Which accelerator works here, found out by a real probe boot.
 *
 * A device node proves nothing: /dev/kvm may open and create machines, and still no kernel comes
 * up.  So the kernel and initrd of the image are booted once with KVM; guestd, as process 1 of that
 * initrd, writes ACCEL_PROBE_MARK to the console and powers off.  The verdict is cached.
 */
#ifndef AGENTVM_VM_ACCEL_H
#define AGENTVM_VM_ACCEL_H

#include "base/err.h"
#include "base/str.h"
#include "model/finding.h"
#include "vm/vm.h"

/* Kernel parameter that makes guestd answer the probe, and its answer. */
#define ACCEL_PROBE_PARAM "agentvm.probe"
#define ACCEL_PROBE_MARK "agentvm-probe-ok"
#define ACCEL_PROBE_INIT "/agentvm-guestd"

struct accel_request {
    const char *kernel;
    const char *initrd;
    const char *cache;  /* folder of the verdict, the probe's logs and lock */
    const char *device; /* NULL: /dev/kvm */
    int deadline_ms;    /* of the probe; 0: 20 s */
};

/* Finds the accelerator; *reason (replaced) says why it is not KVM, in one line for the user, and
 * is empty if it is.  Blocks: microseconds from the cache, seconds for a probe.  Fails if QEMU
 * is missing or the cache folder cannot be used, not because KVM does not work. */
int accel_choose(const struct accel_request *r, enum vm_accel *out, struct buf *reason,
                 struct err *e);

/* The same for who must not start anything: false where only a probe could tell. */
bool accel_known(const struct accel_request *r, enum vm_accel *out);

/* For `agentvm doctor`: the same as a finding.  r->kernel may be NULL where nothing can be
 * booted yet; then the device alone is looked at. */
void accel_examine(const struct accel_request *r, struct findings *f);
/* The kernel module for the processor that a /proc/cpuinfo describes, or NULL if that cannot
 * virtualize, or is not allowed to. */
const char *accel_module(const char *cpuinfo);

#endif
