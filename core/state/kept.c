#include "state/kept.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "model/json_text.h"

/* ---- what is kept --------------------------------------------------------------------------- */

static bool is_kept(const struct plan_step *s)
{
    return s->op == PLAN_KEEP || s->op == PLAN_KEEP_FILE;
}

static char *describe_store(const char *project, const char *agent, const struct plan *launch)
{
    cJSON *root = cJSON_CreateObject(), *list;
    char *text;

    cJSON_AddItemToObject(root, "project", json_text(project));
    cJSON_AddStringToObject(root, "agent", agent);
    list = cJSON_AddArrayToObject(root, "transcripts");
    for (size_t i = 0; i < launch->n; i++) {
        const struct plan_step *s = &launch->steps[i];
        cJSON *item;

        if (s->op != PLAN_KEEP || !*s->name)
            continue;
        item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "folder", s->path + strlen("~/"));
        cJSON_AddStringToObject(item, "pattern", s->name);
        cJSON_AddItemToArray(list, item);
    }
    text = cJSON_PrintUnformatted(root);
    cJSON_Delete(root);
    return text;
}

static int make_file(int dir, const char *path, struct err *e)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    auto_free char *parent = mem_dup(path, slash ? (size_t)(slash - path) : 0);
    auto_close int folder = file_open_below(dir, parent, true, e);

    return folder < 0 || file_create_at(folder, name, "", 0, 0600, e) < 0 ? -1 : 0;
}

static int make_item(int files, const struct plan_step *s, struct kept *out, struct err *e)
{
    const char *source = s->path + strlen("~/");
    bool file = s->op == PLAN_KEEP_FILE;
    auto_close int folder = -1;

    if (file) {
        if (make_file(files, source, e) < 0)
            return -1;
    } else {
        folder = file_open_below(files, source, true, e);
        if (folder < 0)
            return -1;
    }
    out->items = mem_realloc(out->items, out->n + 1, sizeof(*out->items));
    out->items[out->n++] = (struct guest_keep){mem_strdup(source), mem_strdup(s->path), file};
    return 0;
}

/* Says whose the store is, where it does not say so yet: each start comes here, and a write waits
 * for the disk. */
static int write_store(int dir, const char *text, struct err *e)
{
    auto_buf struct buf before = BUF_INIT;

    if (file_read_at(dir, PATHS_SESSIONS_STORE, strlen(text), &before, NULL) == 0 &&
        strcmp(before.data, text) == 0)
        return 0;
    return file_write_at(dir, PATHS_SESSIONS_STORE, text, strlen(text), 0600, e);
}

int kept_prepare(const struct paths *p, const char *project, const char *agent,
                 const struct plan *launch, struct kept *out, struct err *e)
{
    auto_free char *store = NULL, *files_dir = NULL, *text = NULL;
    auto_close int dir = -1, files = -1;

    if (!plan_find(launch, PLAN_KEEP) && !plan_find(launch, PLAN_KEEP_FILE))
        return 0;
    store = paths_sessions(p, project, agent);
    files_dir = mem_printf("%s/" PATHS_SESSIONS_FILES, store);
    if (file_mkdirs(files_dir, 0700, e) < 0)
        return -1;
    dir = open(store, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    files = open(files_dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir < 0 || files < 0)
        return err_errno(e, errno, "cannot open %s", files_dir);
    text = describe_store(project, agent, launch);
    if (write_store(dir, text, e) < 0)
        return err_prefix(e, "%s", store);
    out->dir = realpath(files_dir, NULL);
    if (!out->dir)
        return err_errno(e, errno, "cannot open %s", files_dir);
    for (size_t i = 0; i < launch->n; i++)
        if (is_kept(&launch->steps[i]) && make_item(files, &launch->steps[i], out, e) < 0) {
            err_prefix(e, "what %s keeps of this folder", agent);
            return err_advise(e, "a guest may have changed it; look into %s", out->dir);
        }
    return 0;
}

void kept_free(struct kept *k)
{
    for (size_t i = 0; i < k->n; i++) {
        free(k->items[i].source);
        free(k->items[i].path);
    }
    free(k->items);
    free(k->dir);
    *k = (struct kept){0};
}
