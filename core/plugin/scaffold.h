/* A new plugin's folder, from the templates of sdk/template. */
#ifndef AGENTVM_PLUGIN_SCAFFOLD_H
#define AGENTVM_PLUGIN_SCAFFOLD_H

#include "base/err.h"

/* Makes the folder (NULL: one called name in the working directory) with all that a plugin of that
 * name needs to be built and tested.  The folder must not exist; it appears by rename when it is
 * complete.  *made becomes its path, which the caller frees. */
int scaffold_make(const char *name, const char *folder, char **made, struct err *e);

#endif
