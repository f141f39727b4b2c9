/* The command line: one file per command, one row per command in the table of main.c. */
#ifndef AGENTVM_CLI_CLI_H
#define AGENTVM_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>

#include "base/err.h"
#include "base/str.h"
#include "session/session.h"
#include "state/rows.h"

/* What the options of a command say, and its other words. */
struct cli {
    struct session_options session;
    bool json, all, revoke, dry_run, force, help;
    bool follow, steal;
    bool dashes;            /* "--" came before the words */
    bool named;             /* a word said which agent */
    const char *older_than; /* --older-than, or NULL */
    const char *last;       /* --last, or NULL */
    char *const *words;     /* NULL-terminated: what follows the options */
    struct strv env_names;  /* of --env; session's flags point to them */
};

/* Groups of options; a command takes some of them. */
enum {
    OPT_SESSION = 1, /* agent, profile, machine, project */
    OPT_ATTACH = 2,  /* --new, --vm */
    OPT_JSON = 4,
    OPT_ALL = 8,
    OPT_REVOKE = 16,
    OPT_PROJECT = 32, /* --project alone */
    OPT_PRUNE = 64,
    OPT_SESSIONS = 128, /* --all of sessions */
    OPT_HISTORY = 256,
    OPT_NO_PROJECT = 512, /* OPT_SESSION without what is about a project */
    OPT_TERMINAL = 1024,  /* --raw */
    OPT_DETACH = 1 << 16, /* --detach */
    OPT_LOGS = 1 << 17,   /* --follow */
    OPT_STEAL = 1 << 18,
    OPT_KEEP = 1 << 19,  /* kept VMs and names */
    OPT_FORCE = 1 << 20, /* --force, --dry-run */
    OPT_MIXED = 1 << 21, /* options may stand among the words and behind them, up to "--" */
};

struct command {
    const char *name;
    const char *synopsis; /* after the name */
    const char *summary;
    int options;    /* OPT_* */
    bool own_words; /* takes words; otherwise one is an error */
    /* Returns the exit code, or -1 with an error. */
    int (*main)(struct cli *cli, struct err *e);
};

extern const struct command commands[];
extern const size_t ncommands;

/* Parses options up to the first other word or "--", or, where they are mixed with words, up to
 * "--" and moves the words together; sets cli->words. */
int cli_parse(const struct command *c, char **argv, struct cli *cli, struct err *e);
/* Parses on behind the first of cli's words.  Returns 0, 1 if help was asked for and given, or -1.
 */
int cli_parse_more(struct cli *cli, const char *command, struct err *e);
/* The only word, an ID, or NULL in *id; -1 if there are more. */
int cli_take_id(struct cli *cli, const char *command, const char **id, struct err *e);
/* Takes the word AGENT, if there is one, and the options behind it; as cli_parse_more. */
int cli_take_agent(struct cli *cli, const char *command, struct err *e);
/* A row of the table of options, as completion needs it. */
struct option_row {
    const char *name;
    const char *value; /* placeholder; NULL: takes none; "[...]": optional, with '=' only */
    const char *help;
    char letter; /* 0: none */
};

/* The next option of these groups from row *i on, which moves behind it; false: there is none. */
bool cli_next_option(int groups, size_t *i, struct option_row *out);
/* Appends the help of a command's options. */
void cli_describe_options(int groups, struct buf *out);
/* Prints on stdout; -1 if that fails. */
int cli_print(const char *text, struct err *e);
/* The same for a document, which it frees. */
int cli_print_json(cJSON *json, struct err *e);
/* A size in bytes, a time ago in minutes, hours or days, for tables; the caller frees it. */
char *cli_size(uint64_t bytes);
char *cli_age(int64_t since, int64_t now);
/* "3000 8080:80 +2": ports of the host, at most max, with those of the VM where they differ. */
char *cli_ports(const struct vm_info *v, size_t max);
/* What list tells of a VM. */
cJSON *cli_vm_json(const struct vm_row *v);
/* Ends a VM that runs, and waits for its end. */
int cli_stop_vm(struct session *s, const char *id, struct err *e);
/* Prints an error with its detail and advice; returns its exit code. */
int cli_report(const struct err *e);

int cmd_run(struct cli *cli, struct err *e);
int cmd_setup(struct cli *cli, struct err *e);
int cmd_shell(struct cli *cli, struct err *e);
int cmd_exec(struct cli *cli, struct err *e);
int cmd_cp(struct cli *cli, struct err *e);
int cmd_list(struct cli *cli, struct err *e);
int cmd_attach(struct cli *cli, struct err *e);
int cmd_wait(struct cli *cli, struct err *e);
int cmd_logs(struct cli *cli, struct err *e);
int cmd_info(struct cli *cli, struct err *e);
int cmd_rm(struct cli *cli, struct err *e);
int cmd_stop(struct cli *cli, struct err *e);
int cmd_sessions(struct cli *cli, struct err *e);
int cmd_history(struct cli *cli, struct err *e);
int cmd_prune(struct cli *cli, struct err *e);
int cmd_plan(struct cli *cli, struct err *e);
int cmd_config(struct cli *cli, struct err *e);
int cmd_doctor(struct cli *cli, struct err *e);
int cmd_init(struct cli *cli, struct err *e);
int cmd_plugin(struct cli *cli, struct err *e);
int cmd_trust(struct cli *cli, struct err *e);
int cmd_login(struct cli *cli, struct err *e);
int cmd_logout(struct cli *cli, struct err *e);
int cmd_auth(struct cli *cli, struct err *e);
int cmd_completion(struct cli *cli, struct err *e);
int cmd_help(struct cli *cli, struct err *e);

/* Wraps a session around fn; writes --timing's file and the record of the run. */
int cli_with_session(struct cli *cli, int (*fn)(struct session *s, struct cli *cli, struct err *e),
                     struct err *e);

#endif
