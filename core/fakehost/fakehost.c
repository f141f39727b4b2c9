#include "fakehost/fakehost.h"

#include <limits.h>
#include <string.h>

#include "base/mem.h"

const char fakehost_help[] =
    "agentvm-fakehost [OPTIONS] FILE HOOK [-- AGENT ARGUMENTS...]\n\n"
    "  call the hook (provision, auth, launch or login) of the plugin FILE and print its plan as "
    "JSON\n\n"
    "Options:\n"
    "  --option KEY=VALUE     set an option of the plugin, as agent.ini would\n"
    "  --host-env NAME=VALUE  a variable of the host's environment; others are unset\n"
    "  --login TEXT           what agentvm login keeps for the plugin\n"
    "  --home DIR             home folder, below which agentvm_host_file looks (/home/user)\n"
    "  --workspace DIR        project folder (/home/user/project)\n"
    "  --mcp NAME=COMMAND     offer an MCP server; COMMAND is split at spaces\n"
    "  --tty                  the session has a terminal\n"
    "  --secrets              print secret values, too\n"
    "  --fail N               let the N-th service call of the hook fail; print no plan\n"
    "  --fail-each            the same for every N, one after the other\n"
    "  --help                 show this help\n";

enum option_id { ID_OPTION, ID_HOST_ENV, ID_HOME, ID_WORKSPACE, ID_MCP, ID_LOGIN, ID_FAIL };

/* Those with a value; the others are read by take_flag. */
static const struct {
    const char *name;
    enum option_id id;
} valued[] = {
    {"--option", ID_OPTION},       {"--host-env", ID_HOST_ENV}, {"--home", ID_HOME},
    {"--workspace", ID_WORKSPACE}, {"--mcp", ID_MCP},           {"--login", ID_LOGIN},
    {"--fail", ID_FAIL},
};

static int add_pair(struct strv *list, const char *option, const char *value, struct err *e)
{
    const char *equals = strchr(value, '=');

    if (!equals || equals == value)
        return err_set(e, "%s %s: is not NAME=VALUE", option, value);
    strv_push(list, value);
    return 0;
}

/* NAME=COMMAND ARGUMENT... */
static int add_server(struct plan *offers, const char *value, struct err *e)
{
    const char *equals = strchr(value, '=');
    struct plan_step *s;

    if (!equals)
        return err_set(e, "--mcp %s: is not NAME=COMMAND", value);
    s = plan_add(offers, PLAN_OFFER_MCP, "fakehost");
    s->name = mem_dup(value, (size_t)(equals - value));
    strv_split(&s->argv, equals + 1);
    return plan_check_step(s, e) < 0 ? err_prefix(e, "--mcp %s", value) : 0;
}

static int set_folder(const char **out, const char *option, const char *value, struct err *e)
{
    if (*value != '/')
        return err_set(e, "%s %s: is not an absolute path", option, value);
    *out = value;
    return 0;
}

static int take_value(struct fakehost *f, enum option_id id, const char *name, const char *value,
                      struct err *e)
{
    uint64_t n;

    switch (id) {
    case ID_OPTION:
        return add_pair(&f->options, name, value, e);
    case ID_HOST_ENV:
        return add_pair(&f->host_env, name, value, e);
    case ID_HOME:
        return set_folder(&f->home, name, value, e);
    case ID_WORKSPACE:
        return set_folder(&f->workspace, name, value, e);
    case ID_MCP:
        return add_server(&f->offers, value, e);
    case ID_LOGIN:
        f->login = value;
        return 0;
    case ID_FAIL:
        if (str_to_u64(value, 1, UINT_MAX, &n) < 0)
            return err_set(e, "--fail %s: is not a number from 1 on", value);
        f->fail_nth = (unsigned)n;
        return 0;
    }
    return 0;
}

static bool take_flag(struct fakehost *f, const char *word)
{
    bool *flag = strcmp(word, "--tty") == 0         ? &f->tty
                 : strcmp(word, "--secrets") == 0   ? &f->secrets
                 : strcmp(word, "--fail-each") == 0 ? &f->fail_each
                 : strcmp(word, "--help") == 0      ? &f->help
                                                    : NULL;

    if (flag)
        *flag = true;
    return flag;
}

/* Takes the option at *argv and its value; moves *argv to the last word taken. */
static int take_option(struct fakehost *f, char ***argv, struct err *e)
{
    const char *word = **argv, *value = NULL;
    size_t len = strcspn(word, "=");

    if (take_flag(f, word))
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(valued); i++) {
        if (strlen(valued[i].name) != len || strncmp(valued[i].name, word, len) != 0)
            continue;
        value = word[len] ? word + len + 1 : *++*argv;
        return value ? take_value(f, valued[i].id, valued[i].name, value, e)
                     : err_set(e, "%s needs a value", word);
    }
    err_set(e, "unknown option %s", word);
    return err_advise(e, "words for the agent go behind --; see agentvm-fakehost --help");
}

static int find_phase(const char *word, enum plan_phase *out, struct err *e)
{
    for (int i = 0; word && i < PLAN_PHASES; i++)
        if (strcmp(word, plan_phase_name((enum plan_phase)i)) == 0) {
            *out = (enum plan_phase)i;
            return 0;
        }
    err_set(e, word ? "\"%s\" is no hook" : "no hook is named%s", word ? word : "");
    return err_advise(e, "say: agentvm-fakehost ./NAME.so provision, or auth, launch, login");
}

int fakehost_parse(char **argv, struct fakehost *f, struct err *e)
{
    const char *words[2] = {NULL};
    size_t n = 0;

    f->home = "/home/user";
    f->workspace = "/home/user/project";
    for (; *argv && strcmp(*argv, "--") != 0; argv++) {
        if ((*argv)[0] == '-') {
            if (take_option(f, &argv, e) < 0)
                return -1;
        } else if (n == ARRAY_LEN(words)) {
            err_set(e, "unexpected argument %s", *argv);
            return err_advise(e, "words for the agent go behind --");
        } else {
            words[n++] = *argv;
        }
    }
    f->args = *argv ? argv + 1 : argv;
    f->file = words[0];
    return f->help ? 0 : find_phase(words[1], &f->phase, e);
}

void fakehost_free(struct fakehost *f)
{
    strv_free(&f->options);
    strv_free(&f->host_env);
    plan_free(&f->offers);
}

struct plugin_context fakehost_context(const struct fakehost *f)
{
    return (struct plugin_context){
        .user = "user",
        .uid = 1000,
        .home = f->home,
        .workspace = f->workspace,
        .guest_host = "host.agentvm.internal",
        .tty = f->tty,
        .args = f->args,
        .host_env = f->host_env.v,
        .login = f->login,
        .offers = &f->offers,
    };
}

int fakehost_set_options(const struct fakehost *f, const struct plugin *pl, struct profile *profile,
                         struct err *e)
{
    auto_free char *section = mem_printf("plugin.%s", pl->name);
    auto_strv struct strv widens = STRV_INIT;

    for (size_t i = 0; i < f->options.n; i++) {
        const char *equals = strchr(f->options.v[i], '=');
        auto_free char *key = mem_dup(f->options.v[i], (size_t)(equals - f->options.v[i]));

        if (profile_set(profile, "--option", section, key, equals + 1, e) < 0)
            return -1;
    }
    return plugin_check_settings(pl, profile, &widens, e);
}
