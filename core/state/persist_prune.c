/* Kept VMs and `agentvm prune`. */
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "state/persist.h"

/* Removes it if it is old, and sets what became of it. */
static void judge(const struct paths *p, int64_t cutoff, bool dry_run, struct prune_item *it)
{
    auto_err struct err why = ERR_INIT;
    int rc;

    if (it->in_use || it->used.tv_sec > cutoff)
        return;
    rc = dry_run ? 0 : persist_remove(p, it->path, &why);
    it->done = rc == 0 || rc == 1;
    it->in_use = rc == 2;
    if (rc >= 0)
        return;
    it->verdict = PRUNE_FAILED;
    log_warn("%s", err_msg(&why));
}

static struct prune_item *add_item(const struct persist *v, struct prune_list *l)
{
    struct prune_item it = {.kind = PRUNE_VM,
                            .label = "vm",
                            .path = mem_strdup(v->dir),
                            .used = {.tv_sec = (time_t)v->used},
                            .size = persist_disk_used(v),
                            .in_use = v->busy};

    snprintf(it.key, sizeof(it.key), "%s", v->id);
    l->v = mem_realloc(l->v, l->n + 1, sizeof(*l->v));
    l->v[l->n] = it;
    return &l->v[l->n++];
}

int persist_prune(const struct paths *p, int64_t cutoff, bool dry_run, struct prune_list *l,
                  struct strv *based, struct err *e)
{
    auto_persists struct persists all = {0};
    auto_err struct err why = ERR_INIT;
    size_t damaged;

    if (persist_list(p, NULL, &all, &damaged, &why) < 0 || damaged) {
        err_set(e, "%s", err_msg(&why));
        return err_advise(e, "which templates it needs is not known, so nothing was removed; "
                             "give it up with rm -r, or mend it");
    }
    for (size_t i = 0; i < all.n; i++) {
        const struct persist *v = &all.v[i];
        struct prune_item *it = prune_has_vanished(v->project) ? add_item(v, l) : NULL;

        if (it)
            judge(p, cutoff, dry_run, it);
        if (it && it->done)
            continue;
        strv_push(based, v->base);
        strv_push(based, v->provisioned);
    }
    return 0;
}
