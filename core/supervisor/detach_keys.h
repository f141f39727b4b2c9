/* The keys that end an attachment: Ctrl-] and then d. */
#ifndef AGENTVM_SUPERVISOR_DETACH_KEYS_H
#define AGENTVM_SUPERVISOR_DETACH_KEYS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

/* Zeroed, it is ready. */
struct detach_keys {
    char held[16]; /* Ctrl-] as the terminal sent it, if it came last */
};

/* Appends to out what of the input is the program's.  Returns whether the keys were pressed; what
 * follows them is dropped. */
bool detach_keys_take(struct detach_keys *k, const char *in, size_t len, struct buf *out);

#endif
