#include "state/vms.h"

#include <cjson/cJSON.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

enum { INFO_MAX = 4 << 20, ID_BYTES = 4 }; /* a path has up to 4 KiB */

bool vms_is_id(const char *s)
{
    return strlen(s) == 2 * ID_BYTES && strspn(s, "0123456789abcdef") == 2 * ID_BYTES;
}

/* Locks run or vms: nobody sweeps there while a folder exists without its lock.  Each is locked, as
 * two sessions of a user may have one of them in common only. */
static int lock_folder(const char *folder, struct err *e)
{
    auto_close int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (dir < 0)
        return err_errno(e, errno, "cannot open %s", folder);
    while (flock(dir, LOCK_EX) < 0)
        if (errno != EINTR)
            return err_errno(e, errno, "cannot lock %s", folder);
    return steal_fd(&dir);
}

int vms_lock(const struct paths *p, struct err *e)
{
    return lock_folder(p->vms, e);
}

static int make_folders(const struct paths *p, const char *id, struct err *e)
{
    auto_free char *run = mem_printf("%s/%s", p->run, id);
    auto_free char *disk = mem_printf("%s/%s", p->vms, id);

    if (mkdir(run, 0700) < 0)
        return err_errno(e, errno, "cannot create folder %s", run);
    if (mkdir(disk, 0700) < 0)
        return err_errno(e, errno, "cannot create folder %s", disk);
    return 0;
}

/* Whether somebody holds the lock of the VM's folder; that of a disk is a link to it, which a
 * reboot leaves hanging. */
static bool is_alive(const char *folder, const char *id)
{
    auto_free char *path = mem_printf("%s/%s/" PATHS_VM_LOCK, folder, id);
    auto_free char *real = realpath(path, NULL);
    auto_close int lock = -1;

    if (!real)
        return false;
    lock = file_lock_at(AT_FDCWD, real, true, false, NULL);
    return lock < 0;
}

bool vms_is_alive(const struct paths *p, const char *id)
{
    return is_alive(p->vms, id);
}

static int new_id(char id[9], struct err *e)
{
    unsigned char random[ID_BYTES];

    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return err_errno(e, errno, "cannot get random bytes");
    str_hex(id, random, sizeof(random));
    return 0;
}

/* What one of that id left that was killed and is not swept yet. */
static int clear_id(const struct paths *p, const char *id, struct err *e)
{
    if (is_alive(p->run, id) || is_alive(p->vms, id))
        return err_set(e, "another VM has the ID %s", id);
    vms_remove(p, id);
    return 0;
}

int vms_reserve(const struct paths *p, char id[9], int *lock, struct err *e)
{
    auto_close int in_run = lock_folder(p->run, e);
    auto_close int in_vms = in_run < 0 ? -1 : lock_folder(p->vms, e);
    auto_free char *lock_path = NULL;
    auto_free char *disk_lock = NULL;

    if (in_vms < 0 || (id[0] ? clear_id(p, id, e) : new_id(id, e)) < 0)
        return -1;
    if (make_folders(p, id, e) < 0)
        return -1;
    lock_path = paths_vm(p, id, PATHS_VM_LOCK);
    disk_lock = paths_vm_disk(p, id, PATHS_VM_LOCK);
    if (symlink(lock_path, disk_lock) < 0)
        return err_errno(e, errno, "cannot create %s", disk_lock);
    *lock = file_lock_at(AT_FDCWD, lock_path, false, true, e); /* vms_list may try it meanwhile */
    return *lock < 0 ? -1 : 0;
}

cJSON *ports_to_json(const struct port_pair *pairs, size_t n)
{
    cJSON *list = cJSON_CreateArray();

    for (size_t i = 0; i < n; i++) {
        cJSON *pair = cJSON_CreateObject();

        cJSON_AddNumberToObject(pair, "guest", pairs[i].guest);
        cJSON_AddNumberToObject(pair, "host", pairs[i].host);
        cJSON_AddItemToArray(list, pair);
    }
    return list;
}

int vms_publish(const struct paths *p, const struct vm_info *info, struct err *e)
{
    auto_free char *path = paths_vm(p, info->id, PATHS_VM_INFO);
    cJSON *json = cJSON_CreateObject(), *writable;
    auto_free char *text = NULL;

    if (info->agent)
        cJSON_AddStringToObject(json, "agent", info->agent);
    if (info->project)
        cJSON_AddStringToObject(json, "project", info->project);
    cJSON_AddNumberToObject(json, "supervisor", info->supervisor);
    cJSON_AddNumberToObject(json, "engine", info->engine);
    cJSON_AddNumberToObject(json, "started", (double)info->started);
    cJSON_AddNumberToObject(json, "cpus", info->cpus);
    cJSON_AddNumberToObject(json, "memory", (double)info->memory);
    cJSON_AddBoolToObject(json, "detached", info->detached);
    cJSON_AddBoolToObject(json, "ssh_agent", info->ssh_agent);
    cJSON_AddItemToObject(json, "ports", ports_to_json(info->ports, info->nports));
    writable = cJSON_AddArrayToObject(json, "writable");
    for (size_t i = 0; i < info->writable.n; i++)
        cJSON_AddItemToArray(writable, cJSON_CreateString(info->writable.v[i]));
    if (info->name)
        cJSON_AddStringToObject(json, "name", info->name);
    cJSON_AddBoolToObject(json, "kept", info->kept);
    cJSON_AddNumberToObject(json, "disk", (double)info->disk);
    text = cJSON_PrintUnformatted(json);
    cJSON_Delete(json);
    return file_write_at(AT_FDCWD, path, text, strlen(text), 0600, e);
}

static void remove_folder(const char *parent, const char *name)
{
    auto_close int dir = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (dir >= 0)
        file_remove_tree_at(dir, name, NULL);
}

void vms_remove(const struct paths *p, const char *id)
{
    remove_folder(p->vms, id);
    remove_folder(p->run, id);
}

static double number(const cJSON *json, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);

    return cJSON_IsNumber(item) ? item->valuedouble : 0;
}

static char *string(const cJSON *json, const char *name)
{
    return mem_strdup(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, name)));
}

static bool is_true(const cJSON *json, const char *name)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, name));
}

static void read_ports(const cJSON *json, struct vm_info *out)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(json, "ports"), *pair;

    cJSON_ArrayForEach(pair, list)
    {
        if (out->nports == PORTS_MAX)
            return;
        out->ports = mem_realloc(out->ports, out->nports + 1, sizeof(*out->ports));
        out->ports[out->nports++] =
            (struct port_pair){(uint16_t)number(pair, "guest"), (uint16_t)number(pair, "host")};
    }
}

static void read_writable(const cJSON *json, struct vm_info *out)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(json, "writable"), *path;

    cJSON_ArrayForEach(path, list) if (cJSON_IsString(path))
        strv_push(&out->writable, path->valuestring);
}

/* Reads a VM's info; false if it is not published (yet). */
static bool read_info(const struct paths *p, const char *id, struct vm_info *out)
{
    auto_free char *path = paths_vm(p, id, PATHS_VM_INFO);
    auto_buf struct buf text = BUF_INIT;
    cJSON *json;

    if (file_read_at(AT_FDCWD, path, INFO_MAX, &text, NULL) != 0)
        return false;
    json = cJSON_Parse(text.data);
    if (!json)
        return false;
    *out = (struct vm_info){.id = mem_strdup(id),
                            .agent = string(json, "agent"),
                            .project = string(json, "project"),
                            .supervisor = (int)number(json, "supervisor"),
                            .engine = (int)number(json, "engine"),
                            .started = (int64_t)number(json, "started"),
                            .cpus = (unsigned)number(json, "cpus"),
                            .memory = (uint64_t)number(json, "memory"),
                            .detached = is_true(json, "detached"),
                            .ssh_agent = is_true(json, "ssh_agent"),
                            .name = string(json, "name"),
                            .kept = is_true(json, "kept"),
                            .disk = (uint64_t)number(json, "disk")};
    read_ports(json, out);
    read_writable(json, out);
    cJSON_Delete(json);
    return true;
}

void vm_info_free(struct vm_info *i)
{
    free(i->id);
    free(i->agent);
    free(i->project);
    free(i->ports);
    free(i->name);
    strv_free(&i->writable);
}

static bool is_of_project(const struct vm_info *i, const char *project)
{
    return !project || (i->project && strcmp(i->project, project) == 0);
}

bool vm_answers(const struct vm_info *v, const char *word, const char *project)
{
    return strcmp(v->id, word) == 0 || (v->name && strcmp(v->name, word) == 0 && v->project &&
                                        project && strcmp(v->project, project) == 0);
}

static int compare_start(const void *a, const void *b)
{
    const struct vm_info *x = a, *y = b;

    return (x->started > y->started) - (x->started < y->started);
}

int vms_list(const struct paths *p, const char *project, struct vm_infos *out, struct err *e)
{
    DIR *dir = opendir(p->run);
    struct dirent *entry;
    struct vm_info info;

    *out = (struct vm_infos){0};
    if (!dir)
        return err_errno(e, errno, "cannot list %s", p->run);
    while ((entry = readdir(dir))) {
        if (!vms_is_id(entry->d_name) || !is_alive(p->run, entry->d_name) ||
            !read_info(p, entry->d_name, &info))
            continue;
        if (!is_of_project(&info, project)) {
            vm_info_free(&info);
            continue;
        }
        out->v = mem_realloc(out->v, out->n + 1, sizeof(*out->v));
        out->v[out->n++] = info;
    }
    closedir(dir);
    if (out->n)
        qsort(out->v, out->n, sizeof(*out->v), compare_start);
    return 0;
}

void vm_infos_free(struct vm_infos *v)
{
    for (size_t i = 0; i < v->n; i++)
        vm_info_free(&v->v[i]);
    free(v->v);
    *v = (struct vm_infos){0};
}

/* A record of folders that were made in a project: local_sweep ends that, which takes what time
 * the project's file system does, and not with the lock held that all commands need. */
static bool has_record(const char *folder, const char *id)
{
    auto_free char *path = mem_printf("%s/%s/" PATHS_VM_FOLDERS, folder, id);

    return access(path, F_OK) == 0;
}

static void sweep_folder(const char *folder)
{
    auto_close int creating = lock_folder(folder, NULL);
    DIR *dir = creating < 0 ? NULL : opendir(folder);
    struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        if (vms_is_id(entry->d_name) && !is_alive(folder, entry->d_name) &&
            !has_record(folder, entry->d_name))
            remove_folder(folder, entry->d_name);
    }
    if (dir)
        closedir(dir);
}

void vms_sweep(const struct paths *p)
{
    sweep_folder(p->run);
    sweep_folder(p->vms); /* also what a reboot left: run is gone then, the disks are not */
}
