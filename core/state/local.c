#include "state/local.h"

#include <cjson/cJSON.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/mem.h"
#include "model/json_text.h"
#include "model/show.h"
#include "proc/spawn.h"
#include "state/vms.h"

enum {
    RECORD_MAX = 16 << 20,
    SWEEP_MS = 3000, /* removing 1000 folders takes 10; a network file system may take for ever */
};

/* ---- the lock -------------------------------------------------------------------------------- */

/* Locks the project: what is recorded of it, and what is made and removed there by that.  Whatever
 * its file system does then, only those wait who need it, too.  All projects have a byte each of
 * one file.  Returns a descriptor, to be closed; -1 without an error if wait is false and somebody
 * else has it. */
static int lock_project(const struct paths *p, const char *project, bool wait, struct err *e)
{
    auto_free char *path = mem_printf("%s/" PATHS_VMS_LOCK, p->vms);
    auto_close int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    struct flock byte = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    char hex[DIGEST_HEX + 1];
    int rc;

    digest_bytes(project, strlen(project), hex);
    hex[15] = '\0'; /* 60 bits: an offset has 63 */
    byte.l_start = (off_t)strtoull(hex, NULL, 16);
    if (fd < 0)
        return err_errno(e, errno, "cannot open %s", path);
    do
        rc = fcntl(fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &byte);
    while (rc < 0 && errno == EINTR);
    if (rc < 0 && !wait && (errno == EAGAIN || errno == EACCES))
        return -1;
    return rc < 0 ? err_errno(e, errno, "cannot lock %s", path) : steal_fd(&fd);
}

/* ---- the record ------------------------------------------------------------------------------ */

struct record {
    char *project;
    struct strv folders;
};

static void record_free(struct record *r)
{
    free(r->project);
    strv_free(&r->folders);
}

#define auto_record __attribute__((cleanup(record_free)))

static int record_write(const struct paths *p, const char *id, const struct record *r,
                        struct err *e)
{
    auto_free char *path = paths_vm_disk(p, id, PATHS_VM_FOLDERS);
    cJSON *json = cJSON_CreateObject();
    auto_free char *text = NULL;

    cJSON_AddItemToObject(json, "project", json_text(r->project));
    cJSON_AddItemToObject(json, "folders", json_texts(&r->folders));
    text = cJSON_PrintUnformatted(json);
    cJSON_Delete(json);
    return file_write_at(AT_FDCWD, path, text, strlen(text), 0600, e);
}

/* False if the VM made nothing. */
static bool record_read(const struct paths *p, const char *id, struct record *out)
{
    auto_free char *path = paths_vm_disk(p, id, PATHS_VM_FOLDERS);
    auto_buf struct buf text = BUF_INIT;
    const cJSON *item;
    cJSON *json;

    if (file_read_at(AT_FDCWD, path, RECORD_MAX, &text, NULL) != 0)
        return false;
    json = cJSON_Parse(text.data);
    out->project = json_text_take(cJSON_GetObjectItemCaseSensitive(json, "project"));
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(json, "folders"))
    {
        char *folder = json_text_take(item);

        if (folder)
            strv_take(&out->folders, folder);
    }
    cJSON_Delete(json);
    return out->project != NULL;
}

/* What was made for other VMs of the project: those that run, or that ended and are not swept yet.
 */
static void find_others(const struct paths *p, const char *id, const char *project, bool running,
                        struct strv *out)
{
    DIR *dir = opendir(p->vms);
    struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        auto_record struct record r = {0};

        if (!vms_is_id(entry->d_name) || strcmp(entry->d_name, id) == 0 ||
            !record_read(p, entry->d_name, &r) || (running && !vms_is_alive(p, entry->d_name)))
            continue;
        if (strcmp(r.project, project) == 0)
            strv_push_all(out, r.folders.v);
    }
    if (dir)
        closedir(dir);
}

/* ---- folders of the project, whose tree may be hostile --------------------------------------- */

/* fd: the folder itself; or 0: what is at its path now, through no symlink, which a VM that has a
 * folder above could put there. */
static int open_project(const char *project, int fd, struct err *e)
{
    auto_free char *shown = show_text(project, 0);
    auto_close int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int dir =
        fd > 0 ? file_open_below(fd, "", false, NULL) : file_open_below(root, project, false, NULL);

    return dir < 0 ? err_errno(e, errno, "cannot open %s", shown) : dir;
}

/* Returns 0; 1 if the folder is missing; -1 if it cannot be one. */
static int examine(int project, const char *path, struct err *e)
{
    auto_free char *shown = show_text(path, 0);
    auto_close int fd = file_open_below(project, path, false, NULL);
    int errnum = errno;

    if (fd >= 0 || errnum == ENOENT)
        return fd < 0;
    if (errnum != ENOTDIR && errnum != ELOOP)
        return err_errno(e, errnum, "[guest-local] paths: cannot examine %s", shown);
    err_set(e,
            "[guest-local] paths: %s, or what it is in, is a file or a symbolic link, not a "
            "folder",
            shown);
    return err_advise(e, "remove that, or take %s out of the list", shown);
}

/* The folder that the last part of path is in; *name becomes that part. */
static int open_parent(int project, const char *path, const char **name, struct err *e)
{
    const char *slash = strrchr(path, '/');
    auto_free char *parent = mem_dup(path, slash ? (size_t)(slash - path) : 0);

    *name = slash ? slash + 1 : path;
    return file_open_below(project, parent, false, e);
}

static int make_folder(int project, const char *path, struct err *e)
{
    auto_free char *shown = show_text(path, 0);
    const char *name;
    auto_close int parent = open_parent(project, path, &name, e);
    mode_t mask;
    int rc;

    if (parent < 0)
        return -1;
    mask = umask(022); /* as the user would make it, if it stays */
    rc = mkdirat(parent, name, 0755) < 0 && errno != EEXIST
             ? err_errno(e, errno, "[guest-local] paths: cannot create folder %s", shown)
             : 0;
    umask(mask);
    return rc;
}

static void remove_folder(int project, const char *path)
{
    const char *name;
    auto_close int parent = open_parent(project, path, &name, NULL);

    if (parent >= 0)
        unlinkat(parent, name, AT_REMOVEDIR);
}

int local_find(const struct strv *wanted, const char *project, struct strv *out, struct err *e)
{
    auto_close int dir = wanted->n > 0 ? open_project(project, 0, e) : -1;

    if (wanted->n > 0 && dir < 0)
        return -1;
    strv_push_all(out, wanted->v);
    file_drop_inner(out);
    for (size_t i = 0; i < out->n; i++)
        if (examine(dir, out->v[i], e) < 0)
            return -1;
    return 0;
}

/* ---- making and removing --------------------------------------------------------------------- */

/* Adds those of the folder and what it is in that are missing, or there for other VMs only. */
static int add_missing(int project, const char *folder, const struct strv *others, struct strv *out,
                       struct err *e)
{
    for (const char *p = folder; *p;) {
        auto_free char *part = NULL;
        int missing;

        p += strcspn(p + 1, "/") + 1;
        part = mem_dup(folder, (size_t)(p - folder));
        missing = examine(project, part, e);
        if (missing < 0)
            return -1;
        if ((missing || strv_has(others, part)) && !strv_has(out, part))
            strv_push(out, part);
    }
    return 0;
}

int local_make(const struct paths *p, const char *id, const char *project, int fd,
               char *const *folders, struct err *e)
{
    auto_record struct record mine = {.project = mem_strdup(project)};
    auto_strv struct strv others = STRV_INIT;
    auto_close int lock = -1, dir = -1;

    if (!folders)
        return 0;
    lock = lock_project(p, project, true, e);
    dir = lock < 0 ? -1 : open_project(project, fd, e);
    if (dir < 0)
        return -1;
    find_others(p, id, project, false, &others);
    for (size_t i = 0; folders[i]; i++)
        if (add_missing(dir, folders[i], &others, &mine.folders, e) < 0)
            return -1;
    if (mine.folders.n == 0)
        return 0;
    if (record_write(p, id, &mine, e) < 0)
        return -1;
    for (size_t i = 0; i < mine.folders.n; i++)
        if (make_folder(dir, mine.folders.v[i], e) < 0)
            return -1;
    return 0;
}

/* With the project's lock held; what r holds may have changed before. */
static void remove_made(const struct paths *p, const char *id, const struct record *r, int fd)
{
    auto_free char *path = paths_vm_disk(p, id, PATHS_VM_FOLDERS);
    auto_strv struct strv others = STRV_INIT;
    auto_close int dir = open_project(r->project, fd, NULL);

    find_others(p, id, r->project, true, &others);
    for (size_t i = r->folders.n; dir >= 0 && i-- > 0;)
        if (!strv_has(&others, r->folders.v[i]))
            remove_folder(dir, r->folders.v[i]);
    unlink(path);
}

void local_remove(const struct paths *p, const char *id, int fd)
{
    auto_record struct record mine = {0};
    auto_close int lock =
        record_read(p, id, &mine) ? lock_project(p, mine.project, true, NULL) : -1;

    if (lock >= 0)
        remove_made(p, id, &mine, fd);
}

/* Somebody else may have done so meanwhile, and a VM of the same id may have begun: it has its
 * record only while it has its lock, which is seen with the project's lock held. */
static void remove_dead(const struct paths *p, const char *id, bool wait)
{
    auto_record struct record before = {0}, now = {0};
    auto_close int lock =
        record_read(p, id, &before) ? lock_project(p, before.project, wait, NULL) : -1;

    if (lock >= 0 && record_read(p, id, &now) && strcmp(now.project, before.project) == 0 &&
        !vms_is_alive(p, id))
        remove_made(p, id, &now, 0);
}

void local_remove_dead(const struct paths *p, const char *id)
{
    remove_dead(p, id, true);
}

/* A record that nobody can read does not keep the rest of its VM. */
static void forget(const struct paths *p, const char *id)
{
    auto_free char *path = paths_vm_disk(p, id, PATHS_VM_FOLDERS);

    unlink(path);
}

/* The ids of VMs that left a record. */
static void find_dead(const struct paths *p, struct strv *out)
{
    DIR *dir = opendir(p->vms);
    struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        auto_record struct record r = {0};

        if (!vms_is_id(entry->d_name) || vms_is_alive(p, entry->d_name))
            continue;
        if (record_read(p, entry->d_name, &r))
            strv_push(out, entry->d_name);
        else
            forget(p, entry->d_name);
    }
    if (dir)
        closedir(dir);
}

struct sweep {
    const struct paths *paths;
    const struct strv *dead;
};

/* Where another is about to, or waits for the file system, it is left to that. */
static int sweep_main(void *arg)
{
    const struct sweep *s = arg;
    int null = open("/dev/null", O_RDWR);

    for (int fd = 0; fd < 3 && null >= 0; fd++) /* who reads what we write need not wait */
        dup2(null, fd);
    for (size_t i = 0; i < s->dead->n; i++)
        remove_dead(s->paths, s->dead->v[i], false);
    return 0;
}

void local_sweep(const struct paths *p)
{
    auto_strv struct strv dead = STRV_INIT;
    struct sweep sweep = {p, &dead};
    struct child child = CHILD_INIT;
    struct exit_status status;

    find_dead(p, &dead);
    if (dead.n == 0 || spawn_fork(sweep_main, &sweep, NULL, 0, &child, NULL) < 0)
        return;
    spawn_wait(&child, clock_ms() + SWEEP_MS, &status, NULL);
    close_fd(&child.pidfd);
}
