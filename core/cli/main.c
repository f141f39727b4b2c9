#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "guest/emulator.h"

/* The first row is what `agentvm` without a command does. */
const struct command commands[] = {
    {"run", "[OPTIONS] [--] [AGENT ARGUMENTS...]", "run an agent in a throw-away VM",
     OPT_SESSION | OPT_TERMINAL | OPT_DETACH | OPT_KEEP, true, cmd_run},
    {"setup", "[OPTIONS]", "make the template that runs start from", OPT_SESSION, false, cmd_setup},
    {"shell", "[OPTIONS]", "open a shell in this folder's VM, or in a new one",
     OPT_SESSION | OPT_ATTACH | OPT_TERMINAL | OPT_KEEP, false, cmd_shell},
    {"exec", "[OPTIONS] [--] COMMAND [ARGUMENTS...]",
     "run a command in this folder's VM, or in a new one",
     OPT_SESSION | OPT_ATTACH | OPT_TERMINAL | OPT_KEEP, true, cmd_exec},
    {"attach", "[--project DIR] [--steal] [ID|NAME]",
     "come to an agent that was started with --detach", OPT_PROJECT | OPT_STEAL | OPT_MIXED, true,
     cmd_attach},
    {"wait", "[--project DIR] [ID|NAME]", "wait for a detached agent's end, and end as it does",
     OPT_PROJECT | OPT_MIXED, true, cmd_wait},
    {"logs", "[--project DIR] [--follow] [ID|NAME]", "print what a detached agent wrote",
     OPT_PROJECT | OPT_LOGS | OPT_MIXED, true, cmd_logs},
    {"cp", "[--project DIR] SOURCE... TARGET", "copy files into a VM that runs, or out of it",
     OPT_PROJECT | OPT_MIXED, true, cmd_cp},
    {"list", "[--json]", "list VMs that run or are kept", OPT_JSON, false, cmd_list},
    {"info", "[--project DIR] [--json] [ID|NAME]", "tell all about a VM",
     OPT_PROJECT | OPT_JSON | OPT_MIXED, true, cmd_info},
    {"stop", "[--project DIR] [ID|NAME... | --all]", "stop this folder's VMs, or those named",
     OPT_ALL | OPT_PROJECT | OPT_MIXED, true, cmd_stop},
    {"rm", "[--force] [--dry-run] [--project DIR] [--json] ID|NAME...",
     "remove kept VMs and their disks", OPT_FORCE | OPT_PROJECT | OPT_JSON | OPT_MIXED, true,
     cmd_rm},
    {"sessions", "[--all | --project DIR] [--json]",
     "list the agent sessions that outlived their VMs", OPT_SESSIONS | OPT_PROJECT | OPT_JSON,
     false, cmd_sessions},
    {"prune", "[--all | --older-than DAYS] [--dry-run] [--json]",
     "remove templates and logs that nobody used for long", OPT_PRUNE | OPT_JSON, false, cmd_prune},
    {"history", "[--all | --project DIR] [-n N] [--json]", "list the last runs in this folder",
     OPT_HISTORY | OPT_PROJECT | OPT_JSON, false, cmd_history},
    {"plan", "[OPTIONS] [--json] [--] [AGENT ARGUMENTS...]", "show what a run would do",
     OPT_SESSION | OPT_KEEP | OPT_JSON, true, cmd_plan},
    {"config", "[OPTIONS] [--json] | check [--json] FILE",
     "show every setting and who made it, or check a file", OPT_SESSION | OPT_JSON | OPT_MIXED,
     true, cmd_config},
    {"doctor", "[OPTIONS] [--json]", "check this host, and say how to mend what is wrong",
     OPT_SESSION | OPT_JSON, false, cmd_doctor},
    {"init", "[--project DIR]", "write an agent.ini for this folder, explained and empty",
     OPT_PROJECT, false, cmd_init},
    {"plugin", "list | info NAME|FILE | check FILE | new NAME [DIR]",
     "list, describe, check or start to write plugins", OPT_JSON | OPT_MIXED, true, cmd_plugin},
    {"trust", "[OPTIONS] [--revoke]", "approve this folder's agent.ini and runtime script",
     OPT_SESSION | OPT_REVOKE, false, cmd_trust},
    {"login", "[OPTIONS] [AGENT] [-- ARGUMENTS...]", "get a credential for an agent and keep it",
     OPT_SESSION | OPT_NO_PROJECT, true, cmd_login},
    {"logout", "[OPTIONS] [AGENT]", "forget what was given at a login",
     OPT_SESSION | OPT_NO_PROJECT, true, cmd_logout},
    {"auth", "status [OPTIONS] [--json] [AGENT]", "tell which account a session would bill",
     OPT_SESSION | OPT_NO_PROJECT | OPT_JSON | OPT_MIXED, true, cmd_auth},
    {"completion", "bash | zsh | fish", "print a script that completes words in this shell", 0,
     true, cmd_completion},
    {"help", "[COMMAND]", "show help", OPT_MIXED, true, cmd_help},
};
const size_t ncommands = ARRAY_LEN(commands);

int cli_print(const char *text, struct err *e)
{
    int errnum;

    if (file_write_stream(STDOUT_FILENO, text, strlen(text)) == 0)
        return 0;
    errnum = errno;
    err_errno(e, errnum, "cannot write to stdout");
    return errnum == EPIPE ? err_exit(e, EXIT_SIGNAL_BASE + SIGPIPE) : -1;
}

int cli_print_json(cJSON *json, struct err *e)
{
    auto_free char *text = cJSON_Print(json);

    cJSON_Delete(json);
    return cli_print(text, e) < 0 || cli_print("\n", e) < 0 ? -1 : 0;
}

int cli_report(const struct err *e)
{
    /* Who was told to end does not wait for a reader. */
    if (err_exit_code(e) > EXIT_SIGNAL_BASE && log_is_stuck())
        return err_exit_code(e);
    /* Who stopped reading knows.  Where SIGPIPE has its own action, nothing is said either. */
    if (err_exit_code(e) == EXIT_SIGNAL_BASE + SIGPIPE)
        return err_exit_code(e);
    log_status(NULL);
    if (e->detail && *e->detail) {
        log_raw(e->detail);
        log_raw(str_ends(e->detail, "\n") ? "" : "\n");
    }
    log_error("%s", err_msg(e));
    if (e->advice)
        log_error("%s", e->advice);
    return err_exit_code(e);
}

int cli_with_session(struct cli *cli, int (*fn)(struct session *s, struct cli *cli, struct err *e),
                     struct err *e)
{
    auto_err struct err timing = ERR_INIT;
    struct session s;
    int code = session_init(&s, &cli->session, e);

    if (code == 0)
        code = fn(&s, cli, e);
    session_stop_vm(&s, NULL);
    if (cli->session.timing && stages_write(&s.stages, cli->session.timing, &timing) < 0)
        log_warn("%s", err_msg(&timing));
    session_write_record(&s, code, e);
    session_free(&s);
    return code;
}

static const struct command *find_command(const char *word)
{
    for (size_t i = 0; i < ncommands; i++)
        if (strcmp(commands[i].name, word) == 0)
            return &commands[i];
    return NULL;
}

/* Shows a command's help. */
static int help_with(struct cli *cli, const char *command, struct err *e)
{
    char *const words[] = {(char *)command, NULL};

    cli->words = words;
    return cmd_help(cli, e);
}

int cli_parse_more(struct cli *cli, const char *command, struct err *e)
{
    if (cli_parse(find_command(command), (char **)cli->words + 1, cli, e) < 0)
        return -1;
    if (!cli->help)
        return 0;
    return help_with(cli, command, e) < 0 ? -1 : 1;
}

int cli_take_id(struct cli *cli, const char *command, const char **id, struct err *e)
{
    *id = cli->words[0];
    if (*id && cli->words[1])
        return err_set(e, "%s: unexpected argument %s", command, cli->words[1]);
    return 0;
}

int cli_take_agent(struct cli *cli, const char *command, struct err *e)
{
    char *const *words = cli->words;
    char *agent[] = {(char *)"--agent", words[0], NULL};

    if (!words[0] || cli->dashes)
        return 0;
    if (cli_parse(find_command(command), agent, cli, e) < 0)
        return -1;
    cli->words = words;
    cli->named = true;
    return cli_parse_more(cli, command, e);
}

static int unknown_command(const char *word, struct err *e)
{
    const char *names[ARRAY_LEN(commands)];
    const char *near;

    for (size_t i = 0; i < ncommands; i++)
        names[i] = commands[i].name;
    near = str_nearest(word, names, ncommands);
    err_set(e, "unknown command %s", word);
    if (near)
        return err_advise(e, "did you mean agentvm %s?  Words for the agent go behind --", near);
    return err_advise(e, "see agentvm --help; words for the agent go behind --: agentvm -- ...");
}

/* "agentvm -v exec ...": nobody can tell whose word that is. */
static int check_order(const struct cli *cli, struct err *e)
{
    const char *word = cli->words[0];

    if (cli->dashes || !word || !find_command(word))
        return 0;
    err_set(e, "%s is a command, and stands behind options", word);
    return err_advise(
        e, "agentvm %s [OPTIONS] is the command; agentvm [OPTIONS] -- %s is for the agent", word,
        word);
}

static void free_cli(struct cli *cli)
{
    strv_free(&cli->env_names);
}

static int dispatch(char **argv, struct err *e)
{
    __attribute__((cleanup(free_cli))) struct cli cli = {0};
    const struct command *c = &commands[0];
    bool named = *argv && (*argv)[0] != '-';

    if (*argv && strcmp(*argv, "--version") == 0)
        return cli_print("agentvm " AGENTVM_VERSION "\n", e);
    if (*argv && (strcmp(*argv, "--help") == 0 || strcmp(*argv, "-h") == 0))
        return cmd_help(&cli, e);
    if (named) {
        c = find_command(*argv);
        if (!c)
            return unknown_command(*argv, e);
        argv++;
    }
    if (cli_parse(c, argv, &cli, e) < 0)
        return -1;
    if (cli.help)
        return help_with(&cli, c->name, e);
    return !named && check_order(&cli, e) < 0 ? -1 : c->main(&cli, e);
}

/* A closed standard stream would give its number to the next file we open. */
static void open_standard_streams(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

int main(int argc, char **argv)
{
    auto_err struct err e = ERR_INIT;
    int code;

    open_standard_streams();
    if (argc == 2 && strcmp(argv[1], EMULATOR_COMMAND) == 0)
        emulator_main();
    code = dispatch(argv + (argv[0] != NULL), &e);
    return code < 0 ? cli_report(&e) : code;
}
