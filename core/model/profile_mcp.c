/* [mcp.NAME]: MCP servers of the profile's own, offered to the agent as a tool's are. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/plan.h"
#include "model/profile.h"
#include "model/profile_keys.h"
#include "model/show.h"
#include "model/words.h"

enum {
    SHOWN_MAX = 80,
    NAME_MAX_BYTES = 45, /* as long as [mcp.NAME] may be */
};

static int set_command(struct profile_mcp *m, const struct profile_entry *entry, struct err *e);
static int set_args(struct profile_mcp *m, const struct profile_entry *entry, struct err *e);
static int set_env(struct profile_mcp *m, const struct profile_entry *entry, struct err *e);

/* As the table of profile_keys.c. */
static const struct {
    const char *section, *name;
    enum profile_type type;
    int (*set)(struct profile_mcp *m, const struct profile_entry *entry, struct err *e);
} keys[] = {
    {"mcp.NAME", "command", PROFILE_TEXT, set_command},
    {"mcp.NAME", "args", PROFILE_LIST, set_args},
    {"mcp.NAME", "env", PROFILE_LIST, set_env},
};

bool profile_mcp_is_list(const char *key)
{
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (strcmp(keys[i].name, key) == 0)
            return keys[i].type == PROFILE_LIST;
    return false;
}

static void empty(struct profile_mcp *m)
{
    free(steal_ptr(&m->command));
    strv_free(&m->args);
    strv_free(&m->env);
    free(steal_ptr(&m->where));
}

void profile_mcp_free(struct profile_mcp *m)
{
    empty(m);
    free(m->name);
}

static struct profile_mcp *find(struct profile *p, const char *name)
{
    for (size_t i = 0; i < p->nmcp; i++)
        if (strcmp(p->mcp[i].name, name) == 0)
            return &p->mcp[i];
    return NULL;
}

int profile_mcp_begin(struct profile *p, enum profile_origin origin, const char *where,
                      const char *name, struct err *e)
{
    auto_free char *shown = show_text(name, SHOWN_MAX);
    auto_free char *keys_of_it = mem_printf(PROFILE_MCP_SECTION "%s.", name);
    struct profile_mcp *m = find(p, name);

    if (!plan_is_server_name(name) || strlen(name) > NAME_MAX_BYTES)
        return err_set(e,
                       "%s: [mcp.%s] does not name an MCP server (letters, digits, '-' and '_', at "
                       "most %d)",
                       where, shown, NAME_MAX_BYTES);
    if (m && m->layer == p->layer)
        return 0;
    if (!m) {
        p->mcp = mem_realloc(p->mcp, p->nmcp + 1, sizeof(*p->mcp));
        m = &p->mcp[p->nmcp++];
        *m = (struct profile_mcp){.name = mem_strdup(name)};
    }
    empty(m);
    profile_forget_notes(p, keys_of_it);
    m->origin = origin;
    m->where = mem_strdup(where);
    m->layer = p->layer;
    return 0;
}

static int split(const struct profile_entry *entry, struct strv *out, struct err *e)
{
    if (words_split(entry->value, out, e) < 0)
        return err_prefix(e, "%s: %s", entry->where, entry->key);
    if (out->n <= PLAN_STEPS_MAX)
        return 0;
    return profile_refuse(entry, out->v[PLAN_STEPS_MAX], "is one word too many for a list", e);
}

static int set_command(struct profile_mcp *m, const struct profile_entry *entry, struct err *e)
{
    auto_strv struct strv words = STRV_INIT;

    if (split(entry, &words, e) < 0)
        return -1;
    if (words.n != 1)
        return profile_refuse(entry, entry->value,
                              "is not one program; its arguments go into args, and a name with "
                              "blanks into quotes",
                              e);
    if (!*words.v[0])
        return profile_refuse(entry, entry->value, "names no program", e);
    free(m->command);
    m->command = mem_strdup(words.v[0]);
    return 0;
}

static int set_args(struct profile_mcp *m, const struct profile_entry *entry, struct err *e)
{
    auto_strv struct strv words = STRV_INIT;

    if (split(entry, &words, e) < 0)
        return -1;
    strv_free(&m->args);
    strv_push_all(&m->args, words.v);
    return 0;
}

static int set_env(struct profile_mcp *m, const struct profile_entry *entry, struct err *e)
{
    auto_strv struct strv words = STRV_INIT;

    if (split(entry, &words, e) < 0)
        return -1;
    strv_free(&m->env);
    for (size_t i = 0; i < words.n; i++) {
        const char *equals = strchr(words.v[i], '=');
        auto_free char *name = mem_dup(words.v[i], strcspn(words.v[i], "="));

        if (!equals || !str_is_identifier(name))
            return profile_refuse(entry, words.v[i], "is not NAME=value", e);
        if (strv_getenv(&m->env, name))
            return profile_refuse(entry, name, "is set twice", e);
        strv_push(&m->env, words.v[i]);
    }
    return 0;
}

/* What is wrong was told: that the server then lacks something is not another problem. */
static int mark(struct profile_mcp *m)
{
    m->faulty = true;
    return -1;
}

int profile_mcp_set(struct profile *p, const struct profile_entry *entry, struct err *e)
{
    struct profile_mcp *m = find(p, entry->section + strlen(PROFILE_MCP_SECTION));
    auto_free char *shown = show_text(entry->key, SHOWN_MAX);
    const char *names[ARRAY_LEN(keys)], *nearest;

    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        if (strcmp(keys[i].name, entry->key) == 0)
            return keys[i].set(m, entry, e) < 0 ? mark(m) : 0;
        names[i] = keys[i].name;
    }
    mark(m);
    nearest = str_nearest(entry->key, names, ARRAY_LEN(keys));
    if (nearest)
        return err_set(e, "%s: unknown key '%s' in [%s]; did you mean '%s'?", entry->where, shown,
                       entry->section, nearest);
    return err_set(e, "%s: unknown key '%s' in [%s]; there are command, args, env", entry->where,
                   shown, entry->section);
}

int profile_mcp_check(const struct profile_mcp *m, struct err *e)
{
    if (m->command || m->faulty)
        return 0;
    return err_set(e, "%s: [mcp.%s] has no command: the program that is the server", m->where,
                   m->name);
}
