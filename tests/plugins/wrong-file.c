/* Calls itself otherwise than its file. */
#include "agentvm/plugin.h"

AGENTVM_PLUGIN(.kind = AGENTVM_TOOL, .name = "right-file", .version = "1", .summary = "hostile");
