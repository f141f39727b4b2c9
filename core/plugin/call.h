/* Plugin code in a process of its own. */
#ifndef AGENTVM_PLUGIN_CALL_H
#define AGENTVM_PLUGIN_CALL_H

#include "plugin/plugin.h"

/* How long loading a plugin and one hook may take, as plugin.h says. */
enum { CALL_DEADLINE_MS = 10 * 1000 };

/* plugin_inspect and plugin_call with a deadline of the caller's, for tests. */
int call_inspect(const char *path, int deadline_ms, struct plugin *out, struct err *e);
int call_hook(const struct plugin *pl, enum plan_phase phase, const struct plugin_context *ctx,
              int deadline_ms, struct plan *out, struct err *e);

#endif
