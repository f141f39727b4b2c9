/* An agent that uses all that ABI 0.1 has for agents; compiled against each released header. */
#include <stdlib.h>
#include <string.h>

#include "agentvm/plugin.h"

static const struct agentvm_option options[] = {
    {"with-default", "yes", "an option with a default", AGENTVM_OPTION_SENSITIVE},
    {"without-default", NULL, "an option without one", 0},
    {0},
};

static int provision(struct agentvm_host *h)
{
    const char *const argv[] = {"install", agentvm_option(h, "with-default"), NULL};

    agentvm_package(h, "hello");
    agentvm_run(h, "install", argv, AGENTVM_AS_USER);
    agentvm_file(h, "/etc/greeting", 0644, "hi", 2, AGENTVM_AS_ROOT);
    if (agentvm_option(h, "without-default"))
        return agentvm_fail(h, "an option is set", "unset it");
    return agentvm_fact(h, "arch") && agentvm_fact(h, "home") ? 0 : -1;
}

static int auth(struct agentvm_host *h)
{
    const char *key = agentvm_host_env(h, "KEY");
    size_t len = 0;
    const char *login = agentvm_host_file(h, "login", &len);

    if (!key)
        return agentvm_fail(h, "no key", NULL);
    agentvm_secret_env(h, "KEY", key);
    if (login)
        agentvm_secret_file(h, "~/login", 0600, login, len);
    return agentvm_env(h, "URL", agentvm_guest_url(h, "http://localhost:1/"));
}

static int launch(struct agentvm_host *h)
{
    const struct agentvm_mcp *server = agentvm_mcp(h, 0);
    const char *const *args = agentvm_args(h);
    const char *const argv[] = {"agent", args[0], NULL};

    /* The size says which members this agentvm has. */
    if (h->size < sizeof(*h) || (server && server->size < sizeof(*server)))
        return agentvm_fail(h, "agentvm is older than I am", NULL);
    if (server)
        agentvm_file(h, "~/server", 0600, server->argv[0], strlen(server->argv[0]),
                     AGENTVM_AS_USER);
    agentvm_env(h, "TTY", agentvm_fact(h, "tty"));
    return agentvm_exec(h, argv);
}

AGENTVM_PLUGIN(.kind = AGENTVM_AGENT, .name = "agent", .version = "1", .summary = "an agent",
               .options = options, .provision = provision, .auth = auth, .launch = launch);
