/* Plugin code in a process of its own. */
#ifndef AGENTVM_PLUGIN_CALL_H
#define AGENTVM_PLUGIN_CALL_H

#include "plugin/plugin.h"

enum { CALL_DEADLINE_MS = PLUGIN_DEADLINE_MS };

/* plugin_inspect and plugin_call with a deadline of the caller's, for tests. */
int call_inspect(const char *path, int deadline_ms, struct plugin *out, struct err *e);
int call_hook(const struct plugin *pl, enum plan_phase phase, const struct plugin_context *ctx,
              int deadline_ms, struct plan *out, struct err *e);

/* All that is wrong with the table of a plugin that can be loaded; appends one line for each.
 * Fails if it cannot. */
int call_faults(const char *path, struct strv *out, struct err *e);

#endif
