#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "model/json_text.h"

/* ---- the effective profile ------------------------------------------------------------------ */

static cJSON *as_json(const struct session *s, bool approved)
{
    auto_free char *settings = profile_to_json(&s->profile);
    cJSON *root = cJSON_CreateObject();

    cJSON_AddItemToObject(root, "project", json_text(s->project));
    cJSON_AddItemToObject(root, "settings", cJSON_Parse(settings));
    cJSON_AddItemToObject(root, "widens", json_texts(&s->profile.project_widens));
    cJSON_AddBoolToObject(root, "approved", approved);
    return root;
}

static void warn_unapproved(const struct session *s)
{
    log_warn("this folder's %s is not approved, so a run would ask first: it", PATHS_PROJECT_INI);
    for (size_t i = 0; i < s->profile.project_widens.n; i++)
        log_info("  - %s", s->profile.project_widens.v[i]);
}

static int print_profile(struct session *s, struct cli *cli, struct err *e)
{
    enum trust_state state = TRUST_APPROVED;
    auto_free char *text = NULL;

    if (session_load_profile(s, e) < 0)
        return -1;
    if (s->profile.project_widens.n > 0 &&
        trust_state(&s->paths, s->project, &s->project_ini, &state, e) < 0)
        return -1;
    if (cli->json)
        return cli_print_json(as_json(s, state == TRUST_APPROVED), e);
    text = profile_describe(&s->profile);
    if (cli_print(text, e) < 0)
        return -1;
    if (state != TRUST_APPROVED)
        warn_unapproved(s);
    return 0;
}

/* ---- check ---------------------------------------------------------------------------------- */

static void add_problem(struct strv *problems, const char *where, const struct err *e)
{
    auto_free char *line =
        mem_printf("%s%s%s%s%s", where ? where : "", where ? ": " : "", err_msg(e),
                   e->advice ? "; " : "", e->advice ? e->advice : "");

    if (!strv_has(problems, line))
        strv_push(problems, line);
}

/* Where the profile sets the key; NULL: nowhere. */
static const char *find_origin(const struct profile *p, const char *name)
{
    for (size_t i = p->nnotes; i-- > 0;)
        if (strcmp(p->notes[i].name, name) == 0)
            return p->notes[i].where;
    return NULL;
}

/* Whether the plugin is installed here, and is one. */
static void check_plugin(const struct paths *paths, const char *name, enum plugin_kind kind,
                         const char *where, struct strv *problems)
{
    auto_err struct err e = ERR_INIT;
    struct plugin pl;

    if (plugin_find(paths, name, kind, &pl, &e) < 0)
        add_problem(problems, where, &e);
    else
        plugin_free(&pl);
}

/* All settings of one plugin, from the first of them on. */
static void check_options(const struct paths *paths, const struct profile *p, size_t first,
                          struct strv *problems)
{
    const char *name = p->settings[first].plugin;
    auto_strv struct strv widens = STRV_INIT;
    struct err e = ERR_INIT;
    struct plugin pl;

    if (plugin_find(paths, name, PLUGIN_ANY, &pl, &e) < 0) {
        add_problem(problems, p->settings[first].where, &e);
        err_clear(&e);
        return;
    }
    for (size_t i = first; i < p->nsettings; i++) {
        struct profile one = {.settings = &p->settings[i], .nsettings = 1};

        if (plugin_check_settings(&pl, &one, &widens, &e) < 0)
            add_problem(problems, NULL, &e);
        err_clear(&e);
    }
    plugin_free(&pl);
}

/* What the settings name of plugins. */
static void check_plugins(const struct paths *paths, const struct profile *p, struct strv *problems)
{
    const char *agent = find_origin(p, "agent.name");
    auto_strv struct strv seen = STRV_INIT;

    if (agent)
        check_plugin(paths, p->agent, PLUGIN_AGENT, agent, problems);
    for (size_t i = 0; i < p->tools.n; i++)
        check_plugin(paths, p->tools.v[i], PLUGIN_TOOL, find_origin(p, "agent.tools"), problems);
    for (size_t i = 0; i < p->nsettings; i++) {
        if (strv_has(&seen, p->settings[i].plugin))
            continue;
        strv_push(&seen, p->settings[i].plugin);
        check_options(paths, p, i, problems);
    }
}

/* The file's settings with those of one of its profiles on top; NULL: without. */
static int check_profile(const struct paths *paths, const char *file, const char *name,
                         struct strv *names, struct strv *problems, struct err *e)
{
    struct profile p = {0};
    int rc;

    profile_defaults(&p);
    rc = profile_load(&p, PROFILE_USER, file, true, e);
    if (rc == 0 && name)
        rc = profile_select(&p, name, file, e);
    if (rc == 0)
        check_plugins(paths, &p, problems);
    for (size_t i = 0; rc == 0 && !name && i < p.nnamed; i++)
        strv_push(names, p.named[i].name);
    profile_free(&p);
    return rc;
}

static int find_problems(const char *file, struct strv *problems, struct err *e)
{
    auto_strv struct strv names = STRV_INIT;
    struct paths paths;
    int rc;

    if (profile_check_file(file, problems, e) < 0)
        return -1;
    if (problems->n > 0)
        return 0;
    rc = paths_init(&paths, e);
    if (rc == 0)
        rc = check_profile(&paths, file, NULL, &names, problems, e);
    for (size_t i = 0; rc == 0 && i < names.n; i++)
        rc = check_profile(&paths, file, names.v[i], NULL, problems, e);
    paths_free(&paths);
    return rc;
}

static int check(struct cli *cli, const char *file, struct err *e)
{
    auto_strv struct strv problems = STRV_INIT;
    auto_buf struct buf lines = BUF_INIT;
    auto_free char *shown = str_quote(file);
    cJSON *root;

    if (find_problems(file, &problems, e) < 0)
        return -1;
    if (cli->json) {
        root = cJSON_CreateObject();
        cJSON_AddItemToObject(root, "file", json_text(file));
        cJSON_AddItemToObject(root, "problems", json_texts(&problems));
        return cli_print_json(root, e) < 0 ? -1 : problems.n > 0 ? EXIT_AGENTVM : 0;
    }
    if (problems.n == 0) {
        buf_printf(&lines, "%s: no problem found\n", shown);
        return cli_print(lines.data, e);
    }
    for (size_t i = 0; i < problems.n; i++)
        buf_printf(&lines, "%s\n", problems.v[i]);
    err_set(e, "%s: %zu problem%s", shown, problems.n, problems.n > 1 ? "s" : "");
    err_detail(e, buf_steal(&lines));
    return err_advise(e, "sections and keys are described in agentvm.ini(5)");
}

int cmd_config(struct cli *cli, struct err *e)
{
    char *const *w = cli->words;

    if (!w[0])
        return cli_with_session(cli, print_profile, e);
    if (strcmp(w[0], "check") == 0 && w[1] && !w[2])
        return check(cli, w[1], e);
    err_set(e, "config takes no other words than: check FILE");
    return err_advise(e, "see agentvm help config");
}
