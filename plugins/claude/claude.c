/* Claude Code: the agent of the npm package @anthropic-ai/claude-code. */
#include "claude.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

#define PACKAGE "@anthropic-ai/claude-code-"
#define MCP_CONFIG "~/.claude/agentvm-mcp.json"

static const struct agentvm_option options[] = {
    {"version", "2.1.330", "version of Claude Code in the image", AGENTVM_OPTION_SENSITIVE},
    {"credential", "auto", "which one to hand over: auto, oauth-token, file, auth-token, api-key",
     AGENTVM_OPTION_SENSITIVE},
    {0},
};

/* npm's name for the guest's machine, or NULL. */
static const char *npm_platform(const char *arch)
{
    if (arch && strcmp(arch, "x86_64") == 0)
        return "linux-x64";
    return arch && strcmp(arch, "aarch64") == 0 ? "linux-arm64" : NULL;
}

/* npm would take ranges, tags, URLs and paths, too; the template's key must mean one version. */
static int is_version(const char *s)
{
    return s && *s >= '0' && *s <= '9' && strlen(s) < 64 &&
           strspn(s, "0123456789.-+abcdefghijklmnopqrstuvwxyz") == strlen(s) && strchr(s, '.');
}

/* The package of one platform: it holds the native program, has no install script, and the npm of
 * Debian 13 would install the wrapper package's musl variant along with it. */
static void install(struct agentvm_host *h, const char *platform, const char *version)
{
    char package[128], program[128];
    const char *const npm[] = {
        "npm",        "install",   "--global",         "--prefix", "/usr/local", "--ignore-scripts",
        "--no-audit", "--no-fund", "--loglevel=error", package,    NULL};
    const char *const link[] = {"ln", "-sfn", program, "/usr/local/bin/claude", NULL};
    const char *const clean[] = {"npm", "cache", "clean", "--force", "--loglevel=error", NULL};
    const char *const check[] = {"claude", "--version", NULL};

    snprintf(package, sizeof(package), PACKAGE "%s@%s", platform, version);
    snprintf(program, sizeof(program), "../lib/node_modules/" PACKAGE "%s/claude", platform);
    agentvm_run(h, "install Claude Code", npm, AGENTVM_AS_ROOT);
    agentvm_run(h, "link claude", link, AGENTVM_AS_ROOT);
    agentvm_run(h, "empty npm's cache", clean, AGENTVM_AS_ROOT);
    agentvm_run(h, "try claude", check, AGENTVM_AS_USER);
    agentvm_warm(h, check);
}

static int provision(struct agentvm_host *h)
{
    static const char *const packages[] = {"nodejs", "npm", "ca-certificates", "git"};
    static const char state[] = "{" CLAUDE_ONBOARDED "}\n";
    static const char settings[] =
        "{\"theme\": \"dark\", \"skipDangerousModePermissionPrompt\": true}\n";
    const char *platform = npm_platform(agentvm_fact(h, "arch"));
    const char *version = agentvm_option(h, "version");

    if (!platform)
        return agentvm_fail(h, "Claude Code exists for x86_64 and aarch64 only", NULL);
    if (!is_version(version))
        return agentvm_fail(h, "option version is not a version number such as 2.1.330",
                            "set [plugin.claude] version in agent.ini, or leave it out");
    for (size_t i = 0; i < sizeof(packages) / sizeof(packages[0]); i++)
        agentvm_package(h, packages[i]);
    install(h, platform, version);
    agentvm_file(h, "~/.claude.json", 0600, state, sizeof(state) - 1, AGENTVM_AS_USER);
    return agentvm_file(h, "~/.claude/settings.json", 0600, settings, sizeof(settings) - 1,
                        AGENTVM_AS_USER);
}

static void add_server(struct text *t, const struct agentvm_mcp *server)
{
    text_add_json(t, server->name);
    text_add(t, ": {\"type\": \"stdio\", \"command\": ");
    text_add_json(t, server->argv[0]);
    text_add(t, ", \"args\": ");
    text_add_json_list(t, server->argv + 1);
    text_add(t, ", \"env\": {");
    for (size_t i = 0; server->env[i]; i++) {
        const char *equals = strchr(server->env[i], '=');
        struct text name = {0};

        text_add_bytes(&name, server->env[i], (size_t)(equals - server->env[i]));
        text_add(t, i ? ", " : "");
        text_add_json(t, name.s);
        text_add(t, ": ");
        text_add_json(t, equals + 1);
    }
    text_add(t, "}}");
}

/* Writes the tools' MCP servers down; returns the file's path in the guest, or NULL if there are
 * none. */
static const char *write_mcp_config(struct agentvm_host *h)
{
    const char *home = agentvm_fact(h, "home");
    const struct agentvm_mcp *server;
    struct text t = {0}, path = {0};

    text_add(&t, "{\"mcpServers\": {");
    for (size_t i = 0; (server = agentvm_mcp(h, i)); i++) {
        text_add(&t, i ? ", " : "");
        add_server(&t, server);
    }
    text_add(&t, "}}\n");
    if (!home || !agentvm_mcp(h, 0))
        return NULL;
    agentvm_file(h, MCP_CONFIG, 0600, t.s, t.n, AGENTVM_AS_USER);
    text_add(&path, home);
    text_add(&path, MCP_CONFIG + 1); /* without '~': no shell expands it */
    return path.s;
}

/* The VM is the sandbox: no question is left to ask inside it. */
static void set_environment(struct agentvm_host *h)
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

static int launch(struct agentvm_host *h)
{
    const char *const *args = agentvm_args(h);
    const char *mcp = write_mcp_config(h);
    const char **argv;
    size_t n = 0, nargs = 0;

    set_environment(h);
    while (args[nargs])
        nargs++;
    argv = calloc(nargs + 5, sizeof(*argv));
    if (!argv)
        abort();
    argv[n++] = "claude";
    if (mcp) {
        /* Takes every argument up to the next option: so not the last, or it eats a prompt. */
        argv[n++] = "--mcp-config";
        argv[n++] = mcp;
    }
    argv[n++] = "--dangerously-skip-permissions";
    memcpy(argv + n, args, nargs * sizeof(*argv));
    return agentvm_exec(h, argv);
}

AGENTVM_PLUGIN(.kind = AGENTVM_AGENT, .name = "claude", .version = "0.1",
               .summary = "Claude Code, the coding agent of Anthropic", .options = options,
               .provision = provision, .auth = claude_auth, .launch = launch);
