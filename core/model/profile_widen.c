/* What a project's file does beyond narrowing, in words for who shall approve it. */
#include <string.h>

#include "base/mem.h"
#include "model/profile.h"
#include "model/profile_keys.h"
#include "model/show.h"
#include "model/words.h"

enum { SHOWN_MAX = 200 }; /* bytes of a value; the whole file is shown, too */

/* The value on one line: the names of a list may stand on several. */
static char *show_value(const struct profile_key *k, const char *value)
{
    auto_strv struct strv names = STRV_INIT;
    auto_free char *line = mem_strdup(value), *joined = NULL;

    if (k && k->type == PROFILE_PATHS && words_split(value, &names, NULL) == 0) {
        joined = words_join(&names);
        return show_text(joined, SHOWN_MAX);
    }
    if (!k || k->type != PROFILE_LIST)
        return show_text(value, SHOWN_MAX);
    for (char *p = line; (p = strchr(p, ','));)
        *p = ' ';
    strv_split(&names, line);
    joined = words_join(&names);
    return show_text(joined, SHOWN_MAX);
}

void profile_widen(struct profile *p, const struct profile_key *k,
                   const struct profile_entry *entry, const char *before)
{
    auto_free char *value = show_value(k, entry->value);

    if (!k && strcmp(entry->section, "ports") == 0)
        strv_pushf(&p->project_widens, "forwards port %s of the host to port %s of the VM",
                   entry->key, value);
    else if (!k)
        strv_pushf(&p->project_widens, "sets variable %s to '%s'", entry->key, value);
    else if (k->none && !*value)
        strv_push(&p->project_widens, k->none);
    else if (k->does)
        strv_pushf(&p->project_widens, "%s %s", k->does, *value ? value : "nothing");
    else
        strv_pushf(&p->project_widens, "raises %s from %s to %s", k->name, before, value);
}

void profile_widen_mcp(struct profile *p, const struct profile_mcp *m)
{
    auto_free char *args = words_join(&m->args), *env = words_join(&m->env);
    auto_free char *command = str_quote(m->command);
    auto_free char *line = mem_printf("%s%s%s", command, *args ? " " : "", args);
    auto_free char *shown = show_text(line, SHOWN_MAX), *shown_env = show_text(env, SHOWN_MAX);

    strv_pushf(&p->project_widens, "starts MCP server %s: %s%s%s", m->name, shown,
               *env ? ", with variables " : "", shown_env);
}
