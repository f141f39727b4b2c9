/* The profile: settings from built-in defaults, the plugin's own ini, the user's agent.ini and one
 * of the named profiles in it, the project's agent.ini and the command line, each overriding the
 * one before.
 *
 * An unknown section or key is an error with file, line and the nearest known name.
 */
#ifndef AGENTVM_MODEL_PROFILE_H
#define AGENTVM_MODEL_PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "model/ports.h"

/* Where a value came from, in rising precedence. */
enum profile_origin {
    PROFILE_BUILTIN,
    PROFILE_PLUGIN,
    PROFILE_USER,
    PROFILE_PROJECT,
    PROFILE_FLAGS,
};

struct plugin_setting {
    char *plugin; /* from section [plugin.NAME] */
    char *key;
    char *value;
    enum profile_origin origin;
    char *where; /* "file:line" for errors */
};

/* An MCP server, [mcp.NAME]: a unit, which a later file replaces as a whole. */
struct profile_mcp {
    char *name;
    char *command; /* never NULL in a profile that was applied without error */
    struct strv args;
    struct strv env; /* NAME=value */
    enum profile_origin origin;
    char *where;    /* "file:line" of the section */
    unsigned layer; /* which text it is from */
    bool faulty;    /* something wrong in it was told */
};

/* [profile.NAME] of the user's file: settings that wait for --profile NAME. */
struct profile_named {
    char *name;
    char *where; /* "file:line" */
    bool faulty; /* something wrong in it was told */
    struct profile_line {
        char *section, *key, *value, *where;
    } * lines;
    size_t n;
};

/* Who set a value. */
struct profile_note {
    char *name; /* "section.key" */
    enum profile_origin origin;
    char *where; /* "file:line", or the option */
};

struct profile {
    char *agent;                     /* [agent] name */
    char *sessions;                  /* [agent] sessions: "keep" or "discard" */
    char *backend;                   /* [vm] backend: "qemu" */
    unsigned cpus;                   /* [vm] cpus; 1 to 64 */
    uint64_t memory;                 /* [vm] memory, bytes; 512M to 1T */
    uint64_t disk;                   /* [vm] disk, bytes; 10G to 16T */
    unsigned boot_timeout;           /* [vm] boot-timeout, seconds; 10 to 3600 */
    bool persist;                    /* [vm] persist: the VM is the project's own, and kept */
    bool readonly;                   /* [project] readonly: the VM cannot write to the folder */
    bool git_readonly;               /* [project] git-readonly: nor to what is git's in it */
    struct strv masks;               /* [mask] paths: below the folder, may be patterns */
    struct strv locals;              /* [guest-local] paths: below the folder, on the VM's disk */
    bool locals_keep;                /* [guest-local] keep: what is in them outlives the VM */
    struct strv mounts_readonly;     /* [mounts] readonly: absolute paths, or beginning with ~/ */
    struct strv mounts_writable;     /* [mounts] writable */
    bool git_identity;               /* [git] identity: the host's name and address go along */
    bool ssh_agent;                  /* [ssh] agent: the host's ssh-agent signs for the VM */
    bool offline;                    /* [network] offline: the VM has no network */
    struct strv packages;            /* [image] packages: added to the seed set */
    struct strv base_packages;       /* [image] base-packages: replaces the seed set if not empty */
    struct strv env;                 /* [env] NAME = value */
    char *ports_auto;                /* [ports] auto: "on" or "off" */
    struct strv ports_allow;         /* [ports] allow: see port_set_add */
    struct strv ports_deny;          /* [ports] deny: added up */
    struct strv ports_fixed;         /* [ports] HOST = GUEST, as "HOST=GUEST" */
    struct strv tools;               /* [agent] tools: tool plugins to load, by name */
    struct plugin_setting *settings; /* [plugin.NAME] key = value, checked by the plugin host */
    size_t nsettings;
    struct profile_mcp *mcp; /* [mcp.NAME], in the order of their first mention */
    size_t nmcp;
    struct profile_named *named; /* [profile.NAME] */
    size_t nnamed;
    struct profile_note *notes; /* who set what, for profile_describe */
    size_t nnotes;
    struct strv project_widens; /* what the project's file does beyond narrowing, each in words that
                                   follow "it": "runs agent x"; printable */
    unsigned layer;             /* counts the texts that were applied */
};

/* [ports] as it takes effect. */
void profile_port_policy(const struct profile *p, struct port_policy *out);

/* Built-in defaults: 4 cpus and 4G of memory, at most half of what limits_find tells, disk 20G,
 * agent claude, backend qemu, boot-timeout 120 (600 where emulated is the caller's business). */
void profile_defaults(struct profile *p);
void profile_free(struct profile *p);

/* Whether a key, "section.key", was set by an option on the command line. */
bool profile_is_flag(const struct profile *p, const char *name);
/* Where it was set, "file:line" or the option; NULL: nowhere.  Borrowed. */
const char *profile_where(const struct profile *p, const char *name);

/* Applies an ini text.  name is how errors call the file.  NUL and control bytes, a line over
 * 64 KiB, a bad value, an unknown section or key, a key set twice are errors "name:line: ..."; the
 * profile is then good for profile_free only.
 * A later value replaces an earlier one; [image] packages adds to it.
 * For PROFILE_PROJECT only keys that narrow are taken silently (cpus, memory, disk, boot-timeout
 * not above the value so far, tools and ports out of those named so far, less ports), and options
 * of plugins, which plugin_check_settings judges; any other adds to project_widens (and is applied
 * too: the caller must not use the profile until the user approved the file). [profile.NAME] is for
 * PROFILE_USER only; it is checked and kept for profile_select. */
int profile_apply(struct profile *p, enum profile_origin origin, const char *name, const char *text,
                  size_t len, struct err *e);
/* Checks an ini text alone, as a user's file; every problem found is appended, "name:line: ...". */
void profile_check(const char *name, const char *text, size_t len, struct strv *problems);
/* Applies one "section.key=value"-like setting from the command line; option is its spelling for
 * errors, e.g. "--cpus". */
int profile_set(struct profile *p, const char *option, const char *section, const char *key,
                const char *value, struct err *e);
/* Reads and applies a file of at most 1 MiB; a missing file is an error if required, else nothing.
 * A symlink is followed, except for PROFILE_PROJECT. */
int profile_load(struct profile *p, enum profile_origin origin, const char *path, bool required,
                 struct err *e);
/* As profile_check, for a file; fails only where it cannot be read. */
int profile_check_file(const char *path, struct strv *problems, struct err *e);

/* Whether --profile WORD means a named profile rather than a file: no '/' and no ".ini" at its end.
 * Never both: the working directory is a project, which must not get to define a profile. */
bool profile_is_name(const char *word);
/* Applies the named profile, as the user's; file is where it was looked for. */
int profile_select(struct profile *p, const char *name, const char *file, struct err *e);

/* The profile as text, one "section.key = value  (origin)" a line. */
char *profile_describe(const struct profile *p);
/* [{"section", "key", "value", "origins": [{"source", "where"}]}, ...], as agentvm.ini(5) has it.
 */
char *profile_to_json(const struct profile *p);

/* An agent.ini in which every key stands, explained and commented out; the caller frees it. */
char *profile_sample(void);

#endif
