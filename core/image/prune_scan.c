/* What there is to prune. */
#include <cjson/cJSON.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "image/initrd.h"
#include "image/prune.h"
#include "image/store.h"

#define LOG_SUFFIX ".log"

enum {
    STAT_BLOCK = 512, /* st_blocks counts these, whatever the file system's are */
    LOG_KEY = 8,      /* digits of a layer's key, or all of a machine's id */
};

static const char hex_digits[] = "0123456789abcdef";

static uint64_t size_of(const struct stat *st)
{
    return (uint64_t)st->st_blocks * STAT_BLOCK;
}

/* A folder and the files in it. */
static uint64_t folder_size(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    uint64_t size = 0;
    struct stat st;

    while (dir && (entry = readdir(dir)))
        if (strcmp(entry->d_name, "..") != 0 &&
            fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
            size += size_of(&st);
    if (dir)
        closedir(dir);
    return size;
}

static bool is_later(struct timespec a, struct timespec b)
{
    return a.tv_sec > b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec > b.tv_nsec);
}

int prune_last_use(enum prune_kind kind, const char *path, struct timespec *out)
{
    auto_free char *lock = mem_printf("%s/" LAYER_LOCK, path);
    struct stat st;

    if (lstat(kind == PRUNE_LAYER ? lock : path, &st) < 0 && lstat(path, &st) < 0)
        return 1;
    *out = st.st_mtim;
    if (kind == PRUNE_INITRD && is_later(st.st_atim, st.st_mtim))
        *out = st.st_atim;
    return 0;
}

bool prune_has_vanished(const char *folder)
{
    struct stat st;

    return lstat(folder, &st) < 0 && (errno == ENOENT || errno == ENOTDIR);
}

/* Whether somebody has the lock; it is not made where there is none. */
static bool is_locked(const char *path)
{
    auto_close int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

    return fd >= 0 && task_try_lock(fd) < 0;
}

/* Appends an item; NULL if it is gone already. */
static struct prune_item *add(struct prune_list *l, enum prune_kind kind, const char *label,
                              const char *folder, const char *name)
{
    auto_free char *path = mem_printf("%s/%s", folder, name);
    struct prune_item it = {.kind = kind, .label = label};

    if (prune_last_use(kind, path, &it.used) != 0)
        return NULL;
    it.path = steal_ptr(&path);
    l->v = mem_realloc(l->v, l->n + 1, sizeof(*l->v));
    l->v[l->n] = it;
    return &l->v[l->n++];
}

static struct prune_item *add_file(struct prune_list *l, enum prune_kind kind, const char *label,
                                   const char *folder, const char *name)
{
    struct prune_item *it = add(l, kind, label, folder, name);
    struct stat st;

    if (it && lstat(it->path, &st) == 0)
        it->size = size_of(&st);
    return it;
}

static bool is_key(const char *s, size_t len)
{
    return len == DIGEST_HEX && strspn(s, hex_digits) >= len;
}

/* What layer.json says.  A layer without a readable one goes when it is old, as others. */
static void read_layer(struct prune_item *it)
{
    static const char *const kinds[] = {"base", "provisioned", "warm"};
    auto_free char *path = mem_printf("%s/" LAYER_JSON, it->path);
    auto_buf struct buf text = BUF_INIT;
    const char *kind, *parent;
    cJSON *json;

    if (file_read_at(AT_FDCWD, path, LAYER_JSON_MAX, &text, NULL) != 0)
        return;
    json = cJSON_ParseWithLength(text.data, text.len);
    kind = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "kind"));
    parent = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "parent"));
    for (size_t i = 0; kind && i < ARRAY_LEN(kinds); i++)
        if (strcmp(kind, kinds[i]) == 0)
            it->label = kinds[i];
    if (parent && is_key(parent, strlen(parent)))
        snprintf(it->parent, sizeof(it->parent), "%s", parent);
    cJSON_Delete(json);
}

static void scan_layer(const struct paths *p, const char *key, struct prune_list *l)
{
    struct prune_item *it = add(l, PRUNE_LAYER, "layer", p->layers, key);
    auto_free char *lock = it ? mem_printf("%s/" LAYER_LOCK, it->path) : NULL;

    if (!it)
        return;
    snprintf(it->key, sizeof(it->key), "%s", key);
    it->size = folder_size(it->path);
    it->in_use = is_locked(lock);
    read_layer(it);
}

static void scan_maker(const struct paths *p, const char *name, struct prune_list *l)
{
    auto_free char *key = mem_dup(name, DIGEST_HEX);
    auto_free char *layer = mem_printf("%s/%s", p->layers, key);
    struct prune_item *it = NULL;

    if (access(layer, F_OK) < 0)
        it = add_file(l, PRUNE_LOCK, "lock", p->layers, name);
    if (!it)
        return;
    snprintf(it->key, sizeof(it->key), "%s", key);
    it->in_use = is_locked(it->path);
}

static void scan_store(const struct paths *p, const char *name, struct prune_list *l)
{
    size_t len = strlen(name);

    if (is_key(name, len))
        scan_layer(p, name, l);
    else if (str_ends(name, LAYER_MAKER_SUFFIX) && is_key(name, len - strlen(LAYER_MAKER_SUFFIX)))
        scan_maker(p, name, l);
}

static void scan_cache(const struct paths *p, const char *name, struct prune_list *l)
{
    char key[DIGEST_HEX + 1];
    struct prune_item *it;

    if (initrd_base(name, key) && (it = add_file(l, PRUNE_INITRD, "initrd", p->cache, name)))
        memcpy(it->key, key, sizeof(key));
}

static void scan_log(const struct paths *p, const char *name, struct prune_list *l)
{
    const char *digits = strchr(name, '-');
    struct prune_item *it;

    if (!str_ends(name, LOG_SUFFIX) || !(it = add_file(l, PRUNE_LOG, "log", p->logs, name)))
        return;
    if (digits && strspn(digits + 1, hex_digits) == LOG_KEY)
        memcpy(it->key, digits + 1, LOG_KEY);
}

static int scan_folder(const struct paths *p, const char *folder,
                       void (*each)(const struct paths *p, const char *name, struct prune_list *l),
                       struct prune_list *l, struct err *e)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;

    if (!dir)
        return err_errno(e, errno, "cannot list %s", folder);
    while ((entry = readdir(dir)))
        each(p, entry->d_name, l);
    closedir(dir);
    return 0;
}

/* Whether a layer or a makers' lock whose key begins so is in use. */
static bool has_user(const struct prune_list *l, enum prune_kind kind, const char *key)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->v[i].kind == kind && l->v[i].in_use && str_starts(l->v[i].key, key))
            return true;
    return false;
}

/* An initrd is in use with its base layer; a log while its machine runs or its layer is made. */
static void pass_use_on(struct prune_list *l, const struct strv *machines)
{
    for (size_t i = 0; i < l->n; i++) {
        struct prune_item *it = &l->v[i];

        if (it->kind == PRUNE_INITRD)
            it->in_use = has_user(l, PRUNE_LAYER, it->key);
        else if (it->kind == PRUNE_LOG && it->key[0])
            it->in_use = strv_has(machines, it->key) || has_user(l, PRUNE_LOCK, it->key);
    }
}

/* By kind, and what was not used for longest first. */
static int compare(const void *a, const void *b)
{
    const struct prune_item *x = a, *y = b;

    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    return is_later(x->used, y->used) - is_later(y->used, x->used);
}

int prune_scan(const struct paths *p, const struct strv *machines, struct prune_list *out,
               struct err *e)
{
    *out = (struct prune_list){0};
    if (scan_folder(p, p->layers, scan_store, out, e) < 0 ||
        scan_folder(p, p->cache, scan_cache, out, e) < 0 ||
        scan_folder(p, p->logs, scan_log, out, e) < 0)
        return -1;
    pass_use_on(out, machines);
    if (out->n)
        qsort(out->v, out->n, sizeof(*out->v), compare);
    return 0;
}
