#include <cjson/cJSON.h>
#include <string.h>

#include "base/mem.h"
#include "model/json_text.h"
#include "model/profile.h"
#include "model/profile_keys.h"
#include "model/show.h"
#include "model/words.h"

void *profile_member(const struct profile *p, const struct profile_key *k)
{
    return (char *)(uintptr_t)p + k->offset;
}

char *profile_size_text(uint64_t size)
{
    static const char *const units[] = {"", "K", "M", "G", "T"};
    size_t i = 0;

    for (; size && size % 1024 == 0 && i + 1 < ARRAY_LEN(units); i++)
        size /= 1024;
    return mem_printf("%llu%s", (unsigned long long)size, units[i]);
}

const char *profile_origin_name(enum profile_origin origin)
{
    static const char *const names[] = {"built-in", "plugin", "user", "project", "command line"};

    return names[origin];
}

char *profile_key_text(const struct profile *p, const struct profile_key *k)
{
    const void *at = profile_member(p, k);

    switch (k->type) {
    case PROFILE_TEXT:
        return mem_strdup(*(char *const *)at);
    case PROFILE_NUMBER:
        return mem_printf("%u", *(const unsigned *)at);
    case PROFILE_BOOL:
        return mem_strdup(*(const bool *)at ? "true" : "false");
    case PROFILE_SIZE:
        return profile_size_text(*(const uint64_t *)at);
    case PROFILE_LIST:
    case PROFILE_PATHS:
        break;
    }
    return words_join(at);
}

/* ---- every value, for text and JSON alike ---------------------------------------------------- */

/* A value; list where it is one, text otherwise. */
struct value {
    const char *section, *key, *text;
    const struct strv *list;
};

typedef void visit(void *arg, const struct profile *p, const struct value *v);

static void visit_keys(const struct profile *p, visit *fn, void *arg)
{
    size_t n;
    const struct profile_key *keys = profile_keys(&n);

    for (size_t i = 0; i < n; i++) {
        auto_free char *text = profile_key_text(p, &keys[i]);
        struct value v = {keys[i].section, keys[i].name, text,
                          profile_type_is_list(keys[i].type) ? profile_member(p, &keys[i]) : NULL};

        fn(arg, p, &v);
    }
}

static void visit_mcp(const struct profile *p, const struct profile_mcp *m, visit *fn, void *arg)
{
    auto_free char *section = mem_printf(PROFILE_MCP_SECTION "%s", m->name);

    fn(arg, p, &(struct value){section, "command", m->command, NULL});
    if (m->args.n > 0)
        fn(arg, p, &(struct value){section, "args", NULL, &m->args});
    if (m->env.n > 0)
        fn(arg, p, &(struct value){section, "env", NULL, &m->env});
}

/* Settings NAME=value of a section. */
static void visit_pairs(const struct profile *p, const char *section, const struct strv *pairs,
                        visit *fn, void *arg)
{
    for (size_t i = 0; i < pairs->n; i++) {
        auto_free char *name = mem_dup(pairs->v[i], strcspn(pairs->v[i], "="));

        fn(arg, p, &(struct value){section, name, pairs->v[i] + strlen(name) + 1, NULL});
    }
}

static void visit_all(const struct profile *p, visit *fn, void *arg)
{
    visit_keys(p, fn, arg);
    visit_pairs(p, "ports", &p->ports_fixed, fn, arg);
    visit_pairs(p, "env", &p->env, fn, arg);
    for (size_t i = 0; i < p->nmcp; i++)
        visit_mcp(p, &p->mcp[i], fn, arg);
    for (size_t i = 0; i < p->nsettings; i++) {
        const struct plugin_setting *s = &p->settings[i];
        auto_free char *section = mem_printf(PROFILE_PLUGIN_SECTION "%s", s->plugin);

        fn(arg, p, &(struct value){section, s->key, s->value, NULL});
    }
}

static bool is_note_of(const struct profile_note *n, const struct value *v)
{
    size_t len = strlen(v->section);

    return strncmp(n->name, v->section, len) == 0 && n->name[len] == '.' &&
           strcmp(n->name + len + 1, v->key) == 0;
}

/* ---- text ------------------------------------------------------------------------------------ */

static void describe(void *arg, const struct profile *p, const struct value *v)
{
    auto_free char *words = v->list ? words_join(v->list) : NULL;
    auto_free char *shown = show_text(words ? words : v->text, 0);
    struct buf *out = arg;
    bool set = false;

    buf_printf(out, "%s.%s = %s  (", v->section, v->key, shown);
    for (size_t i = 0; i < p->nnotes; i++) {
        const struct profile_note *n = &p->notes[i];

        if (!is_note_of(n, v))
            continue;
        buf_printf(out, "%s%s %s", set ? ", " : "", profile_origin_name(n->origin), n->where);
        set = true;
    }
    buf_printf(out, "%s)\n", set ? "" : profile_origin_name(PROFILE_BUILTIN));
}

char *profile_describe(const struct profile *p)
{
    struct buf out = BUF_INIT;

    visit_all(p, describe, &out);
    return buf_steal(&out);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void add_origin(cJSON *list, enum profile_origin source, const char *where)
{
    cJSON *o = cJSON_CreateObject();

    cJSON_AddStringToObject(o, "source", profile_origin_name(source));
    if (where)
        cJSON_AddItemToObject(o, "where", json_text(where));
    cJSON_AddItemToArray(list, o);
}

static void add_value(void *arg, const struct profile *p, const struct value *v)
{
    cJSON *o = cJSON_CreateObject(), *origins;

    cJSON_AddStringToObject(o, "section", v->section);
    cJSON_AddStringToObject(o, "key", v->key);
    cJSON_AddItemToObject(o, "value", v->list ? json_texts(v->list) : json_text(v->text));
    origins = cJSON_AddArrayToObject(o, "origins");
    for (size_t i = 0; i < p->nnotes; i++)
        if (is_note_of(&p->notes[i], v))
            add_origin(origins, p->notes[i].origin, p->notes[i].where);
    if (cJSON_GetArraySize(origins) == 0)
        add_origin(origins, PROFILE_BUILTIN, NULL);
    cJSON_AddItemToArray(arg, o);
}

char *profile_to_json(const struct profile *p)
{
    cJSON *list = cJSON_CreateArray();
    char *printed, *text;

    visit_all(p, add_value, list);
    printed = cJSON_Print(list);
    cJSON_Delete(list);
    text = mem_strdup(printed);
    cJSON_free(printed);
    return text;
}
