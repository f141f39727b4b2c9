/* Codex: the agent of the npm package @openai/codex. */
#include "codex.h"

#include <stdio.h>
#include <string.h>

#include "agentvm/npm.h"
#include "agentvm/text.h"

static const struct agentvm_option options[] = {
    {"version", "0.169.0", "version of Codex in the image", AGENTVM_OPTION_SENSITIVE},
    {"credential", "auto", "which one to hand over: auto, " CODEX_CREDENTIALS,
     AGENTVM_OPTION_SENSITIVE},
    {"model", NULL, "model to start with", AGENTVM_OPTION_SENSITIVE},
    {"arguments", NULL, "further arguments of codex, separated by blanks",
     AGENTVM_OPTION_SENSITIVE},
    {0},
};

/* The package of one platform, which needs no Node.js to run.  npm knows it as a version of the
 * wrapper package, so it gets a name of its own. */
static int install(struct agentvm_host *h, const char *platform, const char *version)
{
    int is_arm = strcmp(platform, "linux-arm64") == 0;
    char package[160], program[128];
    const char *const link[] = {"ln", "-sfn", program, "/usr/local/bin/codex", NULL};
    const char *const check[] = {"codex", "--version", NULL};

    snprintf(package, sizeof(package), "codex-native@npm:@openai/codex@%s-%s", version, platform);
    snprintf(program, sizeof(program),
             "../lib/node_modules/codex-native/vendor/%s-unknown-linux-musl/bin/codex",
             is_arm ? "aarch64" : "x86_64");
    agentvm_npm_install(h, "install Codex", package);
    agentvm_run(h, "link codex", link, AGENTVM_AS_ROOT);
    agentvm_npm_clean(h);
    agentvm_run(h, "try codex", check, AGENTVM_AS_USER);
    return agentvm_warm(h, check);
}

static int provision(struct agentvm_host *h)
{
    static const char *const packages[] = {"nodejs", "npm", "ca-certificates", "git"};
    const char *platform = agentvm_npm_platform(h);
    const char *version = agentvm_option(h, "version");

    if (!platform)
        return agentvm_fail(h, "Codex exists for x86_64 and aarch64 only", NULL);
    if (!agentvm_npm_is_version(version))
        return agentvm_fail(h, "option version is not a version number such as 0.169.0",
                            "set [plugin.codex] version in agent.ini, or leave it out");
    for (size_t i = 0; i < sizeof(packages) / sizeof(packages[0]); i++)
        agentvm_package(h, packages[i]);
    return install(h, platform, version);
}

static int is_one_of(const char *s, const char *const *v)
{
    for (; *v; v++)
        if (strcmp(s, *v) == 0)
            return 1;
    return 0;
}

/* Whether one of the arguments before "--" is this one. */
static int has_argument(const char *const *args, const char *wanted)
{
    for (; args && *args && strcmp(*args, "--") != 0; args++)
        if (strcmp(*args, wanted) == 0)
            return 1;
    return 0;
}

/* The index of the sub-command exec in codex's arguments, or -1: the first word that is neither an
 * option nor an option's value decides; it may be a prompt. */
static long find_exec(const char *const *args)
{
    static const char *const with_value[] = {"-c",        "--config",
                                             "--enable",  "--disable",
                                             "-i",        "--image",
                                             "-m",        "--model",
                                             "-p",        "--profile",
                                             "-s",        "--sandbox",
                                             "-a",        "--ask-for-approval",
                                             "-C",        "--cd",
                                             "--add-dir", "--local-provider",
                                             "--remote",  "--remote-auth-token-env",
                                             NULL};
    static const char *const names[] = {"exec", "e", NULL};

    for (long i = 0; args[i]; i++) {
        if (is_one_of(args[i], with_value) && args[i + 1])
            i++;
        else if (args[i][0] != '-')
            return is_one_of(args[i], names) ? i : -1;
        else if (strcmp(args[i], "--") == 0)
            return -1;
    }
    return -1;
}

/* Adds an option unless the user said it: codex refuses to hear it twice. */
static void add_once(struct agentvm_list *argv, const struct agentvm_list *said, const char *option)
{
    if (!has_argument(said->v, option))
        agentvm_list_add(argv, option);
}

/* Options before a sub-command hold for all of them.  exec refuses a folder outside git, trusted or
 * not, unless told otherwise. */
static void build_argv(const struct agentvm_list *said, struct agentvm_list *argv)
{
    static const char *const nothing[] = {NULL};
    const char *const *args = said->n ? said->v : nothing;
    long exec = find_exec(args);

    agentvm_list_add(argv, "codex");
    if (!has_argument(args, "--yolo"))
        add_once(argv, said, "--dangerously-bypass-approvals-and-sandbox");
    add_once(argv, said, "--no-daemon");
    for (long i = 0; i <= exec; i++)
        agentvm_list_add(argv, args[i]);
    if (exec >= 0)
        add_once(argv, said, "--skip-git-repo-check");
    agentvm_list_add_all(argv, args + exec + 1);
}

static int launch(struct agentvm_host *h)
{
    struct agentvm_list said = {0}, argv = {0};

    if (codex_configure(h) < 0)
        return -1;
    agentvm_list_add_words(&said, agentvm_option(h, "arguments"));
    agentvm_list_add_all(&said, agentvm_args(h));
    build_argv(&said, &argv);
    agentvm_keep(h, "~/.codex/sessions", "rollout-*.jsonl"); /* for resume */
    agentvm_keep_file(h, "~/.codex/history.jsonl");
    return agentvm_exec(h, argv.v);
}

AGENTVM_PLUGIN(.kind = AGENTVM_AGENT, .name = "codex", .version = "0.1",
               .summary = "Codex, the coding agent of OpenAI", .options = options,
               .provision = provision, .auth = codex_auth, .launch = launch, .login = codex_login);
