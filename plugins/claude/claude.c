/* Claude Code: the agent of the npm package @anthropic-ai/claude-code. */
#include "claude.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "agentvm/npm.h"
#include "agentvm/text.h"
#include "json.h"

#define PACKAGE "@anthropic-ai/claude-code-"
#define MCP_CONFIG "~/.claude/agentvm-mcp.json"
/* For a server to start; without hardware virtualization, the default of 30 s can be too short. */
#define MCP_TIMEOUT_MS "120000"

static const struct agentvm_option options[] = {
    {"version", "2.1.330", "version of Claude Code in the image", AGENTVM_OPTION_SENSITIVE},
    {"credential", "auto", "which one to hand over: auto, " CLAUDE_CREDENTIALS,
     AGENTVM_OPTION_SENSITIVE},
    {"model", NULL, "model to start with, such as opus", AGENTVM_OPTION_SENSITIVE},
    {"arguments", NULL, "further arguments of claude, separated by blanks",
     AGENTVM_OPTION_SENSITIVE},
    {"settings", NULL, "a JSON object: Claude Code's settings, merged over the plugin's",
     AGENTVM_OPTION_SENSITIVE},
    {"import", "none", "what to copy of the host's ~/.claude: none, all, or a list of its parts",
     AGENTVM_OPTION_SENSITIVE},
    {0},
};

/* The package of one platform: it holds the native program, has no install script, and the npm of
 * Debian 13 would install the wrapper package's musl variant along with it. */
static void install(struct agentvm_host *h, const char *platform, const char *version)
{
    char package[128], program[128];
    const char *const link[] = {"ln", "-sfn", program, "/usr/local/bin/claude", NULL};
    const char *const check[] = {"claude", "--version", NULL};

    snprintf(package, sizeof(package), PACKAGE "%s@%s", platform, version);
    snprintf(program, sizeof(program), "../lib/node_modules/" PACKAGE "%s/claude", platform);
    agentvm_npm_install(h, "install Claude Code", package);
    agentvm_run(h, "link claude", link, AGENTVM_AS_ROOT);
    agentvm_npm_clean(h);
    agentvm_run(h, "try claude", check, AGENTVM_AS_USER);
    agentvm_warm(h, check);
}

static int provision(struct agentvm_host *h)
{
    static const char *const packages[] = {"nodejs", "npm", "ca-certificates", "git"};
    static const char state[] = "{" CLAUDE_ONBOARDED "}\n";
    const char *platform = agentvm_npm_platform(h);
    const char *version = agentvm_option(h, "version");

    if (!platform)
        return agentvm_fail(h, "Claude Code exists for x86_64 and aarch64 only", NULL);
    if (!agentvm_npm_is_version(version))
        return agentvm_fail(h, "option version is not a version number such as 2.1.330",
                            "set [plugin.claude] version in agent.ini, or leave it out");
    for (size_t i = 0; i < sizeof(packages) / sizeof(packages[0]); i++)
        agentvm_package(h, packages[i]);
    install(h, platform, version);
    agentvm_file(h, "~/.claude.json", 0600, state, sizeof(state) - 1, AGENTVM_AS_USER);
    return claude_settings(h);
}

static void add_server(struct agentvm_text *t, const struct agentvm_mcp *server)
{
    agentvm_text_add_string(t, server->name);
    agentvm_text_add(t, ": {\"type\": \"stdio\", \"command\": ");
    agentvm_text_add_string(t, server->argv[0]);
    agentvm_text_add(t, ", \"args\": ");
    agentvm_text_add_strings(t, server->argv + 1);
    agentvm_text_add(t, ", \"env\": {");
    for (size_t i = 0; server->env[i]; i++) {
        const char *equals = strchr(server->env[i], '=');
        struct agentvm_text name = {0};

        agentvm_text_add_bytes(&name, server->env[i], (size_t)(equals - server->env[i]));
        agentvm_text_add(t, i ? ", " : "");
        agentvm_text_add_string(t, name.s);
        agentvm_text_add(t, ": ");
        agentvm_text_add_string(t, equals + 1);
    }
    agentvm_text_add(t, "}}");
}

/* Writes the tools' MCP servers down; returns the file's path in the guest, or NULL if there are
 * none. */
static const char *write_mcp_config(struct agentvm_host *h)
{
    const char *home = agentvm_fact(h, "home");
    const struct agentvm_mcp *server;
    struct agentvm_text t = {0}, path = {0};

    agentvm_text_add(&t, "{\"mcpServers\": {");
    for (size_t i = 0; (server = agentvm_mcp(h, i)); i++) {
        agentvm_text_add(&t, i ? ", " : "");
        add_server(&t, server);
    }
    agentvm_text_add(&t, "}}\n");
    if (!home || !agentvm_mcp(h, 0))
        return NULL;
    agentvm_file(h, MCP_CONFIG, 0600, t.s, t.n, AGENTVM_AS_USER);
    agentvm_text_add(&path, home);
    agentvm_text_add(&path, MCP_CONFIG + 1); /* without '~': no shell expands it */
    return path.s;
}

/* The VM is the sandbox: no question is left to ask inside it. */
void claude_set_environment(struct agentvm_host *h)
{
    static const char *const names[] = {
        "IS_SANDBOX",                                           /* root may skip permissions */
        "CLAUDE_CODE_SANDBOXED",                                /* the project folder is trusted */
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC",             /* talk to the API only ... */
        "CLAUDE_CODE_DISABLE_OFFICIAL_MARKETPLACE_AUTOINSTALL", /* ... also interactively */
        "DISABLE_AUTOUPDATER",                                  /* the template pins the version */
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        agentvm_env(h, names[i], "1");
}

/* Transcripts (for --continue and --resume) and the history of prompts.  Not the whole ~/.claude: a
 * login would lie there. */
static void keep_sessions(struct agentvm_host *h)
{
    agentvm_keep(h, "~/.claude/projects", "[0-9a-f]*-*-*-*-*.jsonl");
    agentvm_keep_file(h, "~/.claude/history.jsonl");
}

/* What the profile asks for. */
static int add_options(struct agentvm_host *h, struct agentvm_list *argv)
{
    const char *model = agentvm_option(h, "model");
    const char *settings = agentvm_option(h, "settings");

    if (model && *model) {
        agentvm_list_add(argv, "--model");
        agentvm_list_add(argv, model);
    }
    if (settings && *settings) {
        if (!json_is_object(settings))
            return agentvm_fail(h, "option settings is not a JSON object",
                                "write it in one line: [plugin.claude] settings = {\"key\": ...}");
        agentvm_list_add(argv, "--settings");
        agentvm_list_add(argv, settings);
    }
    agentvm_list_add_words(argv, agentvm_option(h, "arguments"));
    return 0;
}

static int launch(struct agentvm_host *h)
{
    const char *mcp = write_mcp_config(h);
    struct agentvm_list argv = {0};

    claude_set_environment(h);
    keep_sessions(h);
    agentvm_list_add(&argv, "claude");
    if (mcp) {
        agentvm_env(h, "ENABLE_TOOL_SEARCH", "false"); /* tools are in the first request */
        agentvm_env(h, "MCP_TIMEOUT", MCP_TIMEOUT_MS);
        agentvm_list_add(&argv, "--mcp-config");
        agentvm_list_add(&argv, mcp);
    }
    if (add_options(h, &argv) < 0 || claude_import(h) < 0)
        return -1;
    /* An option such as --mcp-config takes every argument up to the next option: so this one goes
     * last, or they would eat a prompt. */
    agentvm_list_add(&argv, "--dangerously-skip-permissions");
    agentvm_list_add_all(&argv, agentvm_args(h));
    return agentvm_exec(h, argv.v);
}

AGENTVM_PLUGIN(.kind = AGENTVM_AGENT, .name = "claude", .version = "0.1",
               .summary = "Claude Code, the coding agent of Anthropic", .options = options,
               .provision = provision, .auth = claude_auth, .launch = launch,
               .login = claude_login);
