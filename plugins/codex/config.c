/* The session's configuration: the system's layer of it, /etc/codex/config.toml, which Codex itself
 * does not write.  The user's layer, ~/.codex/config.toml, holds what only auth knows. */
#include <string.h>

#include "agentvm/text.h"
#include "codex.h"

/* The VM is the sandbox: no question is left to ask inside it.  Codex talks to the API only; it
 * starts no daemon, which would outlive it, and gives up on a network that is not there. */
static const char fixed[] = "model_provider = \"" CODEX_PROVIDER "\"\n"
                            "approval_policy = \"never\"\n"
                            "sandbox_mode = \"danger-full-access\"\n"
                            "check_for_update_on_startup = false\n";

static const char fixed_tables[] = "\n"
                                   "[analytics]\n"
                                   "enabled = false\n"
                                   "\n"
                                   "[features]\n"
                                   "plugins = false\n"
                                   "daemon_auto_start = false\n"
                                   "unbounded_connection_retries = false\n";

/* A server that Codex need not wait for is missing from the first request; one that is slow to
 * start, as without hardware virtualization, has two minutes. */
static const char server_rules[] = "required = true\n"
                                   "startup_timeout_sec = 120\n";

static void add_environment(struct agentvm_text *t, const char *const *env)
{
    agentvm_text_add(t, "env = {");
    for (size_t i = 0; env[i]; i++) {
        const char *equals = strchr(env[i], '=');
        struct agentvm_text name = {0};

        agentvm_text_add_bytes(&name, env[i], (size_t)(equals - env[i]));
        agentvm_text_add(t, i ? ", " : "");
        agentvm_text_add_string(t, name.s);
        agentvm_text_add(t, " = ");
        agentvm_text_add_string(t, equals + 1);
    }
    agentvm_text_add(t, "}\n");
}

/* A server's name is letters, digits, '-' and '_': a bare key of TOML. */
static void add_server(struct agentvm_text *t, const struct agentvm_mcp *server)
{
    agentvm_text_add(t, "\n[mcp_servers.");
    agentvm_text_add(t, server->name);
    agentvm_text_add(t, "]\ncommand = ");
    agentvm_text_add_string(t, server->argv[0]);
    agentvm_text_add(t, "\nargs = ");
    agentvm_text_add_strings(t, server->argv + 1);
    agentvm_text_add(t, "\n");
    add_environment(t, server->env);
    agentvm_text_add(t, server_rules);
}

static void add_project(struct agentvm_text *t, const char *workspace)
{
    agentvm_text_add(t, "\n[projects.");
    agentvm_text_add_string(t, workspace);
    agentvm_text_add(t, "]\ntrust_level = \"trusted\"\n");
}

int codex_configure(struct agentvm_host *h)
{
    const char *model = agentvm_option(h, "model");
    const char *workspace = agentvm_fact(h, "workspace");
    const struct agentvm_mcp *server;
    struct agentvm_text t = {0};

    if (!workspace)
        return -1;
    agentvm_text_add(&t, fixed);
    if (model && *model) {
        agentvm_text_add(&t, "model = ");
        agentvm_text_add_string(&t, model);
        agentvm_text_add(&t, "\n");
    }
    agentvm_text_add(&t, fixed_tables);
    add_project(&t, workspace);
    for (size_t i = 0; (server = agentvm_mcp(h, i)); i++)
        add_server(&t, server);
    if (!agentvm_text_is_utf8(t.s, t.n))
        return agentvm_fail(h,
                            "Codex's configuration must be UTF-8, but the project folder's path or "
                            "an MCP server's argument is not",
                            "rename the folder");
    return agentvm_file(h, "/etc/codex/config.toml", 0644, t.s, t.n, AGENTVM_AS_ROOT);
}
