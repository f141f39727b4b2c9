/* hello: an agent that greets, as small as an agent can be.  Try it:
 *
 *     cc -std=c11 -shared -fPIC -fvisibility=hidden -Wl,-z,defs -o hello.so hello.c
 *     install -D -m 755 hello.so ~/.config/agentvm/plugins/hello.so
 *     agentvm --agent hello -- there
 */
#include "agentvm/plugin.h"

/* [plugin.hello] greeting = Good morning */
static const struct agentvm_option options[] = {
    {"greeting", "Hello", "how to greet", 0},
    {0},
};

/* The agent's program.  "$PWD" is the project folder, "$@" what the user said after "--". */
static const char script[] = "#!/bin/sh\n"
                             "echo \"$GREETING, $*! This is $(hostname), working on $PWD:\"\n"
                             "exec ls\n";

/* Once, for the template. */
static int provision(struct agentvm_host *h)
{
    return agentvm_file(h, "/usr/local/bin/hello-agent", 0755, script, sizeof(script) - 1,
                        AGENTVM_AS_ROOT);
}

/* In each session. */
static int launch(struct agentvm_host *h)
{
    enum { ARGS = 30 };
    const char *const *args = agentvm_args(h);
    const char *argv[ARGS + 2] = {"hello-agent"};

    for (int i = 0; args[i]; i++) {
        if (i == ARGS)
            return agentvm_fail(h, "more than 30 arguments", "say less");
        argv[i + 1] = args[i];
    }
    agentvm_env(h, "GREETING", agentvm_option(h, "greeting"));
    return agentvm_exec(h, argv);
}

AGENTVM_PLUGIN(.kind = AGENTVM_AGENT, .name = "hello", .version = "1", .summary = "greets you",
               .options = options, .provision = provision, .launch = launch);
