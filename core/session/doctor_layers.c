/* Layers of templates that are not whole. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "image/prune.h"
#include "session/doctor.h"

#define GIB ((double)(1 << 30))

enum { FILES_MAX = 3, KEY_SHOWN = 12 };

/* What a layer of a kind must have, by the names that prune_scan gives the kinds; a warm one has a
 * seal over its files. */
static const struct kind {
    const char *name;
    const char *files[FILES_MAX];
} kinds[] = {
    {"base", {BASE_ROOTFS, BASE_KERNEL, BASE_INITRD}},
    {"provisioned", {TEMPLATE_DISK}},
};

/* A file that the layer lacks, or NULL. */
static const char *missing_file(const struct prune_item *it)
{
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
        for (size_t i = 0; i < FILES_MAX && strcmp(kinds[k].name, it->label) == 0; i++) {
            const char *name = kinds[k].files[i];
            auto_free char *path = name ? mem_printf("%s/%s", it->path, name) : NULL;
            struct stat st;

            if (path && (lstat(path, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size == 0))
                return name;
        }
    return NULL;
}

static bool has_layer(const struct prune_list *l, const char *key)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->v[i].kind == PRUNE_LAYER && strcmp(l->v[i].key, key) == 0)
            return true;
    return false;
}

/* Why the layer is no good, for the caller to free; NULL if it is. */
static char *find_damage(const struct prune_list *l, const struct prune_item *it)
{
    const char *missing = missing_file(it);

    if (strcmp(it->label, "layer") == 0)
        return mem_printf("its %s is missing or says nothing", LAYER_JSON);
    if (missing)
        return mem_printf("its file %s is missing or empty", missing);
    if (it->parent[0] && !has_layer(l, it->parent))
        return mem_printf("layer %.*s that it is made from is gone", KEY_SHOWN, it->parent);
    return NULL;
}

/* Returns whether the layer is good.  A saved machine that is not costs a slower start at most. */
static bool examine_layer(const struct prune_list *l, const struct prune_item *it,
                          struct findings *f)
{
    auto_free char *damage = find_damage(l, it);
    auto_free char *quoted = str_quote(it->path);
    auto_free char *fix = mem_printf("rm -r %s", quoted);
    struct layer layer = {.dir = it->path, .lock = -1};
    auto_err struct err e = ERR_INIT;

    if (damage) {
        finding_add(f, FINDING_PROBLEM, fix, "%s layer %.*s is damaged: %s", it->label, KEY_SHOWN,
                    it->key, damage);
        return false;
    }
    if (strcmp(it->label, "warm") != 0 || warm_check(&layer, &e) == 0)
        return true;
    finding_add(f, FINDING_WARNING, fix,
                "warm layer %.*s cannot be used and is made anew when it is needed: %s", KEY_SHOWN,
                it->key, err_msg(&e));
    return false;
}

void doctor_examine_layers(const struct paths *p, struct findings *f)
{
    static const struct strv nobody = STRV_INIT; /* whether one is in use does not matter */
    auto_prune_list struct prune_list list = {0};
    auto_err struct err e = ERR_INIT;
    uint64_t size = 0;
    size_t good = 0, bad = 0;

    if (prune_scan(p, &nobody, &list, &e) < 0) {
        finding_error(f, FINDING_PROBLEM, NULL, &e);
        return;
    }
    for (size_t i = 0; i < list.n; i++) {
        bool is_layer = list.v[i].kind == PRUNE_LAYER;
        bool is_good = is_layer && examine_layer(&list, &list.v[i], f);

        size += is_layer ? list.v[i].size : 0;
        good += is_good;
        bad += is_layer && !is_good;
    }
    if (good || !bad)
        finding_ok(f, "%zu whole, %.1fG of disk in all", good, (double)size / GIB);
}
