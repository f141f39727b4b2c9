/* Calls what nobody has. */
#include "agentvm/plugin.h"

int nobody_has_this(void);

static int provision(struct agentvm_host *h)
{
    return nobody_has_this() ? 0 : agentvm_package(h, "hello");
}

AGENTVM_PLUGIN(.kind = AGENTVM_TOOL, .name = "undefined", .version = "1", .summary = "hostile",
               .provision = provision);
