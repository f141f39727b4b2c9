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

/* Options of the plugins that are installed here; of others nothing is known. */
static void check_options(const struct paths *paths, const struct profile *p, struct strv *problems)
{
    auto_strv struct strv seen = STRV_INIT, widens = STRV_INIT;

    for (size_t i = 0; i < p->nsettings; i++) {
        const char *name = p->settings[i].plugin;
        auto_err struct err e = ERR_INIT;
        struct plugin pl;

        if (strv_has(&seen, name))
            continue;
        strv_push(&seen, name);
        if (plugin_find(paths, name, PLUGIN_AGENT, &pl, NULL) < 0 &&
            plugin_find(paths, name, PLUGIN_TOOL, &pl, NULL) < 0)
            continue;
        if (plugin_check_settings(&pl, p, &widens, &e) < 0)
            strv_pushf(problems, "%s; %s", err_msg(&e), e.advice);
        plugin_free(&pl);
    }
}

static int find_problems(const char *file, struct strv *problems, struct err *e)
{
    struct profile p = {0};
    struct paths paths;
    int rc;

    if (profile_check_file(file, problems, e) < 0)
        return -1;
    if (problems->n > 0)
        return 0;
    rc = paths_init(&paths, e);
    if (rc == 0) {
        profile_defaults(&p);
        rc = profile_load(&p, PROFILE_USER, file, true, e);
    }
    if (rc == 0)
        check_options(&paths, &p, problems);
    profile_free(&p);
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

/* The words of config: check, FILE, and --json where it likes. */
static const char *find_file(struct cli *cli)
{
    const char *file = NULL;

    for (char *const *w = cli->words + 1; *w; w++) {
        if (strcmp(*w, "--json") == 0)
            cli->json = true;
        else if (file)
            return NULL;
        else
            file = *w;
    }
    return file;
}

int cmd_config(struct cli *cli, struct err *e)
{
    const char *verb = cli->words[0];
    const char *file = verb && strcmp(verb, "check") == 0 ? find_file(cli) : NULL;

    if (!verb)
        return cli_with_session(cli, print_profile, e);
    if (file)
        return check(cli, file, e);
    err_set(e, "config takes no other words than: check FILE");
    return err_advise(e, "see agentvm help config");
}
