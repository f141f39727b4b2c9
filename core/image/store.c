#include "image/store.h"

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

#define LAYER_JSON "layer.json"
#define LAYER_LOCK "lock"
#define LOCK_SUFFIX ".lock"
#define DRAFT_PREFIX "tmp."

enum {
    JSON_MAX = 65536,
    SEALED_MAX = 4 << 20, /* a saved state has half of it, and takes 2 ms to read */
};

static int open_folder(const char *path, struct err *e)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 ? err_errno(e, errno, "cannot open %s", path) : fd;
}

char *layer_file(const struct layer *l, const char *name)
{
    return mem_printf("%s/%s", l->dir, name);
}

int store_use(const struct paths *p, const char *key, struct layer *out, struct err *e)
{
    auto_free char *dir = mem_printf("%s/%s", p->layers, key);
    auto_free char *json = mem_printf("%s/" LAYER_JSON, dir);
    auto_close int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    auto_close int lock = -1;

    *out = LAYER_INIT;
    if (dirfd < 0 && errno == ENOENT)
        return 1;
    if (dirfd < 0)
        return err_errno(e, errno, "cannot open layer %s", dir);
    lock = file_lock_at(dirfd, LAYER_LOCK, true, true, e);
    if (access(json, F_OK) < 0) { /* removed between open and lock */
        err_clear(e);
        return 1;
    }
    if (lock < 0)
        return -1;
    snprintf(out->key, sizeof(out->key), "%s", key);
    out->dir = steal_ptr(&dir);
    out->lock = steal_fd(&lock);
    return 0;
}

void layer_release(struct layer *l)
{
    close_fd(&l->lock);
    free(l->dir);
    *l = LAYER_INIT;
}

static int make_draft(const struct paths *p, struct layer_draft *d, struct err *e)
{
    auto_free char *name = mem_printf(DRAFT_PREFIX "%s", d->key);
    auto_close int dirfd = open_folder(p->layers, e);

    if (dirfd < 0 || file_remove_tree_at(dirfd, name, e) < 0)
        return -1;
    if (mkdirat(dirfd, name, 0700) < 0)
        return err_errno(e, errno, "cannot create folder %s/%s", p->layers, name);
    d->dir = mem_printf("%s/%s", p->layers, name);
    d->final = mem_printf("%s/%s", p->layers, d->key);
    return 0;
}

int store_begin(const struct paths *p, struct task_env *t, const char *key,
                void (*waiting)(void *arg), void *arg, struct layer_draft *out, struct err *e)
{
    auto_free char *lock_name = mem_printf("%s" LOCK_SUFFIX, key);
    auto_free char *final = mem_printf("%s/%s", p->layers, key);
    auto_close int dirfd = open_folder(p->layers, e);
    auto_close int lock = -1;

    *out = DRAFT_INIT;
    if (dirfd < 0)
        return -1;
    lock = openat(dirfd, lock_name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock < 0)
        return err_errno(e, errno, "cannot create %s/%s", p->layers, lock_name);
    if (task_try_lock(lock) < 0) {
        if (waiting)
            waiting(arg);
        if (task_lock(t, lock, e) < 0)
            return -1;
    }
    if (access(final, F_OK) == 0)
        return 1;
    snprintf(out->key, sizeof(out->key), "%s", key);
    out->lock = steal_fd(&lock);
    if (make_draft(p, out, e) < 0) {
        store_abandon(out);
        return -1;
    }
    return 0;
}

int store_commit(struct layer_draft *d, const char *json, struct err *e)
{
    auto_close int dirfd = open_folder(d->dir, e);

    if (dirfd < 0 || file_write_at(dirfd, LAYER_JSON, json, strlen(json), 0400, e) < 0)
        return -1;
    if (syncfs(dirfd) < 0 || rename(d->dir, d->final) < 0)
        return err_errno(e, errno, "cannot complete layer %s", d->final);
    free(steal_ptr(&d->dir));
    store_abandon(d);
    return 0;
}

void store_abandon(struct layer_draft *d)
{
    if (d->dir)
        file_remove_tree_at(AT_FDCWD, d->dir, NULL);
    free(d->dir);
    free(d->final);
    close_fd(&d->lock);
    *d = DRAFT_INIT;
}

int store_read(const struct layer *l, struct buf *json, struct err *e)
{
    auto_free char *path = layer_file(l, LAYER_JSON);
    int rc = file_read_at(AT_FDCWD, path, JSON_MAX, json, e);

    return rc > 0 ? err_set(e, "%s is missing", path) : rc;
}

/* Whether the store still has this very layer, and not one that was made anew since. */
static bool is_current(int dirfd, const struct layer *l)
{
    auto_free char *name = mem_printf("%s/" LAYER_LOCK, l->key);
    struct stat mine, now;

    return fstat(l->lock, &mine) == 0 && fstatat(dirfd, name, &now, AT_SYMLINK_NOFOLLOW) == 0 &&
           mine.st_dev == now.st_dev && mine.st_ino == now.st_ino;
}

/* Under the makers' lock, so that nobody makes the same layer meanwhile. */
void store_discard(const struct paths *p, struct task_env *t, struct layer *l)
{
    auto_free char *name = mem_printf("%s" LOCK_SUFFIX, l->key);
    auto_free char *gone = mem_printf(DRAFT_PREFIX "%s", l->key);
    auto_close int dirfd = open_folder(p->layers, NULL);
    auto_close int lock = -1;

    if (dirfd >= 0 && is_current(dirfd, l))
        lock = openat(dirfd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    /* Somebody else may be as far, and have one made anew before the lock is ours. */
    if (lock >= 0 && (task_try_lock(lock) == 0 || task_lock(t, lock, NULL) == 0) &&
        is_current(dirfd, l) && file_remove_tree_at(dirfd, gone, NULL) == 0 &&
        renameat(dirfd, l->key, dirfd, gone) == 0)
        file_remove_tree_at(dirfd, gone, NULL);
    layer_release(l);
}

static int seal_file(struct digest *d, int dirfd, const char *name, struct err *e)
{
    auto_close int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    auto_free char *facts = NULL;
    auto_buf struct buf content = BUF_INIT;
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return err_errno(e, errno, "cannot open %s", name);
    facts = mem_printf("%lld %llu %lld.%09ld %lld.%09ld", (long long)st.st_size,
                       (unsigned long long)st.st_ino, (long long)st.st_mtim.tv_sec,
                       st.st_mtim.tv_nsec, (long long)st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
    digest_str(d, name, facts);
    if (st.st_size > SEALED_MAX)
        return 0;
    if (file_read_fd(fd, SEALED_MAX, &content, e) < 0)
        return err_prefix(e, "%s", name);
    digest_field(d, "content", content.data, content.len);
    return 0;
}

int store_seal(const char *dir, const char *const *names, char hex[DIGEST_HEX + 1], struct err *e)
{
    auto_close int dirfd = open_folder(dir, e);
    struct digest *d = dirfd < 0 ? NULL : digest_new();
    int rc = d ? 0 : -1;

    for (; rc == 0 && *names; names++)
        rc = seal_file(d, dirfd, *names, e);
    if (d)
        digest_final(d, rc == 0 ? hex : NULL);
    return rc;
}

/* Removes the draft of key if nobody makes it. */
static void sweep_draft(int dirfd, const char *name)
{
    auto_free char *lock_name = mem_printf("%s" LOCK_SUFFIX, name + strlen(DRAFT_PREFIX));
    auto_close int lock = file_lock_at(dirfd, lock_name, false, false, NULL);

    if (lock >= 0)
        file_remove_tree_at(dirfd, name, NULL);
}

void store_sweep(const struct paths *p)
{
    DIR *dir = opendir(p->layers);
    struct dirent *entry;

    while (dir && (entry = readdir(dir)))
        if (str_starts(entry->d_name, DRAFT_PREFIX))
            sweep_draft(dirfd(dir), entry->d_name);
    if (dir)
        closedir(dir);
}

int store_check_space(const struct paths *p, uint64_t bytes, const char *what, struct err *e)
{
    if (file_check_space(p->layers, bytes, what, e) == 0)
        return 0;
    return err_advise(e, "free some space, or point XDG_DATA_HOME at a larger disk");
}
