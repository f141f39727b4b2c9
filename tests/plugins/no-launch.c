/* An agent with nothing to start. */
#include "agentvm/plugin.h"

AGENTVM_PLUGIN(.kind = AGENTVM_AGENT, .name = "no-launch", .version = "1", .summary = "hostile");
