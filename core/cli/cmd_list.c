#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "model/json_text.h"
#include "state/rows.h"
#include "state/sweep.h"

enum { PORTS_SHOWN = 4 }; /* in the table */

char *cli_ports(const struct vm_info *v, size_t max)
{
    struct buf out = BUF_INIT;

    for (size_t i = 0; i < v->nports && i < max; i++) {
        buf_printf(&out, "%s%u", i ? " " : "", v->ports[i].host);
        if (v->ports[i].host != v->ports[i].guest)
            buf_printf(&out, ":%u", v->ports[i].guest);
    }
    if (v->nports > max)
        buf_printf(&out, " +%zu", v->nports - max);
    return v->nports ? buf_steal(&out) : mem_strdup("-");
}

static int ports_width(const struct vm_rows *vms)
{
    size_t width = strlen("PORTS");

    for (size_t i = 0; i < vms->n; i++) {
        auto_free char *text = cli_ports(&vms->v[i].run, PORTS_SHOWN);

        width = strlen(text) > width ? strlen(text) : width;
    }
    return (int)width;
}

cJSON *cli_vm_json(const struct vm_row *v)
{
    cJSON *item = cJSON_CreateObject();

    cJSON_AddStringToObject(item, "id", v->id);
    cJSON_AddStringToObject(item, "name", v->name);
    cJSON_AddStringToObject(item, "agent", v->agent);
    cJSON_AddItemToObject(item, "project", json_text(v->project));
    cJSON_AddStringToObject(item, "state", v->running ? "running" : "stopped");
    cJSON_AddBoolToObject(item, "kept", v->kept);
    cJSON_AddNumberToObject(item, "cpus", v->cpus);
    cJSON_AddNumberToObject(item, "memory", (double)v->memory);
    cJSON_AddNumberToObject(item, "disk", (double)v->disk);
    cJSON_AddNumberToObject(item, "disk_used", (double)v->disk_used);
    cJSON_AddBoolToObject(item, "detached", v->run.detached);
    cJSON_AddBoolToObject(item, "ssh_agent", v->run.ssh_agent);
    cJSON_AddItemToObject(item, "ports", ports_to_json(v->run.ports, v->run.nports));
    if (v->run.id) {
        cJSON_AddNumberToObject(item, "started", (double)v->run.started);
        cJSON_AddNumberToObject(item, "supervisor", v->run.supervisor);
        cJSON_AddNumberToObject(item, "engine", v->run.engine);
    }
    if (v->own.name) {
        cJSON_AddNumberToObject(item, "created", (double)v->own.created);
        cJSON_AddNumberToObject(item, "used", (double)v->own.used);
    }
    return item;
}

static cJSON *as_json(const struct vm_rows *vms)
{
    cJSON *list = cJSON_CreateArray();

    for (size_t i = 0; i < vms->n; i++)
        cJSON_AddItemToArray(list, cli_vm_json(&vms->v[i]));
    return list;
}

static char *as_table(const struct vm_rows *vms)
{
    struct buf out = BUF_INIT;
    time_t now = time(NULL);
    int width = ports_width(vms);

    if (vms->n > 0)
        buf_printf(&out, "%-8s  %-10s  %-10s  %-7s  %4s  %4s  %7s  %7s  %-*s  %s\n", "ID", "NAME",
                   "AGENT", "STATE", "AGE", "CPUS", "MEMORY", "DISK", width, "PORTS", "FOLDER");
    for (size_t i = 0; i < vms->n; i++) {
        const struct vm_row *v = &vms->v[i];
        auto_free char *folder = str_quote(v->project), *age = cli_age(v->since, now);
        auto_free char *memory = cli_size(v->memory), *disk = cli_size(v->disk_used);
        auto_free char *ports = cli_ports(&v->run, PORTS_SHOWN);

        buf_printf(&out, "%-8s  %-10s  %-10s  %-7s  %4s  %4u  %7s  %7s  %-*s  %s\n", v->id,
                   *v->name ? v->name : "-", v->agent, v->running ? "running" : "stopped", age,
                   v->cpus, memory, disk, width, ports, folder);
    }
    return buf_steal(&out);
}

int cmd_list(struct cli *cli, struct err *e)
{
    auto_vm_rows struct vm_rows vms = {0};
    auto_free char *text = NULL;
    struct paths paths;
    int rc = paths_init(&paths, e);

    if (rc == 0) {
        state_sweep(&paths);
        rc = vm_rows_list(&paths, NULL, &vms, e);
    }
    paths_free(&paths);
    if (rc < 0)
        return -1;
    if (cli->json)
        return cli_print_json(as_json(&vms), e);
    text = as_table(&vms);
    return cli_print(text, e);
}
