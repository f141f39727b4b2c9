/* Never ends being loaded. */
#include <unistd.h>

#include "agentvm/plugin.h"

__attribute__((constructor)) static void load(void)
{
    for (;;)
        pause();
}

AGENTVM_PLUGIN(.kind = AGENTVM_TOOL, .name = "hang-load", .version = "1", .summary = "hostile");
