/* The sessions in the stores.  Below kept.d/, everything was made by a guest: no link is followed,
 * and what is read is bounded. */
#include <cjson/cJSON.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "model/json_text.h"
#include "state/kept.h"

enum {
    STORE_MAX = 64 * 1024,    /* bytes of a store.json */
    DEPTH_MAX = 16,           /* folders below each other */
    ENTRIES_MAX = 100 * 1000, /* looked at in one store */
    UUID_LEN = 36,
};

void kept_sessions_free(struct kept_sessions *s)
{
    for (size_t i = 0; i < s->n; i++) {
        free(s->v[i].project);
        free(s->v[i].agent);
        free(s->v[i].id);
        free(s->v[i].path);
    }
    free(s->v);
    *s = (struct kept_sessions){0};
}

static bool is_uuid(const char *s)
{
    for (int i = 0; i < UUID_LEN; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;

        if (dash ? s[i] != '-' : !strchr("0123456789abcdef", s[i]) || !s[i])
            return false;
    }
    return true;
}

static char *session_id(const char *name)
{
    const char *dot = strrchr(name, '.');
    size_t len = dot && dot > name ? (size_t)(dot - name) : strlen(name);

    if (len >= UUID_LEN && is_uuid(name + len - UUID_LEN))
        return mem_dup(name + len - UUID_LEN, UUID_LEN);
    return mem_dup(name, len);
}

/* A walk through one folder of one store. */
struct walk {
    const char *project, *agent, *pattern;
    struct kept_sessions *out;
    int entries;
};

static void add_session(struct walk *w, const char *folder, const char *name, const struct stat *st)
{
    struct kept_sessions *out = w->out;

    out->v = mem_realloc(out->v, out->n + 1, sizeof(*out->v));
    out->v[out->n++] = (struct kept_session){.project = mem_strdup(w->project),
                                             .agent = mem_strdup(w->agent),
                                             .id = session_id(name),
                                             .path = mem_printf("%s/%s", folder, name),
                                             .changed = st->st_mtime,
                                             .size = (uint64_t)st->st_size};
}

/* Takes fd. */
static void walk_folder(struct walk *w, int fd, const char *path, int depth)
{
    DIR *dir = fdopendir(fd);
    const struct dirent *entry;

    if (!dir) {
        close(fd);
        return;
    }
    while ((entry = readdir(dir)) && w->entries++ < ENTRIES_MAX) {
        const char *name = entry->d_name;
        struct stat st;

        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
            fstatat(dirfd(dir), name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        if (S_ISREG(st.st_mode) && fnmatch(w->pattern, name, 0) == 0) {
            add_session(w, path, name, &st);
        } else if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX) {
            auto_free char *below = mem_printf("%s/%s", path, name);
            int next = openat(dirfd(dir), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

            if (next >= 0)
                walk_folder(w, next, below, depth + 1);
        }
    }
    closedir(dir);
}

static void walk_item(const cJSON *item, int store, const char *store_path, struct walk *w)
{
    const char *folder = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, "folder"));
    auto_free char *below = mem_printf(PATHS_SESSIONS_FILES "/%s", folder ? folder : "");
    auto_free char *path = mem_printf("%s/%s", store_path, below);
    auto_close int at = -1;
    int fd;

    w->pattern = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, "pattern"));
    at = folder && w->pattern ? file_open_below(store, below, false, NULL) : -1;
    fd = at < 0 ? -1 : openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        walk_folder(w, fd, path, 0);
}

/* One agent's store of one project; one that is damaged has no sessions. */
static void list_store(int dir, const char *path, struct kept_sessions *out)
{
    auto_buf struct buf text = BUF_INIT;
    auto_free char *said = NULL;
    struct walk w = {.out = out};
    const cJSON *item;
    cJSON *root;

    if (file_read_at(dir, PATHS_SESSIONS_STORE, STORE_MAX, &text, NULL) != 0)
        return;
    root = cJSON_ParseWithLength(text.data, text.len);
    said = json_text_take(cJSON_GetObjectItemCaseSensitive(root, "project"));
    w.project = said;
    w.agent = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(root, "agent"));
    if (w.project && w.agent)
        cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(root, "transcripts"))
        {
            walk_item(item, dir, path, &w);
        }
    cJSON_Delete(root);
}

static void list_project(const char *path, struct kept_sessions *out)
{
    DIR *dir = opendir(path);
    const struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        auto_free char *store = mem_printf("%s/%s", path, entry->d_name);
        auto_close int fd = -1;

        if (entry->d_name[0] == '.')
            continue;
        fd = openat(dirfd(dir), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd >= 0)
            list_store(fd, store, out);
    }
    if (dir)
        closedir(dir);
}

static int by_time(const void *a, const void *b)
{
    const struct kept_session *x = a, *y = b;

    return x->changed < y->changed ? -1 : x->changed > y->changed ? 1 : strcmp(x->path, y->path);
}

static int list_all(const struct paths *p, struct kept_sessions *out, struct err *e)
{
    DIR *dir = opendir(p->sessions);
    const struct dirent *entry;

    if (!dir)
        return err_errno(e, errno, "cannot open %s", p->sessions);
    while ((entry = readdir(dir))) {
        auto_free char *path = mem_printf("%s/%s", p->sessions, entry->d_name);

        if (entry->d_name[0] != '.')
            list_project(path, out);
    }
    closedir(dir);
    return 0;
}

int kept_list(const struct paths *p, const char *project, struct kept_sessions *out, struct err *e)
{
    auto_free char *folder = project ? paths_sessions(p, project, "") : NULL;

    if (folder)
        list_project(folder, out);
    else if (list_all(p, out, e) < 0)
        return -1;
    if (out->n > 0)
        qsort(out->v, out->n, sizeof(*out->v), by_time);
    return 0;
}
