/* Members left out. */
#include "agentvm/plugin.h"

AGENTVM_PLUGIN(.kind = AGENTVM_TOOL, .version = "1", .summary = "hostile");
