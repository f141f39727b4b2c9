/* An agent whose saved VM is 30 days old: its warm-up sets the clock back. */
#include <stddef.h>

#include "agentvm/plugin.h"

static int provision(struct agentvm_host *h)
{
    static const char *const set_back[] = {"sudo", "-n", "date", "-s", "-30 days", NULL};

    return agentvm_warm(h, set_back);
}

static int launch(struct agentvm_host *h)
{
    static const char *const argv[] = {"date", "+%s.%N", NULL};

    return agentvm_exec(h, argv);
}

AGENTVM_PLUGIN(.kind = AGENTVM_AGENT, .name = "backdated", .version = "1",
               .summary = "tells the time of a VM that was saved 30 days ago",
               .provision = provision, .launch = launch);
