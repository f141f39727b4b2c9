#include "model/profile_keys.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "model/plan.h"
#include "model/show.h"

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)
#define TIB ((uint64_t)1 << 40)

enum { SHOWN_MAX = 80, NAME_MAX_LENGTH = 64, LIST_MAX = PLAN_STEPS_MAX };

int profile_refuse(const struct profile_entry *entry, const char *value, const char *what,
                   struct err *e)
{
    auto_free char *shown = show_text(value, SHOWN_MAX);

    if (entry->origin == PROFILE_FLAGS)
        return err_set(e, "%s: '%s' %s", entry->where, shown, what);
    return err_set(e, "%s: %s: '%s' %s", entry->where, entry->key, shown, what);
}

static int set_number(struct profile *p, const struct profile_key *k,
                      const struct profile_entry *entry, bool *narrower, struct err *e)
{
    unsigned *at = profile_member(p, k);
    uint64_t value;

    if (str_to_u64(entry->value, k->min, k->max, &value) < 0) {
        auto_free char *what = mem_printf("is not a number from %llu to %llu",
                                          (unsigned long long)k->min, (unsigned long long)k->max);

        return profile_refuse(entry, entry->value, what, e);
    }
    *narrower = value <= *at;
    *at = (unsigned)value;
    return 0;
}

static int set_size(struct profile *p, const struct profile_key *k,
                    const struct profile_entry *entry, bool *narrower, struct err *e)
{
    uint64_t *at = profile_member(p, k), value;

    if (str_to_size(entry->value, &value) < 0 || value < k->min || value > k->max) {
        auto_free char *min = profile_size_text(k->min), *max = profile_size_text(k->max);
        auto_free char *what =
            mem_printf("is not a size from %s to %s (a number with K, M, G or T)", min, max);

        return profile_refuse(entry, entry->value, what, e);
    }
    if (value % MIB != 0) /* qemu refuses other sizes, much later */
        return profile_refuse(entry, entry->value,
                              "is not a whole number of MiB (write it with M or G)", e);
    *narrower = value <= *at;
    *at = value;
    return 0;
}

bool profile_is_plain_name(const char *s)
{
    size_t len = strlen(s);

    if (len == 0 || len > NAME_MAX_LENGTH || s[0] == '-' || s[len - 1] == '-' || strstr(s, "--"))
        return false;
    return s[strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-")] == '\0';
}

/* Debian Policy 5.6.1, without a trailing '-', which would mean "remove" to apt. */
static bool is_package(const char *s)
{
    size_t len = strlen(s);

    return len > 1 && !strchr("+.-", s[0]) && s[len - 1] != '-' &&
           s[strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789+.-")] == '\0';
}

static int set_agent(struct profile *p, const struct profile_key *k,
                     const struct profile_entry *entry, bool *narrower, struct err *e)
{
    char **at = profile_member(p, k);
    bool is_list = strpbrk(entry->value, " \t,") != NULL;

    if (is_list)
        return profile_refuse(entry, entry->value,
                              "is not one agent's name, and one agent runs at a time", e);
    if (!profile_is_plain_name(entry->value))
        return profile_refuse(entry, entry->value,
                              "is not a plugin's name (lower-case letters, digits and '-')", e);
    free(*at);
    *at = mem_strdup(entry->value);
    *narrower = false;
    return 0;
}

static int set_backend(struct profile *p, const struct profile_key *k,
                       const struct profile_entry *entry, bool *narrower, struct err *e)
{
    char **at = profile_member(p, k);

    if (strcmp(entry->value, "qemu") != 0)
        return profile_refuse(entry, entry->value, "is not a backend; the only one is 'qemu'", e);
    free(*at);
    *at = mem_strdup(entry->value);
    *narrower = false;
    return 0;
}

static int set_sessions(struct profile *p, const struct profile_key *k,
                        const struct profile_entry *entry, bool *narrower, struct err *e)
{
    char **at = profile_member(p, k);

    if (strcmp(entry->value, "keep") != 0 && strcmp(entry->value, "discard") != 0)
        return profile_refuse(entry, entry->value, "is neither 'keep' nor 'discard'", e);
    *narrower = strcmp(entry->value, "discard") == 0 || strcmp(entry->value, *at) == 0;
    free(*at);
    *at = mem_strdup(entry->value);
    return 0;
}

/* narrow: the value that takes something away from the guest. */
static int set_bool(struct profile *p, const struct profile_key *k,
                    const struct profile_entry *entry, bool narrow, bool *narrower, struct err *e)
{
    bool *at = profile_member(p, k), value = strcmp(entry->value, "true") == 0;

    if (!value && strcmp(entry->value, "false") != 0)
        return profile_refuse(entry, entry->value, "is neither 'true' nor 'false'", e);
    *narrower = value == narrow || value == *at;
    *at = value;
    return 0;
}

static int set_restriction(struct profile *p, const struct profile_key *k,
                           const struct profile_entry *entry, bool *narrower, struct err *e)
{
    return set_bool(p, k, entry, true, narrower, e);
}

static int set_grant(struct profile *p, const struct profile_key *k,
                     const struct profile_entry *entry, bool *narrower, struct err *e)
{
    return set_bool(p, k, entry, false, narrower, e);
}

int profile_parse_names(const struct profile_entry *entry, bool (*test)(const char *),
                        const char *what, struct strv *out, struct err *e)
{
    auto_free char *text = mem_strdup(entry->value);
    auto_strv struct strv words = STRV_INIT;

    for (char *p = text; (p = strchr(p, ','));)
        *p = ' ';
    strv_split(&words, text);
    for (size_t i = 0; i < words.n; i++) {
        if (!test(words.v[i]))
            return profile_refuse(entry, words.v[i], what, e);
        if (out->n == LIST_MAX)
            return profile_refuse(entry, words.v[i], "is one name too many for a list", e);
        if (!strv_has(out, words.v[i]))
            strv_push(out, words.v[i]);
    }
    return 0;
}

static void replace_list(struct strv *at, struct strv *names)
{
    strv_free(at);
    *at = *names;
    *names = STRV_INIT;
}

static const char not_package[] = "is not the name of a Debian package";

static int set_base_packages(struct profile *p, const struct profile_key *k,
                             const struct profile_entry *entry, bool *narrower, struct err *e)
{
    auto_strv struct strv names = STRV_INIT;

    if (profile_parse_names(entry, is_package, not_package, &names, e) < 0)
        return -1;
    replace_list(profile_member(p, k), &names);
    *narrower = false;
    return 0;
}

static int add_packages(struct profile *p, const struct profile_key *k,
                        const struct profile_entry *entry, bool *narrower, struct err *e)
{
    auto_strv struct strv names = STRV_INIT;
    struct strv *at = profile_member(p, k);

    strv_push_all(&names, at->v);
    if (profile_parse_names(entry, is_package, not_package, &names, e) < 0)
        return -1;
    replace_list(at, &names);
    *narrower = false;
    return 0;
}

static int set_tools(struct profile *p, const struct profile_key *k,
                     const struct profile_entry *entry, bool *narrower, struct err *e)
{
    auto_strv struct strv names = STRV_INIT;
    struct strv *at = profile_member(p, k);

    if (profile_parse_names(entry, profile_is_plain_name,
                            "is not a plugin's name (lower-case letters, digits and '-')", &names,
                            e) < 0)
        return -1;
    *narrower = true;
    for (size_t i = 0; i < names.n; i++)
        *narrower = *narrower && strv_has(at, names.v[i]);
    replace_list(at, &names);
    return 0;
}

#define AT(name) offsetof(struct profile, name)
#define NARROWS .narrows = true

/* Every fixed key; a new one is a row here, a member of struct profile and a paragraph in
 * agentvm.ini.5. */
static const struct profile_key keys[] = {
    {"agent", "name", PROFILE_TEXT, AT(agent), set_agent, .does = "runs agent",
     .help = "the agent plugin to run; agentvm plugin list names them", .example = "codex"},
    {"agent", "tools", PROFILE_LIST, AT(tools), set_tools, NARROWS, .does = "loads tools",
     .help = "tool plugins to load", .example = "chrome-mcp"},
    {"agent", "sessions", PROFILE_TEXT, AT(sessions), set_sessions, NARROWS,
     .does = "lets the agent's sessions outlive the VM:",
     .help = "whether the agent's sessions outlive the VM: keep or discard", .example = "discard"},
    {"vm", "backend", PROFILE_TEXT, AT(backend), set_backend, .does = "runs the VM with",
     .help = "what runs the VM", .example = "qemu"},
    {"vm", "cpus", PROFILE_NUMBER, AT(cpus), set_number, 1, 64, NARROWS,
     .help = "virtual CPUs, 1 to 64", .example = "2"},
    {"vm", "memory", PROFILE_SIZE, AT(memory), set_size, 512 * MIB, TIB, NARROWS,
     .help = "memory, 512M to 1T", .example = "2G"},
    {"vm", "disk", PROFILE_SIZE, AT(disk), set_size, 10 * GIB, 16 * TIB, NARROWS,
     .help = "disk, 10G to 16T; takes space only as far as it is used", .example = "10G"},
    {"vm", "boot-timeout", PROFILE_NUMBER, AT(boot_timeout), set_number, 10, 3600, NARROWS,
     .help = "seconds that the VM may take to boot, 10 to 3600", .example = "60"},
    {"vm", "persist", PROFILE_BOOL, AT(persist), set_grant, NARROWS,
     .does = "keeps the VM's disk between runs:",
     .help = "whether the folder has a VM of its own, whose disk is kept: true or false",
     .example = "true"},
    {"image", "packages", PROFILE_LIST, AT(packages), add_packages, .adds = true,
     .does = "installs packages",
     .help = "Debian packages to install, besides the user's and the standard ones",
     .example = "postgresql-client golang"},
    {"image", "base-packages", PROFILE_LIST, AT(base_packages), set_base_packages,
     .does = "replaces the standard packages by", .none = "installs the standard packages",
     .help = "Debian packages to install instead of the standard ones", .example = "git curl"},
    {"project", "readonly", PROFILE_BOOL, AT(readonly), set_restriction, NARROWS,
     .does = "lets the VM write to the folder: readonly =",
     .help = "whether the VM can only read the folder: true or false", .example = "true"},
    {"project", "git-readonly", PROFILE_BOOL, AT(git_readonly), set_restriction, NARROWS,
     .does = "lets the VM write to .git: git-readonly =",
     .help = "whether the VM can only read what is git's in the folder: true or false",
     .example = "true"},
    {"mask", "paths", PROFILE_PATHS, AT(masks), profile_add_masks, NARROWS, .adds = true,
     .help = "files and folders in the folder that the VM sees empty; * and ? match names, and "
             "**/ before a name any folder",
     .example = ".env **/*.pem"},
    {"guest-local", "paths", PROFILE_PATHS, AT(locals), profile_add_locals, NARROWS, .adds = true,
     .help =
         "folders in the folder that are on the VM's disk, rather than the host's, which the VM "
         "does not see: for what is made again",
     .example = "node_modules target .venv"},
    {"guest-local", "keep", PROFILE_BOOL, AT(locals_keep), set_grant, NARROWS,
     .does = "keeps what is in folders on the VM's disk between runs:",
     .help = "whether what is in these folders is there in later runs: true or false",
     .example = "true"},
    {"mounts", "readonly", PROFILE_PATHS, AT(mounts_readonly), profile_add_mounts, .adds = true,
     .does = "lets the VM read", .help = "other files and folders of the host that the VM can read",
     .example = "/opt/sdk"},
    {"mounts", "writable", PROFILE_PATHS, AT(mounts_writable), profile_add_mounts, .adds = true,
     .does = "lets the VM read and write", .help = "the same, and it can write to them",
     .example = "~/src/shared"},
    {"network", "offline", PROFILE_BOOL, AT(offline), set_restriction, NARROWS,
     .does = "lets the VM use the network: offline =",
     .help = "whether the VM has no network: true or false", .example = "true"},
    {"git", "identity", PROFILE_BOOL, AT(git_identity), set_grant, NARROWS,
     .does = "hands over your name and e-mail address for git: identity =",
     .help = "whether git in the VM knows the host's name and e-mail address: true or false",
     .example = "false"},
    {"ssh", "agent", PROFILE_BOOL, AT(ssh_agent), set_grant, NARROWS,
     .does = "lets the VM sign with the keys of your ssh-agent: agent =",
     .help = "whether programs in the VM can use the keys of the host's ssh-agent: true or false",
     .example = "true"},
    {"ports", "auto", PROFILE_TEXT, AT(ports_auto), profile_set_auto, NARROWS,
     .does = "turns automatic port forwarding",
     .help = "whether ports that open in the VM appear on the host's 127.0.0.1; on or off",
     .example = "off"},
    {"ports", "allow", PROFILE_LIST, AT(ports_allow), profile_set_allow, NARROWS,
     .does = "lets appear on the host ports", .help = "the ports that may do so",
     .example = "3000 8000-8099"},
    {"ports", "deny", PROFILE_LIST, AT(ports_deny), profile_add_deny, NARROWS, .adds = true,
     .help = "ports that may not, besides those that the user named", .example = "5432"},
};

bool profile_type_is_list(enum profile_type type)
{
    return type == PROFILE_LIST || type == PROFILE_PATHS;
}

const struct profile_key *profile_keys(size_t *n)
{
    *n = ARRAY_LEN(keys);
    return keys;
}

const struct profile_key *profile_find_key(const char *section, const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (strcmp(keys[i].section, section) == 0 && strcmp(keys[i].name, name) == 0)
            return &keys[i];
    return NULL;
}
