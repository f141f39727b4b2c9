/* An empty qcow2 image, written without qemu-img (which costs a process at every start).
 *
 * The header names no backing file: the driver says on QEMU's command line what lies below, so an
 * image cannot make QEMU open a file of its choice.
 */
#ifndef AGENTVM_VM_QCOW2_H
#define AGENTVM_VM_QCOW2_H

#include <stdint.h>

#include "base/err.h"

/* The largest virtual size that is written, 64 TiB. */
#define QCOW2_SIZE_MAX (UINT64_C(1) << 46)

/* Creates the file (mode 0600; it must not exist) with a virtual size in bytes, rounded up to whole
 * sectors of 512. */
int qcow2_create(int dirfd, const char *name, uint64_t size, struct err *e);
/* Makes an image that qcow2_create made, and that nobody has open, as large; the guest sees the new
 * part as zeros.  A smaller size is an error, and so is one whose table of clusters would need a
 * new place: beyond 4 TiB, unless the image was made so large. */
int qcow2_grow(const char *path, uint64_t size, struct err *e);

#endif
