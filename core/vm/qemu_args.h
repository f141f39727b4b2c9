/* QEMU's command line: a pure function of the machine's configuration.
 *
 * The device set is the one that a saved (warm) machine needs later: a versioned machine type, a
 * memory backend called "mem", explicit block nodes with read-only backing, 9p, virtio-serial,
 * virtio-rng, vmgenid, user networking without option ROM.
 */
#ifndef AGENTVM_VM_QEMU_ARGS_H
#define AGENTVM_VM_QEMU_ARGS_H

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"
#include "vm/qemu_version.h"
#include "vm/vm.h"

/* Descriptors that QEMU inherits: its ends of two socket pairs. */
enum {
    QEMU_FD_QMP = 3,
    QEMU_FD_CHANNEL = 4,
    QEMU_FD_STATE = 5, /* the saved state, if qemu_takes_state_by_fd */
    QEMU_FD_HELD = 6,  /* vm_config.held, which it knows nothing of */
    QEMU_FD_SHARE = 7, /* vm_config.share_fd */
};

/* Whether a state is read and written through a descriptor, as QEMU has no file: for migration
 * before 8.2. */
bool qemu_takes_state_by_fd(const struct qemu_info *q);

/* QOM id of the virtio-serial port, as it comes in VSERPORT_CHANGE events. */
#define QEMU_CHANNEL_ID "channel"

/* Appends the argv (program first).  Fails for a configuration that QEMU cannot express. */
int qemu_args(const struct vm_config *c, const struct qemu_info *q, struct strv *argv,
              struct err *e);

#endif
