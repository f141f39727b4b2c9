/* Ends the process while it is loaded. */
#include <stdlib.h>

#include "agentvm/plugin.h"

__attribute__((constructor)) static void load(void)
{
    exit(0);
}

AGENTVM_PLUGIN(.kind = AGENTVM_TOOL, .name = "exit-load", .version = "1", .summary = "hostile");
