/* An option list that nothing ends. */
#include "agentvm/plugin.h"

#define FOUR                                                 \
    {"a", "", "x", 0}, {"b", "", "x", 0}, {"c", "", "x", 0}, \
    {                                                        \
        "d", "", "x", 0                                      \
    }
#define SIXTEEN FOUR, FOUR, FOUR, FOUR
static const struct agentvm_option options[] = {SIXTEEN, SIXTEEN, SIXTEEN, SIXTEEN, FOUR};

AGENTVM_PLUGIN(.kind = AGENTVM_TOOL, .name = "bad-option", .version = "1", .summary = "hostile",
               .options = options);
