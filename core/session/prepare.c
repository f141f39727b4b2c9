/* From the command line and the files to the profile and its plugins. */
#include <stdlib.h>

#include "base/mem.h"
#include "session/session.h"

/* The user's file, with the profile of it that --profile names, or the file that it names. */
static int apply_user(struct session *s, struct profile *p, struct err *e)
{
    auto_free char *user_ini = mem_printf("%s/" PATHS_USER_INI, s->paths.config);
    const char *word = s->options.profile;

    if (word && !profile_is_name(word))
        return profile_load(p, PROFILE_USER, word, true, e);
    if (profile_load(p, PROFILE_USER, user_ini, false, e) < 0)
        return -1;
    return word ? profile_select(p, word, user_ini, e) : 0;
}

/* Applies user's file, project's file and flags on top of what the profile holds. */
static int apply_layers(struct session *s, struct profile *p, struct err *e)
{
    const struct trust_file *project = &s->project_ini;

    if (apply_user(s, p, e) < 0)
        return -1;
    if (project->present && profile_apply(p, PROFILE_PROJECT, PATHS_PROJECT_INI,
                                          project->bytes.data, project->bytes.len, e) < 0)
        return -1;
    for (size_t i = 0; i < s->options.nflags; i++) {
        const struct session_flag *f = &s->options.flags[i];

        if (profile_set(p, f->option, f->section, f->key, f->value, e) < 0)
            return -1;
    }
    return 0;
}

static int find_plugins(struct session *s, struct err *e)
{
    struct profile first = {0};
    int rc;

    /* The plugin's own ini ranks below the user's file, which says which plugin it is. */
    profile_defaults(&first);
    rc = apply_layers(s, &first, e);
    if (rc == 0)
        rc = plugin_find(&s->paths, first.agent, PLUGIN_AGENT, &s->agent, e);
    s->tools = mem_zalloc(first.tools.n, sizeof(*s->tools));
    for (size_t i = 0; rc == 0 && i < first.tools.n; i++) {
        rc = plugin_find(&s->paths, first.tools.v[i], PLUGIN_TOOL, &s->tools[s->ntools], e);
        s->ntools += rc == 0;
    }
    profile_free(&first);
    return rc;
}

static int apply_plugin_ini(struct session *s, const struct plugin *pl, struct err *e)
{
    auto_buf struct buf text = BUF_INIT;
    auto_free char *name = mem_printf("%s.ini", pl->name);
    int rc = plugin_ini(pl, &text, e);

    if (rc != 0)
        return rc < 0 ? -1 : 0;
    return profile_apply(&s->profile, PROFILE_PLUGIN, name, text.data, text.len, e);
}

int session_build_profile(struct session *s, struct err *e)
{
    if (find_plugins(s, e) < 0)
        return -1;
    profile_defaults(&s->profile);
    for (size_t i = 0; i < s->ntools; i++)
        if (apply_plugin_ini(s, &s->tools[i], e) < 0)
            return -1;
    if (apply_plugin_ini(s, &s->agent, e) < 0 || apply_layers(s, &s->profile, e) < 0)
        return -1;
    for (size_t i = 0; i < s->ntools; i++)
        if (plugin_check_settings(&s->tools[i], &s->profile, &s->profile.project_widens, e) < 0)
            return -1;
    return plugin_check_settings(&s->agent, &s->profile, &s->profile.project_widens, e);
}

int session_load_profile(struct session *s, struct err *e)
{
    if (paths_project(&s->paths, s->options.project, &s->project, e) < 0 ||
        paths_open_project(s->options.project, s->project, &s->project_fd, e) < 0 ||
        trust_read(s->project, PATHS_PROJECT_INI, &s->project_ini, e) < 0 ||
        trust_read(s->project, PATHS_PROJECT_RUNTIME, &s->project_runtime, e) < 0)
        return -1;
    return session_build_profile(s, e);
}

static int find_driver(struct session *s, struct err *e)
{
    s->driver = vm_driver_find(s->profile.backend, e);
    return s->driver ? 0 : -1;
}

int session_load(struct session *s, struct err *e)
{
    if (session_load_profile(s, e) < 0 || session_approve_profile(s, e) < 0)
        return -1;
    return find_driver(s, e);
}

int session_load_user(struct session *s, struct err *e)
{
    return session_build_profile(s, e) < 0 ? -1 : find_driver(s, e);
}
