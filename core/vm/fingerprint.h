/* What a verdict or a saved machine depends on, as fields of a digest. */
#ifndef AGENTVM_VM_FINGERPRINT_H
#define AGENTVM_VM_FINGERPRINT_H

#include "base/digest.h"
#include "base/str.h"

/* A file by path, size, inode and time of change, as reading it would cost more than a start. */
void fingerprint_file(struct digest *d, const char *label, const char *path);
/* The host's kernel, and the model and microcode of its CPU. */
void fingerprint_host(struct digest *d);
/* Model and microcode of the first CPU in the text of /proc/cpuinfo, one a line. */
void fingerprint_cpu(const char *cpuinfo, struct buf *out);

#endif
