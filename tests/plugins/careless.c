/* An agent that looks well until somebody looks closely: several mistakes of its author's. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agentvm/plugin.h"

int careless_helper(int n);

/* Forgot static. */
__attribute__((visibility("default"))) int careless_helper(int n)
{
    return n + 1;
}

/* Another plan each time. */
static int provision(struct agentvm_host *h)
{
    char label[32];
    const char *const argv[] = {"true", NULL};

    snprintf(label, sizeof(label), "process %d", careless_helper((int)getpid()));
    return agentvm_run(h, label, argv, AGENTVM_AS_USER);
}

static int auth(struct agentvm_host *h)
{
    puts("about to refuse");
    fflush(stdout);
    return agentvm_fail(h, "not me", NULL);
}

/* Believes that there always is a home. */
static int launch(struct agentvm_host *h)
{
    char path[256];
    const char *const argv[] = {"program", path, NULL};

    agentvm_env(h, "A", "b");
    snprintf(path, sizeof(path), "%.*s", (int)strlen(agentvm_fact(h, "home")), "x");
    return agentvm_exec(h, argv);
}

AGENTVM_PLUGIN(.kind = AGENTVM_AGENT, .name = "careless", .version = "1", .summary = "careless",
               .provision = provision, .auth = auth, .launch = launch);
