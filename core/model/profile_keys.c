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

/* "where: key: 'value' what"; an option on the command line is its own name. */
static int refuse(const struct profile_entry *entry, struct err *e, const char *value,
                  const char *what)
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

        return refuse(entry, e, entry->value, what);
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

        return refuse(entry, e, entry->value, what);
    }
    if (value % MIB != 0) /* qemu refuses other sizes, much later */
        return refuse(entry, e, entry->value,
                      "is not a whole number of MiB (write it with M or G)");
    *narrower = value <= *at;
    *at = value;
    return 0;
}

/* The names of plugins and of their options: lower-case words joined by '-'. */
static bool is_plain_name(const char *s)
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

    if (!is_plain_name(entry->value))
        return refuse(entry, e, entry->value,
                      "is not a plugin's name (lower-case letters, digits and '-')");
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
        return refuse(entry, e, entry->value, "is not a backend; the only one is 'qemu'");
    free(*at);
    *at = mem_strdup(entry->value);
    *narrower = false;
    return 0;
}

/* Splits the value into distinct names; commas separate too. */
static int parse_names(const struct profile_entry *entry, bool (*test)(const char *),
                       const char *what, struct strv *out, struct err *e)
{
    auto_free char *text = mem_strdup(entry->value);
    auto_strv struct strv words = STRV_INIT;

    for (char *p = text; (p = strchr(p, ','));)
        *p = ' ';
    strv_split(&words, text);
    for (size_t i = 0; i < words.n; i++) {
        if (!test(words.v[i]))
            return refuse(entry, e, words.v[i], what);
        if (out->n == LIST_MAX)
            return refuse(entry, e, words.v[i], "is one name too many for a list");
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

    if (parse_names(entry, is_package, not_package, &names, e) < 0)
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
    if (parse_names(entry, is_package, not_package, &names, e) < 0)
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

    if (parse_names(entry, is_plain_name,
                    "is not a plugin's name (lower-case letters, digits and '-')", &names, e) < 0)
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
    {"agent", "name", PROFILE_TEXT, AT(agent), set_agent},
    {"agent", "tools", PROFILE_LIST, AT(tools), set_tools, NARROWS},
    {"vm", "backend", PROFILE_TEXT, AT(backend), set_backend},
    {"vm", "cpus", PROFILE_NUMBER, AT(cpus), set_number, 1, 64, NARROWS},
    {"vm", "memory", PROFILE_SIZE, AT(memory), set_size, 512 * MIB, TIB, NARROWS},
    {"vm", "disk", PROFILE_SIZE, AT(disk), set_size, 10 * GIB, 16 * TIB, NARROWS},
    {"vm", "boot-timeout", PROFILE_NUMBER, AT(boot_timeout), set_number, 10, 3600, NARROWS},
    {"image", "packages", PROFILE_LIST, AT(packages), add_packages},
    {"image", "base-packages", PROFILE_LIST, AT(base_packages), set_base_packages},
};

const struct profile_key *profile_keys(size_t *n)
{
    *n = ARRAY_LEN(keys);
    return keys;
}

static const char *const sections[] = {"agent", "vm", "image", "env"};

static const struct profile_key *find_key(const char *section, const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (strcmp(keys[i].section, section) == 0 && strcmp(keys[i].name, name) == 0)
            return &keys[i];
    return NULL;
}

bool profile_key_is_list(const char *section, const char *key)
{
    const struct profile_key *k = find_key(section, key);

    return k && k->type == PROFILE_LIST;
}

int profile_check_section(const char *where, const char *section, struct err *e)
{
    auto_free char *shown = show_text(section, SHOWN_MAX);
    const char *nearest;

    for (size_t i = 0; i < ARRAY_LEN(sections); i++)
        if (strcmp(section, sections[i]) == 0)
            return 0;
    if (str_starts(section, PROFILE_PLUGIN_SECTION)) {
        if (is_plain_name(section + strlen(PROFILE_PLUGIN_SECTION)))
            return 0;
        return err_set(e, "%s: [%s] does not name a plugin (lower-case letters, digits and '-')",
                       where, shown);
    }
    nearest = str_nearest(section, sections, ARRAY_LEN(sections));
    if (nearest)
        return err_set(e, "%s: unknown section [%s]; did you mean [%s]?", where, shown, nearest);
    return err_set(e,
                   "%s: unknown section [%s]; there are [agent], [vm], [image], [env] and "
                   "[plugin.NAME]",
                   where, shown);
}

static int unknown_key(const struct profile_entry *entry, struct err *e)
{
    auto_free char *shown = show_text(entry->key, SHOWN_MAX);
    const char *names[ARRAY_LEN(keys)], *nearest;
    auto_buf struct buf all = BUF_INIT;
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        if (strcmp(keys[i].section, entry->section) == 0) {
            buf_printf(&all, "%s%s", n ? ", " : "", keys[i].name);
            names[n++] = keys[i].name;
        } else if (strcmp(keys[i].name, entry->key) == 0) {
            return err_set(e, "%s: unknown key '%s' in [%s]; it belongs in [%s]", entry->where,
                           shown, entry->section, keys[i].section);
        }
    }
    nearest = str_nearest(entry->key, names, n);
    if (nearest)
        return err_set(e, "%s: unknown key '%s' in [%s]; did you mean '%s'?", entry->where, shown,
                       entry->section, nearest);
    return err_set(e, "%s: unknown key '%s' in [%s]; there are %s", entry->where, shown,
                   entry->section, all.data);
}

static int set_env(struct profile *p, const struct profile_entry *entry, struct err *e)
{
    auto_free char *shown = show_text(entry->key, SHOWN_MAX);

    if (!str_is_identifier(entry->key))
        return err_set(e,
                       "%s: '%s' is not the name of a variable (letters, digits and '_', not "
                       "starting with a digit)",
                       entry->where, shown);
    strv_setenv(&p->env, entry->key, entry->value);
    return 0;
}

static int set_plugin(struct profile *p, const struct profile_entry *entry, struct err *e)
{
    const char *plugin = entry->section + strlen(PROFILE_PLUGIN_SECTION);
    auto_free char *shown = show_text(entry->key, SHOWN_MAX);
    struct plugin_setting *s = NULL;

    if (!is_plain_name(entry->key))
        return err_set(e, "%s: '%s' is not the name of an option (lower-case words joined by '-')",
                       entry->where, shown);
    for (size_t i = 0; i < p->nsettings && !s; i++)
        if (strcmp(p->settings[i].plugin, plugin) == 0 &&
            strcmp(p->settings[i].key, entry->key) == 0)
            s = &p->settings[i];
    if (!s) {
        p->settings = mem_realloc(p->settings, p->nsettings + 1, sizeof(*p->settings));
        s = &p->settings[p->nsettings++];
        *s = (struct plugin_setting){.plugin = mem_strdup(plugin), .key = mem_strdup(entry->key)};
    }
    free(s->value);
    free(s->where);
    s->value = mem_strdup(entry->value);
    s->where = mem_strdup(entry->where);
    s->origin = entry->origin;
    return 0;
}

/* extends: the value before is still part of it. */
static void note_origin(struct profile *p, const struct profile_entry *entry, bool extends)
{
    auto_free char *name = mem_printf("%s.%s", entry->section, entry->key);
    const char *now = profile_origin_name(entry->origin);
    const char *before = extends ? strv_getenv(&p->origins, name) : NULL;
    auto_free char *both = NULL;

    if (before && strcmp(before, profile_origin_name(PROFILE_BUILTIN)) != 0 &&
        !str_ends(before, now))
        both = mem_printf("%s, %s", before, now);
    strv_setenv(&p->origins, name, both ? both : before && str_ends(before, now) ? before : now);
}

int profile_assign(struct profile *p, const struct profile_entry *entry, struct err *e)
{
    const struct profile_key *k = find_key(entry->section, entry->key);
    bool narrower = false;
    int rc;

    if (profile_check_section(entry->where, entry->section, e) < 0)
        return -1;
    if (k)
        rc = k->set(p, k, entry, &narrower, e);
    else if (strcmp(entry->section, "env") == 0)
        rc = set_env(p, entry, e);
    else if (str_starts(entry->section, PROFILE_PLUGIN_SECTION))
        rc = set_plugin(p, entry, e);
    else
        rc = unknown_key(entry, e);
    if (rc < 0)
        return -1;
    note_origin(p, entry, k && k->set == add_packages);
    if (entry->origin == PROFILE_PROJECT && !(k && k->narrows && narrower)) {
        p->project_widens = true;
        if (!p->project_widens_what)
            p->project_widens_what = mem_printf("[%s] %s", entry->section, entry->key);
    }
    return 0;
}
