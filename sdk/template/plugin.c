/* The plugin @NAME@: teaches agentvm an agent.  agentvm-plugin(3) is the reference.
 *
 * As it stands, the agent is a script that greets; everything marked with "->" is where yours goes.
 */
#include <stdlib.h>
#include <string.h>

#include "agentvm/plugin.h"

/* Users set these in agent.ini:  [plugin.@NAME@] greeting = Good morning
 * -> A version of your agent belongs here; mark it AGENTVM_OPTION_SENSITIVE. */
static const struct agentvm_option options[] = {
    {"greeting", "Hello", "how to greet", 0},
    {0},
};

/* Once, for the template of all VMs: what must be installed.
 * -> agentvm_package(h, "nodejs"); and agentvm_run(h, "install it", npm_argv, AGENTVM_AS_ROOT); */
static int provision(struct agentvm_host *h)
{
    static const char script[] = "#!/bin/sh\n"
                                 "echo \"$GREETING! You said: $*\"\n"
                                 "exec ls\n";

    return agentvm_file(h, "/usr/local/bin/@NAME@-agent", 0755, script, strlen(script),
                        AGENTVM_AS_ROOT);
}

/* In each session, before its VM starts: which credential it gets.
 * -> A real agent refuses if there is none:
 *    return agentvm_fail(h, "no credential for @NAME@", "set @VARIABLE@_API_KEY"); */
static int auth(struct agentvm_host *h)
{
    const char *key = agentvm_host_env(h, "@VARIABLE@_API_KEY");

    return key ? agentvm_secret_env(h, "@VARIABLE@_API_KEY", key) : 0;
}

/* In each session: what to start, in the project's folder, with the user's arguments.
 * -> The VM is the sandbox: tell your agent not to ask for permissions. */
static int launch(struct agentvm_host *h)
{
    const char *const *args = agentvm_args(h);
    const char **argv;
    size_t n = 0;

    while (args[n])
        n++;
    argv = calloc(n + 2, sizeof(*argv)); /* not freed: the hook's process ends */
    if (!argv)
        return agentvm_fail(h, "out of memory", NULL);
    argv[0] = "@NAME@-agent";
    memcpy(argv + 1, args, n * sizeof(*argv));
    agentvm_env(h, "GREETING", agentvm_option(h, "greeting"));
    return agentvm_exec(h, argv);
}

AGENTVM_PLUGIN(.kind = AGENTVM_AGENT, .name = "@NAME@", .version = "0.1",
               .summary = "an agent that greets", .options = options, .provision = provision,
               .auth = auth, .launch = launch);
