/* A tool that offers two MCP servers. */
#include "agentvm/plugin.h"

static int launch(struct agentvm_host *h)
{
    const char *const argv[] = {"server", "--say", "\"hi\"\n", NULL};
    const char *const env[] = {"KEY=value=1", NULL};

    agentvm_offer_mcp(h, "first", argv, env);
    return agentvm_offer_mcp(h, "second", argv + 2, NULL);
}

AGENTVM_PLUGIN(.kind = AGENTVM_TOOL, .name = "offers", .version = "1", .summary = "offers servers",
               .launch = launch);
