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

#define DRAFT_PREFIX "tmp."

enum {
    SEALED_MAX = 4 << 20, /* a saved state has half of it, and takes 2 ms to read */
};

static int open_folder(const char *path, struct err *e)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 ? err_errno(e, errno, "cannot open %s", path) : fd;
}

/* Whether name is still that of the open file. */
static bool has_name(int fd, int dirfd, const char *name)
{
    struct stat open_file, named;

    return fstat(fd, &open_file) == 0 && fstatat(dirfd, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           open_file.st_dev == named.st_dev && open_file.st_ino == named.st_ino;
}

/* As file_lock_at; the file that was locked has the name when this returns. */
static int lock_named(int dirfd, const char *name, bool shared, bool wait, struct err *e)
{
    for (;;) {
        auto_close int lock = file_lock_at(dirfd, name, shared, wait, e);

        if (lock < 0 || has_name(lock, dirfd, name))
            return steal_fd(&lock);
    }
}

static char *maker_name(const char *key)
{
    return mem_printf("%s" LAYER_MAKER_SUFFIX, key);
}

char *layer_file(const struct layer *l, const char *name)
{
    return mem_printf("%s/%s", l->dir, name);
}

bool store_has(const struct paths *p, const char *key)
{
    auto_free char *json = mem_printf("%s/%s/" LAYER_JSON, p->layers, key);

    return access(json, F_OK) == 0;
}

int store_hold(const struct paths *p, const char *key, struct layer *out, struct err *e)
{
    auto_free char *dir = mem_printf("%s/%s", p->layers, key);
    auto_free char *name = mem_printf("%s/" LAYER_LOCK, dir);
    auto_close int lock = -1;

    *out = LAYER_INIT;
    if (!store_has(p, key))
        return 1;
    lock = lock_named(AT_FDCWD, name, true, true, e);
    if (!store_has(p, key)) { /* removed meanwhile */
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

int store_use(const struct paths *p, const char *key, struct layer *out, struct err *e)
{
    int rc = store_hold(p, key, out, e);

    if (rc == 0)
        futimens(out->lock, NULL); /* where it fails the layer looks older than it is: no harm */
    return rc;
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

    /* A folder of that name without its layer.json is in the way, and no layer. */
    if (dirfd < 0 || file_remove_tree_at(dirfd, name, e) < 0 ||
        file_remove_tree_at(dirfd, d->key, e) < 0)
        return -1;
    if (mkdirat(dirfd, name, 0700) < 0)
        return err_errno(e, errno, "cannot create folder %s/%s", p->layers, name);
    d->dir = mem_printf("%s/%s", p->layers, name);
    d->final = mem_printf("%s/%s", p->layers, d->key);
    return 0;
}

/* Takes the makers' lock, or waits for it, which can be interrupted. */
static int lock_maker(struct task_env *t, const struct paths *p, const char *key,
                      void (*waiting)(void *arg), void *arg, struct err *e)
{
    auto_free char *name = maker_name(key);
    auto_free char *path = mem_printf("%s/%s", p->layers, name);

    for (;;) {
        auto_close int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

        if (lock < 0)
            return err_errno(e, errno, "cannot create %s", path);
        if (task_try_lock(lock) < 0) {
            if (waiting)
                waiting(arg);
            waiting = NULL;
            if (task_lock(t, lock, e) < 0)
                return -1;
        }
        if (has_name(lock, AT_FDCWD, path))
            return steal_fd(&lock);
    }
}

int store_begin(const struct paths *p, struct task_env *t, const char *key,
                void (*waiting)(void *arg), void *arg, struct layer_draft *out, struct err *e)
{
    auto_close int lock = -1;

    *out = DRAFT_INIT;
    lock = lock_maker(t, p, key, waiting, arg, e);
    if (lock < 0)
        return -1;
    if (store_has(p, key))
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

    if (dirfd < 0 || file_write_at(dirfd, LAYER_LOCK, "", 0, 0600, e) < 0 ||
        file_write_at(dirfd, LAYER_JSON, json, strlen(json), 0400, e) < 0)
        return err_prefix(e, "%s", d->dir);
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
    int rc = file_read_at(AT_FDCWD, path, LAYER_JSON_MAX, json, e);

    return rc > 0 ? err_set(e, "%s is missing", path) : rc;
}

/* Removes a layer.  The caller holds the makers' lock, so that nobody makes the same one meanwhile,
 * or takes what is left after a crash for a layer. */
static int take_out(int dirfd, const char *key, struct err *e)
{
    auto_free char *gone = mem_printf(DRAFT_PREFIX "%s", key);

    if (file_remove_tree_at(dirfd, gone, e) < 0)
        return -1;
    if (renameat(dirfd, key, dirfd, gone) < 0)
        return err_errno(e, errno, "cannot take layer %s out of the store", key);
    return file_remove_tree_at(dirfd, gone, e);
}

void store_discard(const struct paths *p, struct task_env *t, struct layer *l)
{
    auto_free char *name = layer_file(l, LAYER_LOCK);
    auto_close int dirfd = open_folder(p->layers, NULL);
    auto_close int lock = -1;

    /* Somebody else may be as far, and have one made anew before the lock is ours. */
    if (dirfd >= 0 && has_name(l->lock, AT_FDCWD, name))
        lock = lock_maker(t, p, l->key, NULL, NULL, NULL);
    if (lock >= 0 && has_name(l->lock, AT_FDCWD, name))
        take_out(dirfd, l->key, NULL);
    layer_release(l);
}

/* Locks without waiting: 0, 1 if somebody else has it, or -1. */
static int try_lock(int dirfd, const char *name, int *lock, struct err *e)
{
    *lock = lock_named(dirfd, name, false, false, e);
    if (*lock >= 0)
        return 0;
    return e->msg ? -1 : 1;
}

int store_claim(const struct paths *p, const char *key, struct layer_claim *out, struct err *e)
{
    auto_free char *maker = maker_name(key);
    auto_free char *name = mem_printf("%s/" LAYER_LOCK, key);
    auto_claim struct layer_claim c = CLAIM_INIT;
    int rc;

    *out = CLAIM_INIT;
    snprintf(c.key, sizeof(c.key), "%s", key);
    c.layers = open_folder(p->layers, e);
    if (c.layers < 0)
        return -1;
    rc = try_lock(c.layers, maker, &c.maker, e);
    if (rc == 0 && faccessat(c.layers, key, F_OK, 0) == 0)
        rc = try_lock(c.layers, name, &c.lock, e);
    if (rc != 0)
        return rc;
    *out = c;
    c = CLAIM_INIT;
    return 0;
}

int store_remove(struct layer_claim *c, struct err *e)
{
    return take_out(c->layers, c->key, e);
}

void store_unclaim(struct layer_claim *c)
{
    auto_free char *maker = maker_name(c->key);

    if (c->maker >= 0)
        unlinkat(c->layers, maker, 0);
    close_fd(&c->lock);
    close_fd(&c->maker);
    close_fd(&c->layers);
    *c = CLAIM_INIT;
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
    auto_free char *maker = maker_name(name + strlen(DRAFT_PREFIX));
    auto_close int lock = lock_named(dirfd, maker, false, false, NULL);

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
