/* A plugin's file: whether it may be loaded, and its table. */
#ifndef AGENTVM_PLUGIN_LOAD_H
#define AGENTVM_PLUGIN_LOAD_H

#include "agentvm/plugin.h"
#include "base/err.h"
#include "base/str.h"
#include "plugin/plugin.h"

/* Opens a file that belongs to plugins (the .so, its .ini): resolves symlinks and checks the
 * folder that it lies in and then the file itself, each through the descriptor that is used
 * afterwards, so that what was checked is what is read.  Both must belong to root or to the user
 * and be writable by their owner only.
 * Returns the descriptor; *resolved (may be NULL) becomes the absolute path, owned by the caller.
 * Returns -1 with errno ENOENT if there is no such file. */
int load_open(const char *path, char **resolved, struct err *e);
/* The same check for a folder of plugins; errors as load_open. */
int load_open_folder(const char *path, struct err *e);

/* All that load_open and load_open_folder would complain of, for the folder that path names, the
 * one that the file lies in and the file; appends one line for each. */
void load_list_faults(const char *path, struct strv *faults);

/* Loads the shared object behind a descriptor and copies its table into *out; what the plugin does
 * not have yet is zero.  Runs the plugin's constructors: only ever called in a child (call.c). */
int load_table(int fd, struct agentvm_plugin *out, struct err *e);

#endif
