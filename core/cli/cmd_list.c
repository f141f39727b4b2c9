#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "image/store.h"
#include "session/vms.h"

enum { PORTS_SHOWN = 4 }; /* in the table */

/* "3000 8080:80 +2": ports of the host, with those of the VM where they differ. */
static char *ports_text(const struct vm_info *v)
{
    struct buf out = BUF_INIT;

    for (size_t i = 0; i < v->nports && i < PORTS_SHOWN; i++) {
        buf_printf(&out, "%s%u", i ? " " : "", v->ports[i].host);
        if (v->ports[i].host != v->ports[i].guest)
            buf_printf(&out, ":%u", v->ports[i].guest);
    }
    if (v->nports > PORTS_SHOWN)
        buf_printf(&out, " +%zu", v->nports - PORTS_SHOWN);
    return v->nports ? buf_steal(&out) : mem_strdup("-");
}

static int ports_width(const struct vm_infos *vms)
{
    size_t width = strlen("PORTS");

    for (size_t i = 0; i < vms->n; i++) {
        auto_free char *text = ports_text(&vms->v[i]);

        width = strlen(text) > width ? strlen(text) : width;
    }
    return (int)width;
}

static cJSON *as_json(const struct vm_infos *vms)
{
    cJSON *list = cJSON_CreateArray();

    for (size_t i = 0; i < vms->n; i++) {
        const struct vm_info *v = &vms->v[i];
        cJSON *item = cJSON_CreateObject();

        cJSON_AddStringToObject(item, "id", v->id);
        cJSON_AddStringToObject(item, "agent", v->agent ? v->agent : "");
        cJSON_AddStringToObject(item, "project", v->project ? v->project : "");
        cJSON_AddNumberToObject(item, "started", (double)v->started);
        cJSON_AddNumberToObject(item, "cpus", v->cpus);
        cJSON_AddNumberToObject(item, "memory", (double)v->memory);
        cJSON_AddBoolToObject(item, "detached", v->detached);
        cJSON_AddNumberToObject(item, "supervisor", v->supervisor);
        cJSON_AddNumberToObject(item, "engine", v->engine);
        cJSON_AddItemToObject(item, "ports", ports_to_json(v->ports, v->nports));
        cJSON_AddItemToArray(list, item);
    }
    return list;
}

static char *as_table(const struct vm_infos *vms)
{
    struct buf out = BUF_INIT;
    time_t now = time(NULL);
    int width = ports_width(vms);

    if (vms->n > 0)
        buf_printf(&out, "%-8s  %-10s  %8s  %4s  %7s  %-*s  %s\n", "ID", "AGENT", "MINUTES", "CPUS",
                   "MEMORY", width, "PORTS", "FOLDER");
    for (size_t i = 0; i < vms->n; i++) {
        const struct vm_info *v = &vms->v[i];
        auto_free char *folder = str_quote(v->project ? v->project : "");
        auto_free char *ports = ports_text(v);

        buf_printf(&out, "%-8s  %-10s  %8ld  %4u  %6.1fG  %-*s  %s\n", v->id,
                   v->agent ? v->agent : "", (long)(now - v->started) / 60, v->cpus,
                   (double)v->memory / (1 << 30), width, ports, folder);
    }
    return buf_steal(&out);
}

int cmd_list(struct cli *cli, struct err *e)
{
    auto_vm_infos struct vm_infos vms = {0};
    auto_free char *text = NULL;
    struct paths paths;
    int rc = paths_init(&paths, e);

    if (rc == 0) {
        vms_sweep(&paths);
        store_sweep(&paths);
        rc = vms_list(&paths, NULL, &vms, e);
    }
    paths_free(&paths);
    if (rc < 0)
        return -1;
    if (cli->json)
        return cli_print_json(as_json(&vms), e);
    text = as_table(&vms);
    return cli_print(text, e);
}
