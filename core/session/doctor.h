/* `agentvm doctor`: whether this host, this folder and this profile can run an agent.
 *
 * Nothing stops at the first failure, and nothing fails because something is missing: what cannot
 * be looked at because of another finding is left out. */
#ifndef AGENTVM_SESSION_DOCTOR_H
#define AGENTVM_SESSION_DOCTOR_H

#include <stdint.h>

#include "model/finding.h"
#include "session/session.h"

/* Runs all checks.  It makes the folders that any command makes, and what the accelerator's probe
 * keeps in the cache; nothing else. */
void doctor_examine(const struct session_options *o, struct findings *f);

/* Parts of it.  Memory: wanted is the profile's, the others the host's, in bytes; available 0: not
 * known. */
void doctor_examine_memory(uint64_t wanted, uint64_t total, uint64_t available, struct findings *f);
/* How many bytes of memory a /proc/meminfo calls available, or 0. */
uint64_t doctor_parse_meminfo(const char *text);
/* Layers of templates: how many there are, how large, which are damaged. */
void doctor_examine_layers(const struct paths *p, struct findings *f);

#endif
