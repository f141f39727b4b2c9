/* `agentvm sessions`: what of agents' sessions outlived their VMs. */
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "model/json_text.h"
#include "model/show.h"

enum { TIME_TEXT = 32, KIB = 1024, ID_SHOWN = 80 };

static cJSON *as_json(const struct kept_sessions *sessions)
{
    cJSON *list = cJSON_CreateArray();

    for (size_t i = 0; i < sessions->n; i++) {
        const struct kept_session *s = &sessions->v[i];
        cJSON *item = cJSON_CreateObject();

        cJSON_AddItemToObject(item, "id", json_text(s->id));
        cJSON_AddStringToObject(item, "agent", s->agent);
        cJSON_AddItemToObject(item, "project", json_text(s->project));
        cJSON_AddNumberToObject(item, "changed", (double)s->changed);
        cJSON_AddNumberToObject(item, "size", (double)s->size);
        cJSON_AddItemToObject(item, "path", json_text(s->path));
        cJSON_AddItemToArray(list, item);
    }
    return list;
}

static char *as_table(const struct kept_sessions *sessions, bool with_folder)
{
    struct buf out = BUF_INIT;

    buf_puts(&out, "");
    if (sessions->n > 0)
        buf_printf(&out, "%-16s  %-10s  %7s  %-36s%s\n", "CHANGED (UTC)", "AGENT", "KIB", "SESSION",
                   with_folder ? "  FOLDER" : "");
    for (size_t i = 0; i < sessions->n; i++) {
        const struct kept_session *s = &sessions->v[i];
        auto_free char *folder = str_quote(s->project), *id = show_text(s->id, ID_SHOWN);
        time_t changed = (time_t)s->changed;
        char when[TIME_TEXT] = "?";
        struct tm tm;

        if (gmtime_r(&changed, &tm))
            strftime(when, sizeof(when), "%Y-%m-%d %H:%M", &tm);
        buf_printf(&out, "%-16s  %-10s  %7llu  %-36s%s%s\n", when, s->agent,
                   (unsigned long long)(s->size + KIB - 1) / KIB, id, with_folder ? "  " : "",
                   with_folder ? folder : "");
    }
    return buf_steal(&out);
}

static int list(const struct paths *paths, struct cli *cli, struct kept_sessions *out,
                struct err *e)
{
    auto_free char *project = NULL;

    if (cli->all && cli->session.project)
        return err_set(e, "--all and --project exclude each other");
    if (!cli->all && paths_project(paths, cli->session.project, &project, e) < 0)
        return -1;
    return kept_list(paths, project, out, e);
}

int cmd_sessions(struct cli *cli, struct err *e)
{
    auto_kept_sessions struct kept_sessions sessions = {0};
    auto_free char *text = NULL;
    struct paths paths;
    int rc = paths_init(&paths, e);

    if (rc == 0)
        rc = list(&paths, cli, &sessions, e);
    paths_free(&paths);
    if (rc < 0)
        return -1;
    if (cli->json)
        return cli_print_json(as_json(&sessions), e);
    text = as_table(&sessions, cli->all);
    return cli_print(text, e);
}
