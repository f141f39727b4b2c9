/* A tool; compiled against each released header. */
#include "agentvm/plugin.h"

static int launch(struct agentvm_host *h)
{
    const char *const argv[] = {"server", NULL};
    const char *const env[] = {"A=b", NULL};

    return agentvm_offer_mcp(h, "server", argv, env);
}

AGENTVM_PLUGIN(.kind = AGENTVM_TOOL, .name = "tool", .version = "1", .summary = "a tool",
               .launch = launch);
