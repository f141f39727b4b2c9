/* The plugin host as the session sees it: plugins by name, and plans out of their hooks.
 *
 * No plugin code ever runs in this process: loading and each hook happen in a forked child with a
 * deadline (plugin/call), which answers with a document (model/plan).
 */
#ifndef AGENTVM_PLUGIN_PLUGIN_H
#define AGENTVM_PLUGIN_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/str.h"
#include "model/paths.h"
#include "model/plan.h"
#include "model/profile.h"

enum plugin_kind {
    PLUGIN_ANY = 0, /* to plugin_find only */
    PLUGIN_AGENT = 1,
    PLUGIN_TOOL = 2,
};

/* Copied out of the plugin's process; owned by the struct. */
struct plugin_option {
    char *name;
    char *default_value; /* may be NULL */
    char *help;
    bool sensitive;
};

struct plugin {
    char *path; /* absolute */
    char *name;
    char *version;
    char *summary;
    enum plugin_kind kind;
    unsigned abi_major, abi_minor;
    bool has_hook[PLAN_PHASES];
    struct plugin_option *options;
    size_t noptions;
};

/* What the registry found; a broken plugin does not hide the others. */
struct plugin_list {
    struct plugin *plugins; /* sorted by name */
    size_t n;
    struct plugin_fault {
        char *path;
        char *why;
    } * faults;
    size_t nfaults;
};

/* What hooks may ask about (see agentvm_fact and agentvm_args). Borrowed strings. */
struct plugin_context {
    const char *user;
    unsigned uid;
    const char *home;       /* of the user, on host and guest alike */
    const char *workspace;  /* NULL while provisioning */
    const char *guest_host; /* name under which the guest reaches the host's loopback */
    bool tty;
    char *const *args;             /* NULL-terminated; NULL: none */
    char *const *host_env;         /* the host's environment, for auth */
    const char *login;             /* what `agentvm login` keeps, for auth; NULL: nothing */
    const struct profile *profile; /* option values */
    const struct plan *offers;     /* steps of PLAN_OFFER_MCP for agents' launch; may be NULL */
};

/* Looks through the user's and the system's plugin folders (the first of a name wins; a symlink to
 * a .so is resolved and its target checked). Only *.so files.  Folder and file must belong to root
 * or the user and not be writable by others; what breaks that rule, is no plugin or has another
 * ABI is listed as a fault. */
int plugin_scan(const struct paths *p, struct plugin_list *out, struct err *e);
void plugin_list_free(struct plugin_list *l);

/* Finds one plugin of the kind by name, loading only the files needed for it (NAME.so in either
 * folder). Unknown: error that lists the names that exist. */
int plugin_find(const struct paths *p, const char *name, enum plugin_kind kind, struct plugin *out,
                struct err *e);
/* Loads one file for `agentvm plugin check FILE` or a scan: checks ownership, modes, magic, ABI,
 * table, and describes it. */
int plugin_inspect(const char *path, struct plugin *out, struct err *e);
void plugin_free(struct plugin *pl);

/* The text of NAME.ini beside the plugin, if there is one: 0, or 1 if not. */
int plugin_ini(const struct plugin *pl, struct buf *text, struct err *e);

/* Checks that every [plugin.NAME] setting of the profile names an existing option; the error names
 * file and line and the nearest option.  Options that are marked sensitive and set by the
 * project's file are added to widens, in words as profile's project_widens. */
int plugin_check_settings(const struct plugin *pl, const struct profile *profile,
                          struct strv *widens, struct err *e);

/* Runs one hook and returns its validated plan; a missing hook gives an empty plan. */
int plugin_call(const struct plugin *pl, enum plan_phase phase, const struct plugin_context *ctx,
                struct plan *out, struct err *e);

/* A call that is watched, to test a plugin. */
struct plugin_trial {
    int deadline_ms;
    unsigned fail_nth; /* which call of a service fails, counted from 1; 0: none */
    bool elsewhere;    /* without environment, in another folder: a hook must not depend on them */
    struct buf *printed; /* takes what the plugin printed, cut; NULL: not wanted */
    bool reached;        /* out: the hook made the call that failed */
    bool refused;        /* out: the error is the hook's own, from agentvm_fail */
};

/* As plugin_call.  With fail_nth there is no plan: 0 means that the hook returned. */
int plugin_try(const struct plugin *pl, enum plan_phase phase, const struct plugin_context *ctx,
               struct plugin_trial *trial, struct plan *out, struct err *e);

/* Calls a hook again and again, each time with the next of its service calls failing, and counts
 * them.  The error is that of the first call after which it did not return. */
int plugin_try_each(const struct plugin *pl, enum plan_phase phase,
                    const struct plugin_context *ctx, unsigned *calls, struct err *e);
/* Calls a hook once more, elsewhere; another plan than the first is an error. */
int plugin_try_again(const struct plugin *pl, enum plan_phase phase,
                     const struct plugin_context *ctx, const struct plan *first, struct err *e);

/* How long loading a plugin and one hook may take, in milliseconds, as agentvm/plugin.h says. */
enum { PLUGIN_DEADLINE_MS = 10 * 1000 };

/* What plugin_check found. */
struct plugin_report {
    struct strv faults;   /* one line each: what is wrong and what to do about it */
    struct strv notes;    /* what is not wrong, but good to know */
    struct plugin plugin; /* zero if it cannot be described */
};

/* Looks for all that is wrong with a plugin's file: owner and modes, its symbols, its table, its
 * ini, and how its hooks behave.  Runs each hook many times, without credentials. */
void plugin_check(const char *path, struct plugin_report *out);
void plugin_report_free(struct plugin_report *r);

#endif
