/* A plan: what hooks want, as a document.
 *
 * Hooks only add steps; the core validates the plan, shows it, hashes its provision part as a
 * template key and executes it.  Secret values never enter the document: a secret step holds the
 * value apart, and the JSON that is shown or hashed carries its name only.
 */
#ifndef AGENTVM_MODEL_PLAN_H
#define AGENTVM_MODEL_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/str.h"

enum plan_op {
    PLAN_PACKAGE,     /* name: a Debian package for the image */
    PLAN_FILE,        /* path, mode, data, user: a file in the guest */
    PLAN_RUN,         /* name (label), argv, user: a command run while provisioning */
    PLAN_ENV,         /* name, value for the session */
    PLAN_SECRET_ENV,  /* name, secret value for the session */
    PLAN_SECRET_FILE, /* path, mode, secret data for the session */
    PLAN_OFFER_MCP,   /* name, argv, env: an MCP server for the agent, from a tool or the profile */
    PLAN_EXEC,        /* argv: what launch starts; exactly one, last */
    PLAN_WARM,        /* argv: a command run before the booted VM is saved */
    PLAN_KEEP,        /* path: a guest folder that outlives the VM; name: pattern of transcripts */
    PLAN_KEEP_FILE,   /* path: a guest file that outlives the VM */
    PLAN_IMPORT,      /* name: below the host's home, path: where its copy goes in the guest */
    PLAN_ACCOUNT,     /* name: a credential the host has, value: what it bills; the first is used */
    PLAN_ASK,         /* name: what the user is asked for at a login */
};

/* Who a step acts as in the guest. */
enum plan_user {
    PLAN_AS_USER, /* the guest user that mirrors the host user */
    PLAN_AS_ROOT,
};

/* Which hook made the plan; each may use some operations only:
 *   provision: package file run warm; auth: env secret_env secret_file account;
 *   launch: env file import keep keep_file exec (agents), env file import offer_mcp (tools);
 *   login: env file ask exec. */
enum plan_phase {
    PLAN_PROVISION,
    PLAN_AUTH,
    PLAN_LAUNCH,
    PLAN_LOGIN,
    PLAN_PHASES,
};

struct plan_step {
    enum plan_op op;
    enum plan_user user;
    char *plugin; /* who added it */
    char *name;   /* package, label, variable or server name */
    char *path;   /* absolute, or starting with "~/": below the guest user's home */
    mode_t mode;
    struct buf data; /* file content, environment value, secret */
    struct strv argv;
    struct strv env;
};

struct plan {
    struct plan_step *steps;
    size_t n;
};

#define PLAN_INIT ((struct plan){0})
#define auto_plan __attribute__((cleanup(plan_free)))

/* Limits of a plan; a hook that goes beyond them gets an error. */
enum {
    PLAN_STEPS_MAX = 512,
    PLAN_DATA_MAX = 1 << 20, /* bytes of one file or value */
    PLAN_ARGS_MAX = 4096,
    PLAN_SERVER_MAX = 64, /* bytes of an MCP server's name */
};

/* Appends a zeroed step and returns it; valid until the next append. */
struct plan_step *plan_add(struct plan *p, enum plan_op op, const char *plugin);
/* Moves all steps of from to the end of to. */
void plan_append(struct plan *to, struct plan *from);
void plan_free(struct plan *p);
/* Removes the steps that have that operation. */
void plan_drop(struct plan *p, enum plan_op op);
/* Its first step that has that operation, or NULL. */
const struct plan_step *plan_find(const struct plan *p, enum plan_op op);
/* How many of its steps have that operation. */
size_t plan_count(const struct plan *p, enum plan_op op);
/* Whether the step is an account that its plugin names before others: the one that is billed. */
bool plan_is_used_account(const struct plan *p, const struct plan_step *s);

/* Checks every step of the plan against the phase's rules: operations allowed, names and paths
 * well-formed (no "..", no NUL or newline), argv not empty, sizes.  The error names plugin, step
 * number and field. */
int plan_validate(const struct plan *p, enum plan_phase phase, struct err *e);
/* The part of it that concerns one step alone; the error names the field. */
int plan_check_step(const struct plan_step *s, struct err *e);

/* Whether path is relative, and has no empty, "." or ".." component. */
bool plan_is_below_home(const char *path);
/* Whether s may name an MCP server: letters, digits, '-' and '_'. */
bool plan_is_server_name(const char *s);

/* The document; secrets are left out ("secret": true stands for the value).  Bytes that are not
 * UTF-8 travel as base64 in "data_base64".  Stable: the same plan gives the same bytes. */
char *plan_to_json(const struct plan *p);
/* The document of the steps that have this operation, or of those that have another. */
char *plan_part_to_json(const struct plan *p, enum plan_op op, bool others);
/* With secrets in it, for the pipe between the hook's process and the core; never stored. */
char *plan_to_private_json(const struct plan *p);
/* Parses plan_to_private_json's output (bounded, hostile: it came from a plugin's process). */
int plan_from_json(const char *text, size_t len, struct plan *out, struct err *e);

const char *plan_op_name(enum plan_op op);
/* "provision", "auth", "launch" or "login". */
const char *plan_phase_name(enum plan_phase phase);

#endif
