#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "image/prune.h"
#include "model/json_text.h"
#include "state/local_image.h"
#include "state/sweep.h"
#include "state/vms.h"

enum {
    DAYS_DEFAULT = 14,
    DAYS_MAX = 3650,
    DAY_S = 24 * 60 * 60,
    KEY_SHOWN = 12, /* digits; enough to tell layers apart */
};

static int parse_days(const struct cli *cli, uint64_t *days, struct err *e)
{
    *days = cli->all ? 0 : DAYS_DEFAULT;
    if (!cli->older_than)
        return 0;
    if (cli->all)
        return err_set(e, "--all and --older-than exclude each other");
    if (str_to_u64(cli->older_than, 0, DAYS_MAX, days) == 0)
        return 0;
    err_set(e, "--older-than %s: not a number of days from 0 to %d", cli->older_than, DAYS_MAX);
    return err_advise(e, "write for instance --older-than %d", DAYS_DEFAULT);
}

/* ---- JSON --------------------------------------------------------------------------------------
 */

static cJSON *item_json(const struct prune_item *it)
{
    static const char *const why[] = {[PRUNE_IN_USE] = "in-use",
                                      [PRUNE_RECENT] = "recent",
                                      [PRUNE_PARENT] = "parent",
                                      [PRUNE_BASED] = "kept-vm",
                                      [PRUNE_FAILED] = "failed"};
    cJSON *o = cJSON_CreateObject();

    cJSON_AddStringToObject(o, "kind", it->label);
    cJSON_AddStringToObject(o, "key", it->key);
    cJSON_AddItemToObject(o, "path", json_text(it->path));
    cJSON_AddNumberToObject(o, "used", (double)it->used.tv_sec);
    cJSON_AddNumberToObject(o, "size", (double)it->size);
    if (!it->done && it->verdict != PRUNE_GOES)
        cJSON_AddStringToObject(o, "why", why[it->verdict]);
    return o;
}

static cJSON *list_json(const struct prune_list *l, bool dry_run, uint64_t total)
{
    cJSON *root = cJSON_CreateObject();
    cJSON *removed, *kept;

    cJSON_AddBoolToObject(root, "dry_run", dry_run);
    removed = cJSON_AddArrayToObject(root, "removed");
    kept = cJSON_AddArrayToObject(root, "kept");
    for (size_t i = 0; i < l->n; i++)
        cJSON_AddItemToArray(l->v[i].done ? removed : kept, item_json(&l->v[i]));
    cJSON_AddNumberToObject(root, "size", (double)total);
    return root;
}

/* ---- text --------------------------------------------------------------------------------------
 */

static char *list_text(const struct prune_list *l, bool dry_run, uint64_t total, time_t now)
{
    auto_free char *sum = cli_size(total);
    struct buf out = BUF_INIT;
    size_t n = 0;

    for (size_t i = 0; i < l->n; i++) {
        const struct prune_item *it = &l->v[i];
        auto_free char *size = cli_size(it->size);
        auto_free char *age = cli_age(it->used.tv_sec, now);

        if (!it->done)
            continue;
        if (n++ == 0)
            buf_printf(&out, "%-11s  %-*s  %6s  %8s\n", "KIND", KEY_SHOWN, "KEY", "AGE", "SIZE");
        buf_printf(&out, "%-11s  %-*.*s  %6s  %8s\n", it->label, KEY_SHOWN, KEY_SHOWN, it->key, age,
                   size);
    }
    if (n == 0)
        buf_puts(&out, "nothing to remove\n");
    else
        buf_printf(&out, "%s %zu, %s in all\n", dry_run ? "would remove" : "removed", n, sum);
    return buf_steal(&out);
}

/* With -v. */
static void tell_kept(const struct prune_list *l, time_t now)
{
    static const char *const why[] = {[PRUNE_IN_USE] = "in use",
                                      [PRUNE_RECENT] = "used lately",
                                      [PRUNE_PARENT] = "a layer that stays is made from it",
                                      [PRUNE_BASED] = "a kept VM's disk is based on it",
                                      [PRUNE_FAILED] = "could not be removed"};

    for (size_t i = 0; i < l->n; i++) {
        const struct prune_item *it = &l->v[i];
        auto_free char *age = cli_age(it->used.tv_sec, now);

        if (!it->done && it->verdict != PRUNE_GOES)
            log_debug("kept: %s %.*s, last used %s ago: %s", it->label, KEY_SHOWN, it->key, age,
                      why[it->verdict]);
    }
}

/* ---- the command -------------------------------------------------------------------------------
 */

static int find_machines(const struct paths *p, struct strv *ids, struct err *e)
{
    auto_vm_infos struct vm_infos vms = {0};

    if (vms_list(p, NULL, &vms, e) < 0)
        return -1;
    for (size_t i = 0; i < vms.n; i++)
        strv_push(ids, vms.v[i].id);
    return 0;
}

static int prune(const struct paths *p, const struct cli *cli, struct prune_list *list, time_t now,
                 struct err *e)
{
    auto_strv struct strv machines = STRV_INIT, based = STRV_INIT;
    int64_t cutoff;
    uint64_t days;

    if (parse_days(cli, &days, e) < 0)
        return -1;
    if (!cli->dry_run) {
        state_sweep(p);
    }
    cutoff = days ? now - (int64_t)days * DAY_S : PRUNE_ALL;
    if (find_machines(p, &machines, e) < 0 || prune_scan(p, &machines, list, e) < 0)
        return -1;
    if (persist_prune(p, cutoff, cli->dry_run, list, &based, e) < 0) {
        prune_list_free(list);
        return -1;
    }
    local_image_prune(p, cutoff, cli->dry_run, list);
    prune_protect(list, &based);
    return prune_remove(p, list, cutoff, cli->dry_run, e);
}

static int print(const struct prune_list *l, const struct cli *cli, time_t now, struct err *e)
{
    auto_free char *text = NULL;
    uint64_t total = 0;

    for (size_t i = 0; i < l->n; i++)
        total += l->v[i].done ? l->v[i].size : 0;
    tell_kept(l, now);
    if (cli->json)
        return cli_print_json(list_json(l, cli->dry_run, total), e);
    text = list_text(l, cli->dry_run, total, now);
    return cli_print(text, e);
}

int cmd_prune(struct cli *cli, struct err *e)
{
    auto_prune_list struct prune_list list = {0};
    time_t now = time(NULL);
    struct paths paths;
    int rc;

    if (paths_init(&paths, e) < 0)
        return -1;
    rc = prune(&paths, cli, &list, now, e);
    paths_free(&paths);
    /* What was removed is told even where something else could not be. */
    if (rc < 0 && list.n == 0)
        return -1;
    return print(&list, cli, now, rc < 0 ? NULL : e) < 0 || rc < 0 ? -1 : 0;
}
