#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "cli/cli.h"

static const char *kind_name(const struct plugin *p)
{
    return p->kind == PLUGIN_AGENT ? "agent" : "tool";
}

static cJSON *to_json(const struct plugin *p)
{
    cJSON *item = cJSON_CreateObject();
    cJSON *options = cJSON_CreateArray();
    auto_free char *abi = mem_printf("%u.%u", p->abi_major, p->abi_minor);

    cJSON_AddStringToObject(item, "name", p->name);
    cJSON_AddStringToObject(item, "kind", kind_name(p));
    cJSON_AddStringToObject(item, "version", p->version);
    cJSON_AddStringToObject(item, "abi", abi);
    cJSON_AddStringToObject(item, "summary", p->summary);
    cJSON_AddStringToObject(item, "path", p->path);
    for (size_t i = 0; i < p->noptions; i++) {
        cJSON *option = cJSON_CreateObject();

        cJSON_AddStringToObject(option, "name", p->options[i].name);
        if (p->options[i].default_value)
            cJSON_AddStringToObject(option, "default", p->options[i].default_value);
        cJSON_AddStringToObject(option, "help", p->options[i].help);
        cJSON_AddBoolToObject(option, "sensitive", p->options[i].sensitive);
        cJSON_AddItemToArray(options, option);
    }
    cJSON_AddItemToObject(item, "options", options);
    return item;
}

static int print_json(cJSON *json, struct err *e)
{
    auto_free char *text = cJSON_Print(json);

    cJSON_Delete(json);
    return cli_print(text, e) < 0 || cli_print("\n", e) < 0 ? -1 : 0;
}

static void describe(const struct plugin *p, struct buf *out)
{
    buf_printf(out, "name=%s\nkind=%s\nversion=%s\nabi=%u.%u\nsummary=%s\npath=%s\n", p->name,
               kind_name(p), p->version, p->abi_major, p->abi_minor, p->summary, p->path);
    buf_printf(out, "hooks=%s%s%s\n", p->has_provision ? "provision " : "",
               p->has_auth ? "auth " : "", p->has_launch ? "launch" : "");
    for (size_t i = 0; i < p->noptions; i++)
        buf_printf(out, "option=%s (default %s) %s\n", p->options[i].name,
                   p->options[i].default_value ? p->options[i].default_value : "none",
                   p->options[i].help);
}

static int check(struct cli *cli, const char *file, struct err *e)
{
    auto_buf struct buf out = BUF_INIT;
    auto_free char *path = realpath(file, NULL);
    struct plugin p = {0};
    int rc;

    if (plugin_inspect(path ? path : file, &p, e) < 0)
        return -1;
    describe(&p, &out);
    rc = cli->json ? print_json(to_json(&p), e) : cli_print(out.data, e);
    plugin_free(&p);
    return rc;
}

static int print_list(struct cli *cli, const struct plugin_list *list, struct err *e)
{
    auto_buf struct buf out = BUF_INIT;
    cJSON *array = cJSON_CreateArray();

    buf_puts(&out, "");
    for (size_t i = 0; i < list->n; i++) {
        const struct plugin *p = &list->plugins[i];

        cJSON_AddItemToArray(array, to_json(p));
        buf_printf(&out, "%-14s %-6s %-10s %s\n", p->name, kind_name(p), p->version, p->summary);
    }
    for (size_t i = 0; i < list->nfaults; i++)
        log_warn("%s: %s", list->faults[i].path, list->faults[i].why);
    if (cli->json)
        return print_json(array, e);
    cJSON_Delete(array);
    return cli_print(out.data, e);
}

static int list_plugins(struct cli *cli, struct err *e)
{
    struct plugin_list list = {0};
    struct paths paths;
    int rc = paths_init(&paths, e);

    if (rc == 0)
        rc = plugin_scan(&paths, &list, e);
    if (rc == 0)
        rc = print_list(cli, &list, e);
    plugin_list_free(&list);
    paths_free(&paths);
    return rc;
}

int cmd_plugin(struct cli *cli, struct err *e)
{
    char *const *w = cli->words;

    if (w[0] && strcmp(w[0], "list") == 0 && (!w[1] || strcmp(w[1], "--json") == 0)) {
        cli->json = cli->json || w[1];
        return list_plugins(cli, e);
    }
    if (w[0] && strcmp(w[0], "check") == 0 && w[1] && !w[2])
        return check(cli, w[1], e);
    err_set(e, "plugin needs: list, or check FILE");
    return err_advise(e, "see agentvm help plugin");
}
