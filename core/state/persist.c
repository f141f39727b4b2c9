#include "state/persist.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "state/vms.h"
#include "vm/qcow2.h"

enum { JSON_MAX = 65536, STAT_BLOCK = 512, ID_TRIES = 100 };

/* Folders of projects have the form of keys, those of running VMs that of ids. */
static bool is_project_key(const char *s)
{
    return strlen(s) == DIGEST_HEX && strspn(s, "0123456789abcdef") == DIGEST_HEX;
}

static int open_folder(const char *path)
{
    return open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Reads vm.json, and checks that it is about this folder. */
static int read_json(const struct paths *p, int folder, const char *dir, struct persist *out,
                     struct err *e)
{
    auto_buf struct buf text = BUF_INIT;
    auto_free char *right = NULL;
    int rc = file_read_at(folder, PATHS_KEPT_VM_JSON, JSON_MAX, &text, e);

    *out = PERSIST_INIT;
    if (rc != 0)
        return rc < 0 ? -1 : err_set(e, "%s is missing", PATHS_KEPT_VM_JSON);
    if (persist_parse(text.data, text.len, out, e) < 0)
        return -1;
    right = paths_kept_vm(p, out->project, out->name);
    if (strcmp(right, dir) != 0) {
        persist_free(out);
        return err_set(e, "%s is about another VM", PATHS_KEPT_VM_JSON);
    }
    out->dir = mem_strdup(dir);
    return 0;
}

/* Locks the folder's lock: a descriptor, or -1 with EWOULDBLOCK and no error if somebody has it. */
static int lock_vm(int folder, struct err *e)
{
    return file_lock_at(folder, PATHS_VM_LOCK, false, false, e);
}

static int advise_reset(const char *dir, int rc, struct err *e)
{
    if (rc >= 0)
        return rc;
    err_prefix(e, "kept VM %s", dir);
    return err_advise(e, "make it anew with --reset, or give it up with agentvm rm");
}

static int take_locked(const struct paths *p, const char *dir, struct persist *out, struct err *e)
{
    auto_close int folder = open_folder(dir);
    int lock;

    if (folder < 0)
        return errno == ENOENT ? 1 : err_errno(e, errno, "cannot open it");
    if (read_json(p, folder, dir, out, e) < 0)
        return -1;
    lock = lock_vm(folder, e);
    if (lock >= 0) {
        out->lock = lock;
        persist_sign(lock, p);
        return 0;
    }
    if (errno == EWOULDBLOCK) {
        out->busy = true;
        persist_read_holder(folder, out);
        return 2;
    }
    persist_free(out);
    return -1;
}

int persist_take(const struct paths *p, const char *project, const char *name, struct persist *out,
                 struct err *e)
{
    auto_close int vms = vms_lock(p, e);
    auto_free char *dir = paths_kept_vm(p, project, name);

    *out = PERSIST_INIT;
    return vms < 0 ? -1 : advise_reset(dir, take_locked(p, dir, out, e), e);
}

/* ---- all of them ---------------------------------------------------------------------------- */

/* Adds the VM of a folder; *damaged counts what cannot be read. */
static void add(const struct paths *p, const char *dir, struct persists *out, size_t *damaged,
                struct err *why)
{
    auto_close int folder = open_folder(dir);
    struct persist v;
    int lock;

    if (folder < 0)
        return; /* a file of somebody else's, or gone */
    if (read_json(p, folder, dir, &v, why) < 0) {
        err_prefix(why, "kept VM %s", dir);
        (*damaged)++;
        return;
    }
    lock = lock_vm(folder, NULL);
    v.busy = lock < 0 && errno == EWOULDBLOCK;
    if (v.busy)
        persist_read_holder(folder, &v);
    close_fd(&lock);
    out->v = mem_realloc(out->v, out->n + 1, sizeof(*out->v));
    out->v[out->n++] = v;
}

static void add_project(const struct paths *p, const char *folder, struct persists *out,
                        size_t *damaged, struct err *why)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        auto_free char *path = mem_printf("%s/%s", folder, entry->d_name);

        if (persist_is_name(entry->d_name))
            add(p, path, out, damaged, why);
    }
    if (dir)
        closedir(dir);
}

static int compare(const void *a, const void *b)
{
    const struct persist *x = a, *y = b;
    int order = strcmp(x->project, y->project);

    return order ? order : strcmp(x->name, y->name);
}

static int list_all(const struct paths *p, struct persists *out, size_t *damaged, struct err *why)
{
    DIR *dir = opendir(p->vms);
    struct dirent *entry;

    if (!dir)
        return err_errno(why, errno, "cannot list %s", p->vms);
    while ((entry = readdir(dir))) {
        auto_free char *folder = mem_printf("%s/%s", p->vms, entry->d_name);

        if (is_project_key(entry->d_name))
            add_project(p, folder, out, damaged, why);
    }
    closedir(dir);
    return 0;
}

/* With the lock of vms held. */
static int list_locked(const struct paths *p, const char *project, struct persists *out,
                       size_t *damaged, struct err *why)
{
    auto_free char *folder = project ? paths_kept_vm(p, project, "") : NULL;

    if (folder)
        add_project(p, folder, out, damaged, why);
    else if (list_all(p, out, damaged, why) < 0)
        return -1;
    if (out->n)
        qsort(out->v, out->n, sizeof(*out->v), compare);
    return 0;
}

int persist_list(const struct paths *p, const char *project, struct persists *out, size_t *damaged,
                 struct err *why)
{
    auto_close int vms = vms_lock(p, why);

    *out = (struct persists){0};
    *damaged = 0;
    return vms < 0 ? -1 : list_locked(p, project, out, damaged, why);
}

void persists_free(struct persists *l)
{
    for (size_t i = 0; i < l->n; i++)
        persist_free(&l->v[i]);
    free(l->v);
    *l = (struct persists){0};
}

/* ---- making and removing -------------------------------------------------------------------- */

static bool has_id(const struct persists *l, const char *id)
{
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->v[i].id, id) == 0)
            return true;
    return false;
}

/* An id that no other VM has. */
static int choose_id(const struct paths *p, char id[9], struct err *e)
{
    auto_persists struct persists all = {0};
    auto_err struct err ignored = ERR_INIT;
    unsigned char random[4];
    size_t damaged = 0;

    if (list_locked(p, NULL, &all, &damaged, &ignored) < 0)
        return -1;
    for (int i = 0; i < ID_TRIES; i++) {
        auto_free char *run = NULL;

        if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
            return err_errno(e, errno, "cannot get random bytes");
        str_hex(id, random, sizeof(random));
        run = mem_printf("%s/%s", p->run, id);
        if (!has_id(&all, id) && access(run, F_OK) < 0)
            return 0;
    }
    return err_set(e, "there is no free ID for a VM");
}

static void remove_draft(const struct paths *p)
{
    auto_close int vms = open_folder(p->vms);

    if (vms >= 0)
        file_remove_tree_at(vms, PATHS_KEPT_VM_NEW, NULL);
}

/* And folders of projects without a VM. */
static void remove_leftovers(const struct paths *p)
{
    DIR *dir = opendir(p->vms);
    struct dirent *entry;

    while (dir && (entry = readdir(dir)))
        if (is_project_key(entry->d_name))
            unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR); /* not where there is one */
    if (dir)
        closedir(dir);
    remove_draft(p);
}

int persist_save(const struct persist *v, struct err *e)
{
    auto_free char *text = persist_format(v);
    auto_free char *path = mem_printf("%s/" PATHS_KEPT_VM_JSON, v->dir);

    return file_write_at(AT_FDCWD, path, text, strlen(text), 0600, e);
}

/* Fills the draft and takes its lock. */
static int fill(struct persist *v, const char *draft, struct err *e)
{
    auto_free char *text = persist_format(v);
    auto_close int folder = -1;

    if (mkdir(draft, 0700) < 0 || (folder = open_folder(draft)) < 0)
        return err_errno(e, errno, "cannot create folder %s", draft);
    if (qcow2_create(folder, PATHS_DISK, v->disk, e) < 0 ||
        file_write_at(folder, PATHS_KEPT_VM_JSON, text, strlen(text), 0600, e) < 0 ||
        (v->lock = lock_vm(folder, e)) < 0)
        return err_prefix(e, "%s", draft);
    return 0;
}

/* A descriptor of a VM's disk, or -1: as long as it is open, to remove the disk takes no time.  It
 * is for closing once the lock of vms, which others wait for, is given up. */
static int hold_disk(const char *dir)
{
    auto_free char *path = mem_printf("%s/" PATHS_DISK, dir);

    return open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
}

/* Moves what is at dir to where sweeping finds it, unless somebody has it. */
static int move_away(const char *dir, const char *draft, struct err *e)
{
    auto_close int folder = open_folder(dir);
    auto_close int lock = -1;

    if (folder < 0)
        return errno == ENOENT ? 1 : err_errno(e, errno, "cannot open %s", dir);
    lock = lock_vm(folder, e);
    if (lock < 0)
        return errno == EWOULDBLOCK ? 2 : -1;
    if (rename(dir, draft) < 0)
        return err_errno(e, errno, "cannot remove %s", dir);
    return 0;
}

/* A disk that is removed is gone before the new one gets its name: a crash in between loses what
 * the user gave up anyway. */
static int create_locked(const struct paths *p, struct persist *v, bool replace, struct err *e)
{
    auto_free char *draft = mem_printf("%s/" PATHS_KEPT_VM_NEW, p->vms);
    auto_free char *folder = paths_kept_vm(p, v->project, "");
    int rc;

    remove_draft(p);
    if (access(v->dir, F_OK) == 0) {
        rc = replace ? move_away(v->dir, draft, e) : 1;
        if (rc != 0)
            return rc < 0 ? -1 : 1;
        remove_draft(p);
    }
    if (choose_id(p, v->id, e) < 0 || fill(v, draft, e) < 0)
        return -1;
    if ((mkdir(folder, 0700) < 0 && errno != EEXIST) || rename(draft, v->dir) < 0)
        return err_errno(e, errno, "cannot create %s", v->dir);
    return 0;
}

int persist_create(const struct paths *p, struct persist *v, bool replace, struct err *e)
{
    auto_free char *dir = paths_kept_vm(p, v->project, v->name);
    auto_close int old_disk = replace ? hold_disk(dir) : -1;
    auto_close int vms = vms_lock(p, e);
    int rc;

    (void)old_disk; /* closed last */
    if (vms < 0)
        return -1;
    v->dir = steal_ptr(&dir);
    rc = create_locked(p, v, replace, e);
    if (rc == 0) {
        persist_sign(v->lock, p);
        return 0;
    }
    remove_leftovers(p);
    close_fd(&v->lock);
    return rc;
}

int persist_remove(const struct paths *p, const char *dir, struct err *e)
{
    auto_close int disk = hold_disk(dir);
    auto_close int vms = vms_lock(p, e);
    auto_free char *draft = mem_printf("%s/" PATHS_KEPT_VM_NEW, p->vms);
    int rc;

    (void)disk; /* closed last */
    if (vms < 0)
        return -1;
    remove_draft(p);
    rc = move_away(dir, draft, e);
    if (rc != 0)
        return rc;
    rc = file_remove_tree_at(vms, PATHS_KEPT_VM_NEW, e);
    remove_leftovers(p);
    return rc;
}

void persist_sweep(const struct paths *p)
{
    auto_free char *draft = mem_printf("%s/" PATHS_KEPT_VM_NEW, p->vms);
    auto_close int vms = access(draft, F_OK) < 0 ? -1 : vms_lock(p, NULL);

    if (vms >= 0)
        remove_leftovers(p);
}

/* ---- its disk ------------------------------------------------------------------------------- */

char *persist_disk(const struct persist *v)
{
    return mem_printf("%s/" PATHS_DISK, v->dir);
}

uint64_t persist_disk_used(const struct persist *v)
{
    auto_free char *path = persist_disk(v);
    struct stat st;

    return lstat(path, &st) < 0 ? 0 : (uint64_t)st.st_blocks * STAT_BLOCK;
}
