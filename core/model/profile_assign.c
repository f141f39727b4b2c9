/* A setting's way to its place in the profile: which section, which key, who set it. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/profile.h"
#include "model/profile_keys.h"
#include "model/show.h"

enum { SHOWN_MAX = 80 };

static const char *const sections[] = {"agent",   "vm",   "image",       "ports",
                                       "project", "mask", "guest-local", "mounts",
                                       "network", "git",  "ssh",         "env"};

/* ---- sections ------------------------------------------------------------------------------- */

bool profile_key_is_list(const char *section, const char *key)
{
    const struct profile_key *k = profile_find_key(section, key);
    auto_free char *inner_section = NULL, *inner_key = NULL;

    if (str_starts(section, PROFILE_MCP_SECTION))
        return profile_mcp_is_list(key);
    if (str_starts(section, PROFILE_NAMED_SECTION) &&
        profile_named_split(key, &inner_section, &inner_key) &&
        !str_starts(inner_section, PROFILE_NAMED_SECTION))
        return profile_key_is_list(inner_section, inner_key);
    return k && profile_type_is_list(k->type);
}

static int check_plugin_section(const char *where, const char *section, struct err *e)
{
    auto_free char *shown = show_text(section, SHOWN_MAX);

    if (profile_is_plain_name(section + strlen(PROFILE_PLUGIN_SECTION)))
        return 0;
    return err_set(e, "%s: [%s] does not name a plugin (lower-case letters, digits and '-')", where,
                   shown);
}

static int unknown_section(const char *where, const char *section, struct err *e)
{
    auto_free char *shown = show_text(section, SHOWN_MAX);
    const char *nearest = str_nearest(section, sections, ARRAY_LEN(sections));
    auto_buf struct buf all = BUF_INIT;

    if (nearest)
        return err_set(e, "%s: unknown section [%s]; did you mean [%s]?", where, shown, nearest);
    for (size_t i = 0; i < ARRAY_LEN(sections); i++)
        buf_printf(&all, "[%s], ", sections[i]);
    return err_set(e,
                   "%s: unknown section [%s]; there are %s[mcp.NAME], [plugin.NAME] and "
                   "[profile.NAME]",
                   where, shown, all.data);
}

int profile_section(struct profile *p, enum profile_origin origin, const char *where,
                    const char *section, struct err *e)
{
    for (size_t i = 0; i < ARRAY_LEN(sections); i++)
        if (strcmp(section, sections[i]) == 0)
            return 0;
    if (str_starts(section, PROFILE_PLUGIN_SECTION))
        return check_plugin_section(where, section, e);
    if (str_starts(section, PROFILE_MCP_SECTION))
        return profile_mcp_begin(p, origin, where, section + strlen(PROFILE_MCP_SECTION), e);
    if (str_starts(section, PROFILE_NAMED_SECTION))
        return profile_named_begin(p, origin, where, section + strlen(PROFILE_NAMED_SECTION), e);
    return unknown_section(where, section, e);
}

/* ---- keys ----------------------------------------------------------------------------------- */

static int unknown_key(const struct profile_entry *entry, struct err *e)
{
    auto_free char *shown = show_text(entry->key, SHOWN_MAX);
    auto_strv struct strv names = STRV_INIT;
    auto_buf struct buf all = BUF_INIT;
    size_t n;
    const struct profile_key *keys = profile_keys(&n);
    const char *nearest;

    for (size_t i = 0; i < n; i++) {
        if (strcmp(keys[i].section, entry->section) == 0) {
            buf_printf(&all, "%s%s", names.n ? ", " : "", keys[i].name);
            strv_push(&names, keys[i].name);
        } else if (strcmp(keys[i].name, entry->key) == 0) {
            return err_set(e, "%s: unknown key '%s' in [%s]; it belongs in [%s]", entry->where,
                           shown, entry->section, keys[i].section);
        }
    }
    nearest = str_nearest(entry->key, (const char *const *)names.v, names.n);
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

    if (!profile_is_plain_name(entry->key))
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

/* ---- who set it ----------------------------------------------------------------------------- */

void profile_note_free(struct profile_note *n)
{
    free(n->name);
    free(n->where);
}

void profile_forget_notes(struct profile *p, const char *prefix)
{
    size_t kept = 0;

    for (size_t i = 0; i < p->nnotes; i++) {
        if (str_starts(p->notes[i].name, prefix))
            profile_note_free(&p->notes[i]);
        else
            p->notes[kept++] = p->notes[i];
    }
    p->nnotes = kept;
}

/* extends: the value before is still part of it. */
static void note_origin(struct profile *p, const struct profile_entry *entry, bool extends)
{
    auto_free char *name = mem_printf("%s.%s", entry->section, entry->key);
    struct profile_note *note = NULL;

    for (size_t i = 0; i < p->nnotes && !note && !extends; i++)
        if (strcmp(p->notes[i].name, name) == 0)
            note = &p->notes[i];
    if (!note) {
        p->notes = mem_realloc(p->notes, p->nnotes + 1, sizeof(*p->notes));
        note = &p->notes[p->nnotes++];
        *note = (struct profile_note){.name = steal_ptr(&name)};
    }
    free(note->where);
    note->where = mem_strdup(entry->where);
    note->origin = entry->origin;
}

static const struct profile_note *find_note(const struct profile *p, const char *name)
{
    for (size_t i = 0; i < p->nnotes; i++)
        if (strcmp(p->notes[i].name, name) == 0)
            return &p->notes[i];
    return NULL;
}

bool profile_is_flag(const struct profile *p, const char *name)
{
    const struct profile_note *n = find_note(p, name);

    return n && n->origin == PROFILE_FLAGS;
}

const char *profile_where(const struct profile *p, const char *name)
{
    const struct profile_note *n = find_note(p, name);

    return n ? n->where : NULL;
}

static int set_free(struct profile *p, const struct profile_entry *entry, struct err *e)
{
    if (strcmp(entry->section, "env") == 0)
        return set_env(p, entry, e);
    if (strcmp(entry->section, "ports") == 0)
        return profile_set_port(p, entry, e);
    if (str_starts(entry->section, PROFILE_PLUGIN_SECTION))
        return set_plugin(p, entry, e);
    if (str_starts(entry->section, PROFILE_MCP_SECTION))
        return profile_mcp_set(p, entry, e);
    return unknown_key(entry, e);
}

/* Servers and options of plugins are judged when more is known of them. */
static bool is_judged_later(const char *section)
{
    return str_starts(section, PROFILE_MCP_SECTION) || str_starts(section, PROFILE_PLUGIN_SECTION);
}

int profile_assign(struct profile *p, const struct profile_entry *entry, struct err *e)
{
    const struct profile_key *k = profile_find_key(entry->section, entry->key);
    auto_free char *before = k ? profile_key_text(p, k) : NULL;
    bool narrower = false;

    if (profile_section(p, entry->origin, entry->where, entry->section, e) < 0)
        return -1;
    if (str_starts(entry->section, PROFILE_NAMED_SECTION))
        return profile_named_add(p, entry, e);
    if (k ? k->set(p, k, entry, &narrower, e) < 0 : set_free(p, entry, e) < 0)
        return -1;
    note_origin(p, entry, k && k->adds);
    if (entry->origin == PROFILE_PROJECT && !(k && k->narrows && narrower) &&
        !is_judged_later(entry->section))
        profile_widen(p, k, entry, before);
    return 0;
}
