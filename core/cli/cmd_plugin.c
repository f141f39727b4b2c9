#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "model/show.h"
#include "plugin/scaffold.h"

static const char *kind_name(const struct plugin *p)
{
    return p->kind == PLUGIN_AGENT ? "agent" : "tool";
}

static cJSON *to_json(const struct plugin *p)
{
    cJSON *item = cJSON_CreateObject();
    cJSON *hooks = cJSON_AddArrayToObject(item, "hooks");
    cJSON *options = cJSON_AddArrayToObject(item, "options");
    auto_free char *abi = mem_printf("%u.%u", p->abi_major, p->abi_minor);

    cJSON_AddStringToObject(item, "name", p->name);
    cJSON_AddStringToObject(item, "kind", kind_name(p));
    cJSON_AddStringToObject(item, "version", p->version);
    cJSON_AddStringToObject(item, "abi", abi);
    cJSON_AddStringToObject(item, "summary", p->summary);
    cJSON_AddStringToObject(item, "path", p->path);
    for (int i = 0; i < PLAN_PHASES; i++)
        if (p->has_hook[i])
            cJSON_AddItemToArray(hooks, cJSON_CreateString(plan_phase_name((enum plan_phase)i)));
    for (size_t i = 0; i < p->noptions; i++) {
        cJSON *option = cJSON_CreateObject();

        cJSON_AddStringToObject(option, "name", p->options[i].name);
        if (p->options[i].default_value)
            cJSON_AddStringToObject(option, "default", p->options[i].default_value);
        cJSON_AddStringToObject(option, "help", p->options[i].help);
        cJSON_AddBoolToObject(option, "sensitive", p->options[i].sensitive);
        cJSON_AddItemToArray(options, option);
    }
    return item;
}

static void describe_option(const struct plugin_option *o, struct buf *out)
{
    buf_printf(out, "option.%s.help=%s\noption.%s.sensitive=%s\n", o->name, o->help, o->name,
               o->sensitive ? "yes" : "no");
    if (o->default_value) {
        auto_free char *shown = show_text(o->default_value, 0);

        buf_printf(out, "option.%s.default=%s\n", o->name, shown);
    }
}

/* One key=value a line; agentvm-plugin(3) promises the keys. */
static void describe(const struct plugin *p, struct buf *out)
{
    auto_free char *path = show_text(p->path, 0);
    const char *separator = "";

    buf_printf(out, "name=%s\nkind=%s\nversion=%s\nabi=%u.%u\nsummary=%s\npath=%s\nhooks=", p->name,
               kind_name(p), p->version, p->abi_major, p->abi_minor, p->summary, path);
    for (int i = 0; i < PLAN_PHASES; i++)
        if (p->has_hook[i]) {
            buf_printf(out, "%s%s", separator, plan_phase_name((enum plan_phase)i));
            separator = " ";
        }
    buf_puts(out, "\noptions=");
    for (size_t i = 0; i < p->noptions; i++)
        buf_printf(out, "%s%s", i ? " " : "", p->options[i].name);
    buf_puts(out, "\n");
    for (size_t i = 0; i < p->noptions; i++)
        describe_option(&p->options[i], out);
}

static int print_plugin(struct cli *cli, const struct plugin *p, struct err *e)
{
    auto_buf struct buf out = BUF_INIT;

    if (cli->json)
        return cli_print_json(to_json(p), e);
    describe(p, &out);
    return cli_print(out.data, e);
}

/* ---- info ----------------------------------------------------------------------------------- */

static int find_named(const char *name, struct plugin *out, struct err *e)
{
    struct paths paths;
    int rc = paths_init(&paths, e);

    if (rc == 0) {
        rc = plugin_find(&paths, name, PLUGIN_ANY, out, e);
        paths_free(&paths);
    }
    return rc;
}

static int show_info(struct cli *cli, const char *word, struct err *e)
{
    bool is_file = strchr(word, '/') || str_ends(word, ".so");
    struct plugin p = {0};
    int rc = is_file ? plugin_inspect(word, &p, e) : find_named(word, &p, e);

    if (rc == 0)
        rc = print_plugin(cli, &p, e);
    plugin_free(&p);
    return rc;
}

/* ---- check ---------------------------------------------------------------------------------- */

static void add_lines(cJSON *o, const char *key, const struct strv *lines)
{
    cJSON *list = cJSON_AddArrayToObject(o, key);

    for (size_t i = 0; i < lines->n; i++)
        cJSON_AddItemToArray(list, cJSON_CreateString(lines->v[i]));
}

static cJSON *report_to_json(const char *file, const struct plugin_report *r)
{
    cJSON *o = cJSON_CreateObject();

    cJSON_AddStringToObject(o, "path", r->plugin.path ? r->plugin.path : file);
    cJSON_AddBoolToObject(o, "ok", r->faults.n == 0);
    add_lines(o, "faults", &r->faults);
    add_lines(o, "notes", &r->notes);
    if (r->plugin.name)
        cJSON_AddItemToObject(o, "plugin", to_json(&r->plugin));
    return o;
}

static int print_report(struct cli *cli, const char *file, const struct plugin_report *r,
                        struct err *e)
{
    auto_free char *shown = show_text(file, 0);
    int rc = 0;

    for (size_t i = 0; i < r->notes.n; i++)
        log_info("%s: note: %s", shown, r->notes.v[i]);
    for (size_t i = 0; i < r->faults.n; i++)
        log_error("%s: %s", shown, r->faults.v[i]);
    if (cli->json)
        rc = cli_print_json(report_to_json(file, r), e);
    else if (r->faults.n == 0)
        rc = print_plugin(cli, &r->plugin, e);
    if (rc < 0 || r->faults.n == 0)
        return rc;
    err_set(e, "%s: %zu fault%s", shown, r->faults.n, r->faults.n == 1 ? "" : "s");
    return err_advise(e, "agentvm-plugin(3) has the rules");
}

static int check(struct cli *cli, const char *file, struct err *e)
{
    struct plugin_report report;
    int rc;

    plugin_check(file, &report);
    rc = print_report(cli, file, &report, e);
    plugin_report_free(&report);
    return rc;
}

/* ---- new ------------------------------------------------------------------------------------ */

static int make_new(const char *name, const char *folder, struct err *e)
{
    auto_buf struct buf out = BUF_INIT;
    auto_free char *made = NULL, *quoted = NULL;

    if (scaffold_make(name, folder, &made, e) < 0)
        return -1;
    quoted = str_quote(made);
    buf_printf(&out,
               "made %s; next:\n  cd %s\n  make test check     # needs no VM\n"
               "  make install && agentvm plan --agent %s\n",
               quoted, quoted, name);
    return cli_print(out.data, e);
}

/* ---- list ----------------------------------------------------------------------------------- */

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
        return cli_print_json(array, e);
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
    const char *verb = w[0] ? w[0] : "";

    if (strcmp(verb, "list") == 0 && !w[1])
        return list_plugins(cli, e);
    if (strcmp(verb, "info") == 0 && w[1] && !w[2])
        return show_info(cli, w[1], e);
    if (strcmp(verb, "check") == 0 && w[1] && !w[2])
        return check(cli, w[1], e);
    if (strcmp(verb, "new") == 0 && w[1] && (!w[2] || !w[3]) && !cli->json)
        return make_new(w[1], w[2], e);
    err_set(e, "plugin needs: list, info NAME|FILE, check FILE, or new NAME [DIR]");
    return err_advise(e, "see agentvm help plugin");
}
