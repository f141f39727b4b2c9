/* A plugin's table as struct plugin, and that as the document in which it leaves the child. */
#ifndef AGENTVM_PLUGIN_DESCRIBE_H
#define AGENTVM_PLUGIN_DESCRIBE_H

#include <stdbool.h>

#include "agentvm/plugin.h"
#include "base/str.h"
#include "plugin/plugin.h"

/* The shape of a plugin's or an option's name: lower-case words of letters and digits, joined by
 * '-', at most 32 bytes. */
bool describe_is_name(const char *s);

/* Copies a table and appends one line for each thing that is wrong with it. */
void describe_faults(const struct agentvm_plugin *table, struct plugin *out, struct strv *faults);
/* Copies and checks a table; the error is the first of its faults.  Called in the child, as its
 * pointers may be wrong. */
int describe_table(const struct agentvm_plugin *table, struct plugin *out, struct err *e);
/* The caller frees the text. */
char *describe_to_json(const struct plugin *pl);
/* Parses describe_to_json's output, which comes from the plugin's process: bounded and checked
 * again.  Leaves out->path NULL. */
int describe_from_json(const char *text, size_t len, struct plugin *out, struct err *e);

#endif
