/* Crashes while it is loaded. */
#include <stdlib.h>

#include "agentvm/plugin.h"

__attribute__((constructor)) static void load(void)
{
    abort();
}

AGENTVM_PLUGIN(.kind = AGENTVM_TOOL, .name = "crash-load", .version = "1", .summary = "hostile");
