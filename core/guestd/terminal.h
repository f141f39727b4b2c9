/* Terminals for programs in the guest. */
#ifndef AGENTVM_GUESTD_TERMINAL_H
#define AGENTVM_GUESTD_TERMINAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "guestd/user.h"

/* Opens one of a size (rows << 16 | columns); returns the program's end, and ours in *master.
 * give: it becomes the user's. */
int terminal_open(const struct user *u, bool give, uint32_t size, int *master, struct err *e);
void terminal_set_size(int fd, uint32_t size);
/* Replaces a TERM that the guest has no description of by what nearly every terminal is like. */
void terminal_set_name(const struct user *u, struct strv *env);

#endif
