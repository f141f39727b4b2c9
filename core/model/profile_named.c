/* [profile.NAME]: sets of settings in the user's file, one of which --profile NAME adds to it. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/profile.h"
#include "model/profile_keys.h"
#include "model/show.h"

enum { SHOWN_MAX = 80 };

void profile_named_free(struct profile_named *n)
{
    for (size_t i = 0; i < n->n; i++) {
        free(n->lines[i].section);
        free(n->lines[i].key);
        free(n->lines[i].value);
        free(n->lines[i].where);
    }
    free(n->lines);
    free(n->name);
    free(n->where);
}

bool profile_is_name(const char *word)
{
    return !strchr(word, '/') && !str_ends(word, ".ini");
}

bool profile_named_split(const char *dotted, char **section, char **key)
{
    const char *dot = strrchr(dotted, '.');

    if (!dot)
        return false;
    *section = mem_dup(dotted, (size_t)(dot - dotted));
    *key = mem_strdup(dot + 1);
    return true;
}

static struct profile_named *find(const struct profile *p, const char *name)
{
    for (size_t i = 0; i < p->nnamed; i++)
        if (strcmp(p->named[i].name, name) == 0)
            return &p->named[i];
    return NULL;
}

int profile_named_begin(struct profile *p, enum profile_origin origin, const char *where,
                        const char *name, struct err *e)
{
    auto_free char *shown = show_text(name, SHOWN_MAX);
    struct profile_named *n = find(p, name);

    if (!profile_is_plain_name(name))
        return err_set(e,
                       "%s: [profile.%s] does not name a profile (lower-case letters, digits and "
                       "'-')",
                       where, shown);
    if (origin != PROFILE_USER)
        return err_set(e, "%s: [profile.%s] may stand in the user's own file only", where, shown);
    if (n)
        return 0;
    p->named = mem_realloc(p->named, p->nnamed + 1, sizeof(*p->named));
    p->named[p->nnamed++] =
        (struct profile_named){.name = mem_strdup(name), .where = mem_strdup(where)};
    return 0;
}

static int assign_line(struct profile *p, const struct profile_line *line, struct err *e)
{
    struct profile_entry entry = {PROFILE_USER, line->where, line->section, line->key, line->value};

    return profile_assign(p, &entry, e);
}

/* Applies it on top of p, which should be thrown away after an error. */
static int apply(struct profile *p, const struct profile_named *n, struct err *e)
{
    p->layer++;
    for (size_t i = 0; i < n->n; i++)
        if (assign_line(p, &n->lines[i], e) < 0)
            return -1;
    for (size_t i = 0; i < p->nmcp; i++)
        if (p->mcp[i].layer == p->layer && profile_mcp_check(&p->mcp[i], e) < 0)
            return -1;
    return 0;
}

/* Whether the setting would be taken. */
static int try_line(const struct profile_line *line, struct err *e)
{
    struct profile scratch;
    int rc;

    profile_defaults(&scratch);
    rc = assign_line(&scratch, line, e);
    profile_free(&scratch);
    return rc;
}

int profile_named_add(struct profile *p, const struct profile_entry *entry, struct err *e)
{
    struct profile_named *n = find(p, entry->section + strlen(PROFILE_NAMED_SECTION));
    auto_free char *shown = show_text(entry->key, SHOWN_MAX);
    auto_free char *section = NULL, *key = NULL;
    struct profile_line *line;

    if (!profile_named_split(entry->key, &section, &key))
        return err_set(e, "%s: '%s' is not SECTION.KEY, such as vm.cpus", entry->where, shown);
    if (str_starts(section, PROFILE_NAMED_SECTION))
        return err_set(e, "%s: '%s': a profile cannot hold another", entry->where, shown);
    n->lines = mem_realloc(n->lines, n->n + 1, sizeof(*n->lines));
    line = &n->lines[n->n++];
    *line = (struct profile_line){.section = steal_ptr(&section),
                                  .key = steal_ptr(&key),
                                  .value = mem_strdup(entry->value),
                                  .where = mem_strdup(entry->where)};
    if (try_line(line, e) == 0)
        return 0;
    n->faulty = true;
    return -1;
}

int profile_named_check(const struct profile_named *n, struct err *e)
{
    struct profile scratch;
    int rc;

    if (n->faulty)
        return 0;
    profile_defaults(&scratch);
    rc = apply(&scratch, n, e);
    profile_free(&scratch);
    return rc;
}

int profile_select(struct profile *p, const char *name, const char *file, struct err *e)
{
    auto_free char *shown = show_text(name, SHOWN_MAX), *shown_file = show_text(file, 0);
    const struct profile_named *n = find(p, name);
    auto_strv struct strv names = STRV_INIT;
    auto_buf struct buf list = BUF_INIT;
    const char *nearest;

    if (n)
        return apply(p, n, e);
    for (size_t i = 0; i < p->nnamed; i++) {
        strv_push(&names, p->named[i].name);
        buf_printf(&list, "%s%s", i ? ", " : "", p->named[i].name);
    }
    if (names.n > 0)
        err_set(e, "unknown profile '%s'; %s has: %s", shown, shown_file, list.data);
    else
        err_set(e, "unknown profile '%s'; %s has none", shown, shown_file);
    nearest = str_nearest(name, (const char *const *)names.v, names.n);
    if (nearest)
        return err_advise(e, "did you mean %s?", nearest);
    return err_advise(e, "profiles are sections [profile.NAME] there; a file is written with a '/' "
                         "or ends with .ini");
}
