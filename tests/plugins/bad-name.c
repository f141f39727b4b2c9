/* A name that would lead out of the folder. */
#include "agentvm/plugin.h"

AGENTVM_PLUGIN(.kind = AGENTVM_TOOL, .name = "../bad\033[2J", .version = "1", .summary = "hostile");
