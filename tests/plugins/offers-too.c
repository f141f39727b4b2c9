/* A tool that offers an MCP server of a name that tool offers has taken. */
#include "agentvm/plugin.h"

static int launch(struct agentvm_host *h)
{
    const char *const argv[] = {"server", NULL};

    return agentvm_offer_mcp(h, "second", argv, NULL);
}

AGENTVM_PLUGIN(.kind = AGENTVM_TOOL, .name = "offers-too", .version = "1",
               .summary = "offers what another tool does", .launch = launch);
