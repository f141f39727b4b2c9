#include "state/local_image.h"

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
#include "base/log.h"
#include "base/mem.h"
#include "model/json_text.h"
#include "proc/spawn.h"

enum {
    STORE_MAX = 65536,
    MAKE_MS = 60000, /* it takes 30 ms; 16T on a slow disk more */
    OUTPUT_MAX = 4096,
    STAT_BLOCK = 512, /* st_blocks counts these, whatever the file system's are */
};

static int write_store(int dir, const char *project, struct err *e)
{
    cJSON *json = cJSON_CreateObject();
    auto_free char *text = NULL;

    cJSON_AddItemToObject(json, "project", json_text(project));
    text = cJSON_PrintUnformatted(json);
    cJSON_Delete(json);
    return file_write_at(dir, PATHS_LOCAL_STORE, text, strlen(text), 0600, e);
}

static int make_file(int dir, uint64_t size, struct err *e)
{
    auto_close int fd = -1;

    unlinkat(dir, PATHS_LOCAL_NEW, 0); /* what a crash left */
    fd = openat(dir, PATHS_LOCAL_NEW, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
        return err_errno(e, errno, "cannot create " PATHS_LOCAL_NEW);
    return 0;
}

/* Tables are left to the guest's kernel, and nothing to discard: the file is a hole. */
static int make_file_system(const char *path, struct err *e)
{
    auto_free char *program = spawn_find("mke2fs");
    char *const argv[] = {program,      "-q",   "-F",
                          "-t",         "ext4", "-m",
                          "0",          "-E",   "lazy_itable_init=1,lazy_journal_init=1,nodiscard",
                          (char *)path, NULL};
    auto_buf struct buf said = BUF_INIT;
    auto_free char *shown = NULL;
    struct exit_status status;

    if (!program) {
        err_set(e, "mke2fs is not installed; it is needed to make the file system");
        return err_advise(e, "run: sudo apt install e2fsprogs");
    }
    if (spawn_capture(argv, OUTPUT_MAX, MAKE_MS, NULL, &said, &status, e) < 0)
        return -1;
    if (exit_status_code(status) == 0)
        return 0;
    shown = str_tail(said.data ? said.data : "", said.len, 1);
    return err_set(e, "mke2fs failed: %s", shown);
}

static int make_image(const char *folder, int dir, const char *project, uint64_t size,
                      struct err *e)
{
    auto_free char *path = mem_printf("%s/" PATHS_LOCAL_NEW, folder);

    if (write_store(dir, project, e) < 0 || make_file(dir, size, e) < 0 ||
        make_file_system(path, e) < 0)
        return -1;
    if (renameat(dir, PATHS_LOCAL_NEW, dir, PATHS_LOCAL_IMAGE) < 0)
        return err_errno(e, errno, "cannot rename " PATHS_LOCAL_NEW);
    return 0;
}

int local_image_take(const struct paths *p, const char *project, uint64_t size, bool anew,
                     struct local_image *out, struct err *e)
{
    auto_free char *folder = paths_local(p, project), *real = NULL;
    auto_close int dir = -1;
    int rc = 0;

    *out = LOCAL_IMAGE_INIT;
    if (file_mkdirs(folder, 0700, e) < 0)
        return -1;
    dir = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir < 0)
        return err_errno(e, errno, "cannot open %s", folder);
    out->lock = file_lock_at(dir, PATHS_LOCAL_LOCK, false, false, e);
    if (out->lock < 0)
        return errno == EWOULDBLOCK ? 1 : -1;
    real = realpath(folder, NULL);
    if (!real)
        rc = err_errno(e, errno, "cannot open it");
    else if (anew || faccessat(dir, PATHS_LOCAL_IMAGE, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
        rc = make_image(folder, dir, project, size, e);
    if (rc < 0) {
        local_image_free(out);
        return err_prefix(e, "%s", folder);
    }
    out->path = mem_printf("%s/" PATHS_LOCAL_IMAGE, real);
    return 0;
}

void local_image_free(struct local_image *i)
{
    free(i->path);
    i->path = NULL;
    close_fd(&i->lock);
}

/* ---- pruning --------------------------------------------------------------------------------- */

/* The folder's project, or NULL. */
static char *read_store(int dir)
{
    auto_buf struct buf text = BUF_INIT;
    cJSON *json;
    char *project;

    if (file_read_at(dir, PATHS_LOCAL_STORE, STORE_MAX, &text, NULL) != 0)
        return NULL;
    json = cJSON_Parse(text.data);
    project = json_text_take(cJSON_GetObjectItemCaseSensitive(json, "project"));
    cJSON_Delete(json);
    return project;
}

/* Removes it if it is old and nobody has it, and sets what became of it. */
static void judge(int all, const char *name, int dir, int64_t cutoff, bool dry_run,
                  struct prune_item *it)
{
    auto_err struct err why = ERR_INIT;
    auto_close int lock = file_lock_at(dir, PATHS_LOCAL_LOCK, false, false, NULL);

    it->in_use = lock < 0;
    if (it->in_use || it->used.tv_sec > cutoff)
        return;
    it->done = dry_run || file_remove_tree_at(all, name, &why) == 0;
    if (it->done)
        return;
    it->verdict = PRUNE_FAILED;
    log_warn("%s", err_msg(&why));
}

static void prune_one(const char *folder, int all, const char *name, int64_t cutoff, bool dry_run,
                      struct prune_list *l)
{
    auto_close int dir = openat(all, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    auto_free char *project = dir < 0 ? NULL : read_store(dir);
    struct prune_item it = {.kind = PRUNE_LOCAL, .label = "guest-local"};
    struct stat st;

    if (!project || !prune_has_vanished(project))
        return;
    if (fstatat(dir, PATHS_LOCAL_IMAGE, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        it.size = (uint64_t)st.st_blocks * STAT_BLOCK;
        it.used = st.st_mtim;
    }
    snprintf(it.key, sizeof(it.key), "%s", name);
    it.path = mem_printf("%s/%s", folder, name);
    judge(all, name, dir, cutoff, dry_run, &it);
    l->v = mem_realloc(l->v, l->n + 1, sizeof(*l->v));
    l->v[l->n++] = it;
}

void local_image_prune(const struct paths *p, int64_t cutoff, bool dry_run, struct prune_list *l)
{
    auto_free char *folder = paths_local(p, "");
    DIR *dir = opendir(folder);
    struct dirent *entry;

    while (dir && (entry = readdir(dir)))
        if (entry->d_name[0] != '.')
            prune_one(folder, dirfd(dir), entry->d_name, cutoff, dry_run, l);
    if (dir)
        closedir(dir);
}
