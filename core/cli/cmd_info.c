/* `agentvm info`: all about one VM. */
#include <cjson/cJSON.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "model/json_text.h"
#include "state/rows.h"

enum { TIME_TEXT = 32 };

static cJSON *as_json(const struct vm_row *v)
{
    cJSON *o = cli_vm_json(v);

    if (!v->own.name)
        return o;
    cJSON_AddStringToObject(o, "base_layer", v->own.base);
    cJSON_AddStringToObject(o, "provisioned_layer", v->own.provisioned);
    cJSON_AddItemToObject(o, "path", json_text(v->own.dir));
    return o;
}

static void add(struct buf *out, const char *name, const char *value)
{
    buf_printf(out, "%-12s %s\n", name, value);
}

static void add_time(struct buf *out, const char *name, int64_t when)
{
    time_t t = (time_t)when;
    char text[TIME_TEXT] = "?";
    struct tm tm;

    if (localtime_r(&t, &tm))
        strftime(text, sizeof(text), "%Y-%m-%d %H:%M", &tm);
    add(out, name, text);
}

static void add_kept(struct buf *out, const struct persist *v)
{
    auto_free char *dir = str_quote(v->dir);

    add_time(out, "created", v->created);
    add_time(out, "last used", v->used);
    add(out, "base", v->base);
    add(out, "provisioned", v->provisioned[0] ? v->provisioned : "-");
    add(out, "path", dir);
}

static char *as_text(const struct vm_row *v)
{
    auto_free char *folder = str_quote(v->project), *memory = cli_size(v->memory);
    auto_free char *size = cli_size(v->disk), *used = cli_size(v->disk_used);
    auto_free char *cpus = mem_printf("%u", v->cpus);
    auto_free char *disk = mem_printf("%s, %s of it used on the host", size, used);
    struct buf out = BUF_INIT;

    add(&out, "id", v->id);
    add(&out, "name", *v->name ? v->name : "-");
    add(&out, "state", v->running ? "running" : "stopped");
    add(&out, "kept", v->kept ? "yes" : "no");
    add(&out, "agent", v->agent);
    add(&out, "folder", folder);
    add(&out, "cpus", cpus);
    add(&out, "memory", memory);
    add(&out, "disk", disk);
    if (v->run.id) {
        auto_free char *ports = cli_ports(&v->run, SIZE_MAX);

        add_time(&out, "started", v->run.started);
        add(&out, "detached", v->run.detached ? "yes" : "no");
        add(&out, "ports", ports);
        add(&out, "ssh-agent", v->run.ssh_agent ? "forwarded" : "-");
    }
    if (v->own.name)
        add_kept(&out, &v->own);
    return buf_steal(&out);
}

/* The VM that the word names, or the only one of the folder. */
static const struct vm_row *choose(const struct vm_rows *l, const char *word, const char *project,
                                   struct err *e)
{
    auto_buf struct buf ids = BUF_INIT;
    const struct vm_row *found = word ? vm_rows_find(l, word, project) : NULL;
    size_t n = 0;

    for (size_t i = 0; i < l->n && !word; i++) {
        if (strcmp(l->v[i].project, project) != 0)
            continue;
        found = &l->v[i];
        buf_printf(&ids, " %s", found->id);
        n++;
    }
    if (found && n <= 1)
        return found;
    if (word)
        err_set(e, "there is no VM %s", word);
    else if (n == 0)
        err_set(e, "this folder has no VM, neither running nor kept");
    else
        err_set(e, "this folder has several VMs:%s", ids.data);
    err_advise(e, n ? "name one of them" : "see agentvm list");
    return NULL;
}

static int info(const struct paths *p, const struct cli *cli, struct err *e)
{
    auto_vm_rows struct vm_rows all = {0};
    auto_free char *project = NULL, *text = NULL;
    const struct vm_row *v;

    if (cli->words[0] && cli->words[1])
        return err_set(e, "info: unexpected argument %s", cli->words[1]);
    if (paths_project(p, cli->session.project, &project, cli->words[0] ? NULL : e) < 0 &&
        !cli->words[0])
        return -1;
    if (vm_rows_list(p, NULL, &all, e) < 0 || !(v = choose(&all, cli->words[0], project, e)))
        return -1;
    if (cli->json)
        return cli_print_json(as_json(v), e);
    text = as_text(v);
    return cli_print(text, e);
}

int cmd_info(struct cli *cli, struct err *e)
{
    struct paths paths;
    int rc = paths_init(&paths, e);

    if (rc == 0)
        rc = info(&paths, cli, e);
    paths_free(&paths);
    return rc;
}
