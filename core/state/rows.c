#include "state/rows.h"

#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"

enum { STAT_BLOCK = 512 };

/* The disk of a machine that is not kept has no name any more, but the engine has it open. */
static uint64_t overlay_used(const struct paths *p, const struct vm_info *v)
{
    auto_free char *folder = mem_printf("/proc/%d/fd", v->engine);
    auto_free char *overlay = paths_vm_disk(p, v->id, PATHS_VM_OVERLAY);
    DIR *dir = opendir(folder);
    struct dirent *entry;
    uint64_t used = 0;

    while (dir && used == 0 && (entry = readdir(dir))) {
        char target[PATH_MAX] = {0};
        struct stat st;

        if (readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1) > 0 &&
            str_starts(target, overlay) && fstatat(dirfd(dir), entry->d_name, &st, 0) == 0)
            used = (uint64_t)st.st_blocks * STAT_BLOCK;
    }
    if (dir)
        closedir(dir);
    return used;
}

static struct vm_row *append(struct vm_rows *l)
{
    l->v = mem_realloc(l->v, l->n + 1, sizeof(*l->v));
    l->v[l->n] = (struct vm_row){.own = PERSIST_INIT};
    return &l->v[l->n++];
}

/* Takes what v holds. */
static void add_running(const struct paths *p, struct vm_info *v, struct vm_rows *out)
{
    struct vm_row *row = append(out);

    row->run = *v;
    *v = (struct vm_info){0};
    row->running = true;
    row->disk_used = row->run.kept ? 0 : overlay_used(p, &row->run);
}

static struct vm_row *find_id(struct vm_rows *l, const char *id)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->v[i].run.id && strcmp(l->v[i].run.id, id) == 0)
            return &l->v[i];
    return NULL;
}

static void add_kept(struct persist *v, struct vm_rows *out)
{
    struct vm_row *row = find_id(out, v->id);

    if (!row)
        row = append(out);
    row->own = *v;
    *v = PERSIST_INIT;
    row->running = row->running || row->own.busy;
    row->disk_used = persist_disk_used(&row->own);
}

static const char *first(const char *a, const char *b)
{
    return a ? a : b ? b : "";
}

static void complete(struct vm_row *row)
{
    const struct vm_info *run = &row->run;
    const struct persist *own = &row->own;

    row->id = first(run->id, own->id);
    row->name = first(run->name, own->name);
    row->agent = first(run->agent, own->agent);
    row->project = first(run->project, own->project);
    row->kept = own->name || run->kept;
    row->since = run->id ? run->started : own->used;
    row->cpus = run->id ? run->cpus : own->cpus;
    row->memory = run->id ? run->memory : own->memory;
    row->disk = run->id ? run->disk : own->disk;
}

int vm_rows_list(const struct paths *p, const char *project, struct vm_rows *out, struct err *e)
{
    auto_vm_infos struct vm_infos running = {0};
    auto_persists struct persists kept = {0};
    auto_err struct err why = ERR_INIT;
    size_t damaged;

    *out = (struct vm_rows){0};
    if (vms_list(p, project, &running, e) < 0)
        return -1;
    if (persist_list(p, project, &kept, &damaged, &why) < 0)
        return err_set(e, "%s", err_msg(&why));
    if (damaged)
        log_warn("%s", err_msg(&why));
    for (size_t i = 0; i < running.n; i++)
        add_running(p, &running.v[i], out);
    for (size_t i = 0; i < kept.n; i++)
        add_kept(&kept.v[i], out);
    for (size_t i = 0; i < out->n; i++)
        complete(&out->v[i]);
    return 0;
}

const struct vm_row *vm_rows_find(const struct vm_rows *l, const char *word, const char *project)
{
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->v[i].id, word) == 0)
            return &l->v[i];
    for (size_t i = 0; i < l->n; i++)
        if (project && strcmp(l->v[i].name, word) == 0 && strcmp(l->v[i].project, project) == 0)
            return &l->v[i];
    return NULL;
}

void vm_rows_free(struct vm_rows *l)
{
    for (size_t i = 0; i < l->n; i++) {
        vm_info_free(&l->v[i].run);
        persist_free(&l->v[i].own);
    }
    free(l->v);
    *l = (struct vm_rows){0};
}
