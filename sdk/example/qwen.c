/* qwen: Qwen Code, the agent of the npm package @qwen-code/qwen-code, against any server that
 * speaks OpenAI's chat completions.  sdk/README.md explains it line by line.
 *
 *     cc -std=c11 -shared -fPIC -fvisibility=hidden -Wl,-z,defs -o qwen.so qwen.c
 *     install -D -m 755 qwen.so ~/.config/agentvm/plugins/qwen.so
 *     OPENAI_API_KEY=... OPENAI_BASE_URL=... OPENAI_MODEL=... agentvm --agent qwen
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agentvm/plugin.h"

static const struct agentvm_option options[] = {
    {"version", "0.24.4", "version of Qwen Code in the image", AGENTVM_OPTION_SENSITIVE},
    {"model", NULL, "model to use; default: OPENAI_MODEL of the host", 0},
    {0},
};

/* npm would take ranges, tags, URLs and paths, too; the template's key must mean one version. */
static int is_version(const char *s)
{
    return s && *s >= '0' && *s <= '9' && strlen(s) < 32 &&
           strspn(s, "0123456789.-abcdefghijklmnopqrstuvwxyz") == strlen(s);
}

static int provision(struct agentvm_host *h)
{
    char package[96];
    const char *const npm[] = {
        "npm",        "install",   "--global",         "--prefix", "/usr/local", "--ignore-scripts",
        "--no-audit", "--no-fund", "--loglevel=error", package,    NULL};
    const char *const try_it[] = {"qwen", "--version", NULL};
    const char *version = agentvm_option(h, "version");

    if (!is_version(version))
        return agentvm_fail(h, "option version is not a version number such as 0.24.4",
                            "set [plugin.qwen] version in agent.ini, or leave it out");
    snprintf(package, sizeof(package), "@qwen-code/qwen-code@%s", version);
    agentvm_package(h, "nodejs");
    agentvm_package(h, "npm");
    agentvm_run(h, "install Qwen Code", npm, AGENTVM_AS_ROOT);
    return agentvm_run(h, "try qwen", try_it, AGENTVM_AS_USER);
}

static int auth(struct agentvm_host *h)
{
    const char *set = agentvm_host_env(h, "OPENAI_API_KEY"), *kept = agentvm_login(h);
    const char *key = set ? set : kept;
    const char *url = agentvm_host_env(h, "OPENAI_BASE_URL");
    const char *model = agentvm_option(h, "model");

    if (!model)
        model = agentvm_host_env(h, "OPENAI_MODEL");
    if (!key)
        return agentvm_fail(h, "no credential for Qwen Code",
                            "set OPENAI_API_KEY, or run agentvm login qwen; and set "
                            "OPENAI_BASE_URL for another server than OpenAI's");
    if (!model)
        return agentvm_fail(h, "Qwen Code is not told which model to use",
                            "set OPENAI_MODEL, or [plugin.qwen] model in agent.ini");
    if (set)
        agentvm_account(h, "OPENAI_API_KEY", "metered API");
    if (kept)
        agentvm_account(h, "agentvm login", "metered API");
    agentvm_secret_env(h, "OPENAI_API_KEY", key);
    if (url)
        agentvm_env(h, "OPENAI_BASE_URL", agentvm_guest_url(h, url));
    return agentvm_env(h, "OPENAI_MODEL", model);
}

/* What `agentvm login qwen` asks for and keeps for auth. */
static int login(struct agentvm_host *h)
{
    return agentvm_ask(h, "API key");
}

static int launch(struct agentvm_host *h)
{
    const char *const *args = agentvm_args(h);
    const char **argv;
    size_t n = 0;

    while (args[n])
        n++;
    argv = calloc(n + 3, sizeof(*argv)); /* not freed: the hook's process ends */
    if (!argv)
        return agentvm_fail(h, "out of memory", NULL);
    argv[0] = "qwen";
    argv[1] = "--yolo"; /* the VM is the sandbox: nothing is left to ask */
    memcpy(argv + 2, args, n * sizeof(*argv));
    agentvm_env(h, "QWEN_CODE_SUPPRESS_YOLO_WARNING", "1");
    return agentvm_exec(h, argv);
}

AGENTVM_PLUGIN(.kind = AGENTVM_AGENT, .name = "qwen", .version = "1",
               .summary = "Qwen Code, with any OpenAI-compatible server", .options = options,
               .provision = provision, .auth = auth, .launch = launch, .login = login);
