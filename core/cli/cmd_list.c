#include <cjson/cJSON.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "image/store.h"
#include "session/vms.h"

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
        cJSON_AddItemToArray(list, item);
    }
    return list;
}

static char *as_table(const struct vm_infos *vms)
{
    struct buf out = BUF_INIT;
    time_t now = time(NULL);

    if (vms->n > 0)
        buf_printf(&out, "%-8s  %-10s  %8s  %4s  %7s  %s\n", "ID", "AGENT", "MINUTES", "CPUS",
                   "MEMORY", "FOLDER");
    for (size_t i = 0; i < vms->n; i++) {
        const struct vm_info *v = &vms->v[i];
        auto_free char *folder = str_quote(v->project ? v->project : "");

        buf_printf(&out, "%-8s  %-10s  %8ld  %4u  %6.1fG  %s\n", v->id, v->agent ? v->agent : "",
                   (long)(now - v->started) / 60, v->cpus, (double)v->memory / (1 << 30), folder);
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
