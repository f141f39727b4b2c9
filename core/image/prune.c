#include "image/prune.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "image/store.h"

/* ---- the decision ------------------------------------------------------------------------------
 */

static enum prune_verdict judge_alone(const struct prune_item *it, int64_t cutoff)
{
    if (it->in_use)
        return PRUNE_IN_USE;
    if (it->based)
        return PRUNE_BASED;
    if (it->kind != PRUNE_LOCK && it->used.tv_sec > cutoff)
        return PRUNE_RECENT;
    return PRUNE_GOES;
}

void prune_protect(struct prune_list *l, const struct strv *keys)
{
    for (size_t i = 0; i < l->n; i++)
        l->v[i].based = l->v[i].kind == PRUNE_LAYER && strv_has(keys, l->v[i].key);
}

static bool is_child(const struct prune_item *child, const struct prune_item *parent)
{
    return child != parent && child->kind == PRUNE_LAYER && parent->kind == PRUNE_LAYER &&
           strcmp(child->parent, parent->key) == 0;
}

static bool has_kept_child(const struct prune_list *l, const struct prune_item *parent)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->v[i].verdict != PRUNE_GOES && is_child(&l->v[i], parent))
            return true;
    return false;
}

void prune_decide(struct prune_list *l, int64_t cutoff)
{
    bool changed = true;

    for (size_t i = 0; i < l->n; i++)
        if (l->v[i].verdict != PRUNE_FAILED)
            l->v[i].verdict = judge_alone(&l->v[i], cutoff);
    while (changed) { /* each turn climbs one layer */
        changed = false;
        for (size_t i = 0; i < l->n; i++)
            if (l->v[i].verdict == PRUNE_GOES && has_kept_child(l, &l->v[i])) {
                l->v[i].verdict = PRUNE_PARENT;
                changed = true;
            }
    }
}

/* ---- the removal -------------------------------------------------------------------------------
 */

static bool has_child(const struct prune_list *l, const struct prune_item *parent)
{
    for (size_t i = 0; i < l->n; i++)
        if (!l->v[i].done && is_child(&l->v[i], parent))
            return true;
    return false;
}

static struct prune_item *find_next(struct prune_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->v[i].verdict == PRUNE_GOES && !l->v[i].done && !has_child(l, &l->v[i]))
            return &l->v[i];
    return NULL;
}

/* Whether it was not used since the scan. */
static bool is_same(const struct prune_item *it)
{
    struct timespec used;

    return prune_last_use(it->kind, it->path, &used) == 0 && used.tv_sec == it->used.tv_sec &&
           used.tv_nsec == it->used.tv_nsec;
}

static int remove_file(const struct prune_item *it, struct err *e)
{
    if (!is_same(it))
        return 1;
    if (unlink(it->path) < 0)
        return err_errno(e, errno, "cannot remove %s", it->path);
    return 0;
}

/* Who starts from an initrd has its base layer in use. */
static int remove_claimed(const struct paths *p, const struct prune_item *it, struct err *e)
{
    auto_claim struct layer_claim claim = CLAIM_INIT;
    int rc = store_claim(p, it->key, &claim, e);

    if (rc != 0)
        return rc;
    switch (it->kind) {
    case PRUNE_LAYER:
        return is_same(it) ? store_remove(&claim, e) : 1;
    case PRUNE_INITRD:
        return remove_file(it, e);
    default: /* a lock goes with the claim */
        return 0;
    }
}

/* Returns 0, 1 if it is in use after all, or -1. */
static int remove_item(const struct paths *p, const struct prune_item *it, struct err *e)
{
    return it->kind == PRUNE_LOG ? remove_file(it, e) : remove_claimed(p, it, e);
}

int prune_remove(const struct paths *p, struct prune_list *l, int64_t cutoff, bool dry_run,
                 struct err *e)
{
    struct prune_item *it;
    size_t failed = 0;

    prune_decide(l, cutoff);
    while ((it = find_next(l))) {
        auto_err struct err why = ERR_INIT;
        int rc = dry_run ? 0 : remove_item(p, it, &why);

        it->done = rc == 0;
        it->in_use = rc > 0;
        if (rc < 0) {
            it->verdict = PRUNE_FAILED;
            failed++;
            log_warn("%s", err_msg(&why));
        }
        if (rc != 0)
            prune_decide(l, cutoff);
    }
    return failed ? err_set(e, "%zu could not be removed", failed) : 0;
}

void prune_list_free(struct prune_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->v[i].path);
    free(l->v);
    *l = (struct prune_list){0};
}
