/* Sound, with a default of several lines and control characters. */
#include "agentvm/plugin.h"

static const struct agentvm_option options[] = {
    {"text", "a\033[2Jb\nname=other", "what plugin info must show inert", 0},
    {0},
};

AGENTVM_PLUGIN(.kind = AGENTVM_TOOL, .name = "odd-default", .version = "1", .summary = "odd",
               .options = options);
