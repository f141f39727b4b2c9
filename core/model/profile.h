/* The profile: settings from built-in defaults, the plugin's own ini, the user's agent.ini, the
 * project's agent.ini and the command line, each overriding the one before.
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

struct profile {
    char *agent;                     /* [agent] name */
    char *backend;                   /* [vm] backend: "qemu" */
    unsigned cpus;                   /* [vm] cpus; 1 to 64 */
    uint64_t memory;                 /* [vm] memory, bytes; 512M to 1T */
    uint64_t disk;                   /* [vm] disk, bytes; 10G to 16T */
    unsigned boot_timeout;           /* [vm] boot-timeout, seconds; 10 to 3600 */
    struct strv packages;            /* [image] packages: added to the seed set */
    struct strv base_packages;       /* [image] base-packages: replaces the seed set if not empty */
    struct strv env;                 /* [env] NAME = value */
    struct strv tools;               /* [agent] tools: tool plugins to load, by name */
    struct plugin_setting *settings; /* [plugin.NAME] key = value, checked by the plugin host */
    size_t nsettings;
    struct strv origins;       /* section.key=who set it, for profile_describe */
    bool project_widens;       /* the project's file does more than narrow: profile_apply */
    char *project_widens_what; /* its first such "[section] key", for the question */
};

/* Built-in defaults: cpus = min(4, host's), memory 4G (at most half of the host's), disk 20G,
 * agent claude, backend qemu, boot-timeout 120 (600 where emulated is the caller's business). */
void profile_defaults(struct profile *p);
void profile_free(struct profile *p);

/* Applies an ini text.  name is how errors call the file.  NUL and control bytes, a line over
 * 64 KiB, a bad value, an unknown section or key, a key set twice are errors "name:line: ..."; the
 * profile is then good for profile_free only.
 * A later value replaces an earlier one; [image] packages adds to it.
 * For PROFILE_PROJECT only keys that narrow are taken silently (cpus, memory, disk, boot-timeout
 * not above the value so far, tools out of those named so far); any other sets project_widens (and
 * is applied too: the caller must not use the profile until the user approved the file). */
int profile_apply(struct profile *p, enum profile_origin origin, const char *name, const char *text,
                  size_t len, struct err *e);
/* Applies one "section.key=value"-like setting from the command line; option is its spelling for
 * errors, e.g. "--cpus". */
int profile_set(struct profile *p, const char *option, const char *section, const char *key,
                const char *value, struct err *e);
/* Reads and applies a file of at most 1 MiB; a missing file is an error if required, else nothing.
 * A symlink is followed, except for PROFILE_PROJECT. */
int profile_load(struct profile *p, enum profile_origin origin, const char *path, bool required,
                 struct err *e);

/* The profile as text, one "section.key = value  (origin)" a line, for agentvm plan. */
char *profile_describe(const struct profile *p);

#endif
