/* Options, in one table; what a profile key can say goes the profile's own way. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "cli/cli.h"

enum option_id {
    ID_PROFILE_KEY, /* section and key say which */
    ID_PROFILE,
    ID_PROJECT,
    ID_ENV,
    ID_TRUST,
    ID_NO_SETUP,
    ID_COLD,
    ID_TIMING,
    ID_VERBOSE,
    ID_QUIET,
    ID_NEW,
    ID_VM,
    ID_RAW,
    ID_DETACH,
    ID_STEAL,
    ID_FOLLOW,
    ID_KEEP,
    ID_NO_KEEP,
    ID_NAME,
    ID_RESET,
    ID_FORCE,
    ID_JSON,
    ID_ALL,
    ID_REVOKE,
    ID_OLDER_THAN,
    ID_DRY_RUN,
    ID_LAST,
    ID_HELP,
};

static const struct option {
    const char *name;
    char letter;
    const char *value; /* placeholder; NULL: takes none; "[...]": optional, with '=' only */
    int group;         /* OPT_*; 0: every command */
    enum option_id id;
    const char *section, *key;
    const char *help;
} options[] = {
    {"--agent", 0, "NAME", OPT_SESSION, ID_PROFILE_KEY, "agent", "name", "agent plugin to run"},
    {"--profile", 0, "NAME|FILE", OPT_SESSION, ID_PROFILE, NULL, NULL,
     "[profile.NAME] of the user's agent.ini; or FILE in its place"},
    {"--project", 0, "DIR", OPT_SESSION | OPT_PROJECT, ID_PROJECT, NULL, NULL,
     "folder to share (default: this one)"},
    {"--cpus", 0, "N", OPT_SESSION, ID_PROFILE_KEY, "vm", "cpus", "virtual CPUs"},
    {"--memory", 0, "SIZE", OPT_SESSION, ID_PROFILE_KEY, "vm", "memory", "memory, as 4G"},
    {"--disk", 0, "SIZE", OPT_SESSION, ID_PROFILE_KEY, "vm", "disk", "disk, as 20G"},
    {"--backend", 0, "NAME", OPT_SESSION, ID_PROFILE_KEY, "vm", "backend", "VM driver (qemu)"},
    {"--env", 0, "NAME=VALUE", OPT_SESSION, ID_ENV, "env", NULL,
     "variable for the VM; not for secrets"},
    {"--trust", 0, NULL, OPT_SESSION, ID_TRUST, NULL, NULL,
     "approve the project's files as they are"},
    {"--readonly", 0, "[BOOL]", OPT_SESSION, ID_PROFILE_KEY, "project", "readonly",
     "the VM cannot write to the folder"},
    {"--git-readonly", 0, "[BOOL]", OPT_SESSION, ID_PROFILE_KEY, "project", "git-readonly",
     "the VM cannot write to what is git's in it"},
    {"--offline", 0, "[BOOL]", OPT_SESSION, ID_PROFILE_KEY, "network", "offline",
     "the VM has no network"},
    {"--ssh-agent", 0, "[BOOL]", OPT_SESSION, ID_PROFILE_KEY, "ssh", "agent",
     "the VM can sign with the keys of your ssh-agent"},
    {"--no-setup", 0, NULL, OPT_SESSION, ID_NO_SETUP, NULL, NULL,
     "fail rather than make a template"},
    {"--cold", 0, NULL, OPT_SESSION, ID_COLD, NULL, NULL, "boot rather than resume the saved VM"},
    {"--timing", 0, "[FILE]", OPT_SESSION, ID_TIMING, NULL, NULL,
     "write stage times as JSON to FILE, or to stderr"},
    {"--new", 0, NULL, OPT_ATTACH, ID_NEW, NULL, NULL,
     "start a VM even if one runs for this folder"},
    {"--vm", 0, "ID|NAME", OPT_ATTACH, ID_VM, NULL, NULL, "attach to this VM"},
    {"--keep", 0, NULL, OPT_KEEP, ID_KEEP, "vm", "persist",
     "use this folder's own VM, whose disk is kept"},
    {"--no-keep", 0, NULL, OPT_KEEP, ID_NO_KEEP, "vm", "persist",
     "use a VM that is thrown away, whatever agent.ini says"},
    {"--name", 0, "NAME", OPT_KEEP, ID_NAME, NULL, NULL,
     "what the VM is called; a folder may keep several"},
    {"--reset", 0, NULL, OPT_KEEP, ID_RESET, NULL, NULL,
     "make the kept VM, or kept [guest-local] folders, anew: empty"},
    {"--force", 0, NULL, OPT_FORCE, ID_FORCE, NULL, NULL, "stop what runs, rather than refuse"},
    {"--raw", 0, NULL, OPT_TERMINAL, ID_RAW, NULL, NULL,
     "let the VM send the terminal anything, harmful or not"},
    {"--detach", 0, NULL, OPT_DETACH, ID_DETACH, NULL, NULL,
     "print the VM's ID when the agent runs, and leave it running"},
    {"--steal", 0, NULL, OPT_STEAL, ID_STEAL, NULL, NULL, "take it from who is attached"},
    {"--follow", 'f', NULL, OPT_LOGS, ID_FOLLOW, NULL, NULL, "go on until the agent's end"},
    {"--json", 0, NULL, OPT_JSON, ID_JSON, NULL, NULL, "print JSON"},
    {"--all", 0, NULL, OPT_ALL, ID_ALL, NULL, NULL, "every VM of this user"},
    {"--all", 0, NULL, OPT_PRUNE, ID_ALL, NULL, NULL, "all that no machine uses now"},
    {"--all", 0, NULL, OPT_SESSIONS, ID_ALL, NULL, NULL, "those of every folder"},
    {"--all", 0, NULL, OPT_HISTORY, ID_ALL, NULL, NULL, "runs in all folders"},
    {"--last", 'n', "N", OPT_HISTORY, ID_LAST, NULL, NULL, "how many runs (default: 20)"},
    {"--older-than", 0, "DAYS", OPT_PRUNE, ID_OLDER_THAN, NULL, NULL,
     "what was not used for so long (default: 14)"},
    {"--dry-run", 'n', NULL, OPT_PRUNE | OPT_FORCE, ID_DRY_RUN, NULL, NULL,
     "only tell what would be removed"},
    {"--revoke", 0, NULL, OPT_REVOKE, ID_REVOKE, NULL, NULL, "forget what was approved"},
    {"--verbose", 'v', NULL, 0, ID_VERBOSE, NULL, NULL, "say more, QEMU's command line included"},
    {"--quiet", 'q', NULL, 0, ID_QUIET, NULL, NULL, "say nothing but errors"},
    {"--help", 'h', NULL, 0, ID_HELP, NULL, NULL, "show this help"},
};

static bool applies(const struct option *o, int groups)
{
    if (groups & OPT_NO_PROJECT && (o->id == ID_PROJECT || o->id == ID_TRUST))
        return false;
    return o->group == 0 || (o->group & groups);
}

/* The option that a word spells; *value is set to what follows '='. */
static const struct option *find(const char *word, int groups, const char **value)
{
    size_t len = strcspn(word, "=");

    *value = word[len] == '=' ? word + len + 1 : NULL;
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        const struct option *o = &options[i];

        if (!applies(o, groups))
            continue;
        if (strlen(o->name) == len && strncmp(o->name, word, len) == 0)
            return o;
        if (o->letter && word[0] == '-' && word[1] == o->letter && word[2] == '\0')
            return o;
    }
    return NULL;
}

static int unknown(const struct command *c, const char *word, struct err *e)
{
    const char *names[ARRAY_LEN(options)];
    auto_free char *name = mem_dup(word, strcspn(word, "="));
    const char *near;
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        if (applies(&options[i], c->options))
            names[n++] = options[i].name;
    near = str_nearest(name, names, n);
    err_set(e, "%s: unknown option %s", c->name, name);
    if (!c->own_words || c->options & OPT_MIXED)
        return near ? err_advise(e, "did you mean %s?  See agentvm help %s", near, c->name)
                    : err_advise(e, "see agentvm help %s", c->name);
    if (near)
        return err_advise(e, "did you mean %s?  Options for the agent or command go behind --",
                          near);
    return err_advise(e, "options for the agent or command go behind --; see agentvm help %s",
                      c->name);
}

static int add_flag(struct cli *cli, const struct option *o, const char *key, const char *value,
                    struct err *e)
{
    struct session_options *s = &cli->session;

    if (s->nflags == SESSION_FLAGS_MAX)
        return err_set(e, "more than %d options", SESSION_FLAGS_MAX);
    s->flags[s->nflags++] = (struct session_flag){o->name, o->section, key, value};
    return 0;
}

/* A second agent is no correction of the first, as a second --cpus is. */
static int add_key(struct cli *cli, const struct option *o, const char *value, struct err *e)
{
    const struct session_options *s = &cli->session;

    for (size_t i = 0; strcmp(o->section, "agent") == 0 && i < s->nflags; i++) {
        if (s->flags[i].option != o->name || strcmp(s->flags[i].value, value) == 0)
            continue;
        err_set(e, "%s is given twice: %s and %s", o->name, s->flags[i].value, value);
        return err_advise(e, "one agent runs at a time; start the other in a VM of its own");
    }
    return add_flag(cli, o, o->key, value, e);
}

/* --env NAME=VALUE */
static int add_env(struct cli *cli, const struct option *o, const char *value, struct err *e)
{
    const char *equals = strchr(value, '=');

    if (!equals) {
        err_set(e, "--env %s: no '=' in it", value);
        return err_advise(e, "write --env NAME=VALUE");
    }
    strv_take(&cli->env_names, mem_dup(value, (size_t)(equals - value)));
    return add_flag(cli, o, cli->env_names.v[cli->env_names.n - 1], equals + 1, e);
}

static int apply(struct cli *cli, const struct option *o, const char *value, struct err *e)
{
    switch (o->id) {
    case ID_PROFILE_KEY:
        return add_key(cli, o, value ? value : "true", e);
    case ID_ENV:
        return add_env(cli, o, value, e);
    case ID_PROFILE:
        cli->session.profile = value;
        break;
    case ID_PROJECT:
        cli->session.project = value;
        break;
    case ID_TRUST:
        cli->session.trust = true;
        break;
    case ID_NO_SETUP:
        cli->session.no_setup = true;
        break;
    case ID_COLD:
        cli->session.cold = true;
        break;
    case ID_TIMING:
        cli->session.timing = value ? value : "-";
        break;
    case ID_VERBOSE:
        log_set_level(LOG_VERBOSE);
        break;
    case ID_QUIET:
        log_set_level(LOG_QUIET);
        break;
    case ID_NEW:
        cli->session.new_vm = true;
        break;
    case ID_VM:
        cli->session.vm = value;
        break;
    case ID_KEEP:
        return add_flag(cli, o, o->key, "true", e);
    case ID_NO_KEEP:
        return add_flag(cli, o, o->key, "false", e);
    case ID_NAME:
        cli->session.name = value;
        break;
    case ID_RESET:
        cli->session.reset = true;
        break;
    case ID_FORCE:
        cli->force = true;
        break;
    case ID_RAW:
        cli->session.raw = true;
        break;
    case ID_DETACH:
        cli->session.detach = true;
        break;
    case ID_STEAL:
        cli->steal = true;
        break;
    case ID_FOLLOW:
        cli->follow = true;
        break;
    case ID_JSON:
        cli->json = true;
        break;
    case ID_ALL:
        cli->all = true;
        break;
    case ID_REVOKE:
        cli->revoke = true;
        break;
    case ID_OLDER_THAN:
        cli->older_than = value;
        break;
    case ID_LAST:
        cli->last = value;
        break;
    case ID_DRY_RUN:
        cli->dry_run = true;
        break;
    case ID_HELP:
        cli->help = true;
        break;
    }
    return 0;
}

/* Takes the option at *argv and its value; moves *argv behind them. */
static int take(const struct command *c, char ***argv, struct cli *cli, struct err *e)
{
    const char *value, *word = **argv;
    const struct option *o = find(word, c->options, &value);
    bool optional = o && o->value && o->value[0] == '[';

    if (!o)
        return unknown(c, word, e);
    (*argv)++;
    if (value && !o->value)
        return err_set(e, "%s takes no value", o->name);
    if (o->value && !value && !optional) {
        value = **argv;
        if (!value)
            return err_set(e, "%s needs a value: %s %s", word, word, o->value);
        (*argv)++;
    }
    return apply(cli, o, value, e);
}

int cli_parse(const struct command *c, char **argv, struct cli *cli, struct err *e)
{
    bool mixed = c->options & OPT_MIXED;
    char **words = argv, **end = argv;

    while (*argv && !cli->dashes) {
        bool option = (*argv)[0] == '-' && (*argv)[1] != '\0';

        if (!option && !mixed)
            break;
        cli->dashes = strcmp(*argv, "--") == 0;
        if (!option)
            *end++ = *argv++;
        else if (cli->dashes)
            argv++;
        else if (take(c, &argv, cli, e) < 0)
            return -1;
    }
    while (mixed && *argv)
        *end++ = *argv++;
    if (mixed) {
        *end = NULL;
        argv = words;
    }
    cli->words = argv;
    if (*argv && !c->own_words && !cli->help)
        return err_set(e, "%s: unexpected argument %s", c->name, *argv);
    return 0;
}

bool cli_next_option(int groups, size_t *i, struct option_row *out)
{
    while (*i < ARRAY_LEN(options)) {
        const struct option *o = &options[(*i)++];

        if (!applies(o, groups))
            continue;
        *out = (struct option_row){o->name, o->value, o->help, o->letter};
        return true;
    }
    return false;
}

void cli_describe_options(int groups, struct buf *out)
{
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        const struct option *o = &options[i];
        auto_buf struct buf left = BUF_INIT;

        if (!applies(o, groups))
            continue;
        if (o->letter)
            buf_printf(&left, "-%c, ", o->letter);
        buf_puts(&left, o->name);
        if (o->value && o->value[0] == '[')
            buf_printf(&left, "[=%.*s]", (int)strlen(o->value) - 2, o->value + 1);
        else if (o->value)
            buf_printf(&left, " %s", o->value);
        buf_printf(out, "  %-22s %s\n", left.data, o->help);
    }
}
