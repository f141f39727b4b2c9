/* Theory of operation: git runs what .git says, hooks and settings alike, so whoever may write
 * there may run programs on the host.  Every .git of what the VM can write is protected: a
 * repository's, a submodule's or worktree's, which is a file, and those of repositories inside.
 *
 * Symlinks in them, and git's settings (session/view_settings), lead to further files: hooks that
 * are kept in the project, files that settings include.  What of these the VM could write is
 * protected, too.  A path to it is walked from part to part: a symlink on the way that the VM could
 * replace cannot be pinned, which is an error.  What is not there the VM could make: so the folder
 * in which it would be cannot be written, and it is an error where that is all that the VM has.
 * Whoever made the tree may change it meanwhile: what is found holds only as far as proc/jail finds
 * the same path, through no symlink. */
#include "session/view_git.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/show.h"
#include "session/view.h"

#define GIT_NAME ".git"
#define GITFILE_KEY "gitdir: "

enum {
    FINDS_MAX = 1000,      /* of each kind; each is a mount */
    GITFILE_MAX = 1 << 20, /* git's own bound */
    HOPS_MAX = 40,         /* as the kernel's */
};

static bool is_in_any(const char *path, const struct strv *folders)
{
    for (size_t i = 0; i < folders->n; i++)
        if (file_is_inside(path, folders->v[i]))
            return true;
    return false;
}

bool git_is_safe(const struct git_search *g, const char *path)
{
    return is_in_any(path, &g->repositories) || is_in_any(path, &g->linked) ||
           is_in_any(path, &g->masks);
}

int git_add_find(struct strv *list, const char *path, struct err *e)
{
    if (list->n < FINDS_MAX) {
        strv_push(list, path);
        return 0;
    }
    err_set(e, "there are more than %d of them", FINDS_MAX);
    return err_prefix(e, "cannot protect every " GIT_NAME);
}

static int add_pair(struct strv *list, const char *folder, const char *path, struct err *e)
{
    return git_add_find(list, folder, e) < 0 ? -1 : git_add_find(list, path, e);
}

/* ---- the walk ------------------------------------------------------------------------------- */

char *git_folder_of(const char *path)
{
    return mem_dup(path, (size_t)(strrchr(path, '/') - path));
}

/* A file of git's that holds one path, behind a key; taken as git does, to the last line end. */
static int read_named(struct git_search *g, const struct tree_entry *entry, const char *whole,
                      const char *key, struct err *e)
{
    auto_free char *folder = git_folder_of(whole);
    auto_buf struct buf text = BUF_INIT;
    size_t len;

    if (file_read_at(entry->dir, entry->name, GITFILE_MAX, &text, NULL) != 0 ||
        !str_starts(text.data, key))
        return 0;
    for (len = text.len; len > 0 && strchr("\r\n", text.data[len - 1]); len--)
        text.data[len - 1] = '\0';
    return len > strlen(key) ? add_pair(&g->named, folder, text.data + strlen(key), e) : 0;
}

static int read_link(struct git_search *g, const struct tree_entry *entry, const char *whole,
                     struct err *e)
{
    auto_free char *folder = git_folder_of(whole);
    char target[PATH_MAX] = {0};

    if (readlinkat(entry->dir, entry->name, target, sizeof(target) - 1) <= 0)
        return 0; /* gone, or another by now */
    return add_pair(&g->links, folder, target, e);
}

static int visit_inside(struct git_search *g, const struct tree_entry *entry, const char *whole,
                        struct err *e)
{
    auto_free char *folder = git_folder_of(whole);

    if (entry->type == DT_LNK)
        return read_link(g, entry, whole, e);
    if (entry->type == DT_REG && strcmp(entry->name, "commondir") == 0)
        return read_named(g, entry, whole, "", e);
    /* Many files, of which none runs. */
    return strcmp(entry->name, "objects") == 0 && strv_has(&g->repositories, folder);
}

int git_visit(struct git_search *g, const char *root, const struct tree_entry *entry, struct err *e)
{
    auto_free char *whole = mem_printf("%s/%s", root, entry->path);
    auto_free char *shown = show_text(entry->path, 0);

    if (is_in_any(whole, &g->repositories))
        return visit_inside(g, entry, whole, e);
    if (strcmp(entry->name, GIT_NAME) != 0)
        return 0;
    if (entry->type == DT_LNK) {
        err_set(e, "cannot protect %s: it is a symbolic link", shown);
        return err_advise(e, "put what it leads to in its place");
    }
    if (git_add_find(&g->repositories, whole, e) < 0)
        return -1;
    return entry->type == DT_REG ? read_named(g, entry, whole, GITFILE_KEY, e) : 0;
}

/* ---- where a path leads --------------------------------------------------------------------- */

enum place {
    PLACE_SAFE,    /* the VM cannot write it: protected, hidden, or not in its view */
    PLACE_EXPOSED, /* it is in a root */
    PLACE_MISSING, /* it would be in a root */
    PLACE_LINK,    /* the path goes through a symlink in a root: this one */
};

static bool is_exposed(const struct git_search *g, const char *path)
{
    return is_in_any(path, g->roots) && !git_is_safe(g, path);
}

/* Puts what a symlink says before the rest of the path. */
static void put_before(struct buf *cur, const char *target, size_t parent, char **rest)
{
    char *longer = mem_printf("%s/%s", target, *rest);

    cur->len = target[0] == '/' ? 0 : parent;
    cur->data[cur->len] = '\0';
    free(*rest);
    *rest = longer;
}

/* Goes one part further.  Returns the place if the walk ends there, or -1. */
static int step(const struct git_search *g, struct buf *cur, const char *part, char **rest,
                int *hops)
{
    size_t parent = cur->len;
    char target[PATH_MAX] = {0};
    struct stat st;

    buf_printf(cur, "/%s", part);
    if (lstat(cur->data, &st) < 0) {
        if (!is_exposed(g, cur->data))
            return PLACE_SAFE;
        if (**rest)
            buf_printf(cur, "/%s", *rest);
        return PLACE_MISSING;
    }
    if (!S_ISLNK(st.st_mode))
        return -1;
    if (is_exposed(g, cur->data))
        return PLACE_LINK;
    if (++*hops > HOPS_MAX || readlink(cur->data, target, sizeof(target) - 1) <= 0)
        return PLACE_SAFE;
    put_before(cur, target, parent, rest);
    return -1;
}

/* Where name leads from a folder; *out is that path, or what is in the way.  The caller frees it.
 */
static enum place find_place(const struct git_search *g, const char *folder, const char *name,
                             char **out)
{
    auto_free char *rest = name[0] == '/' ? mem_strdup(name) : mem_printf("%s/%s", folder, name);
    struct buf cur = BUF_INIT;
    int place = -1, hops = 0;

    buf_puts(&cur, "");
    while (place < 0 && *rest) {
        size_t len = strcspn(rest, "/");
        auto_free char *part = mem_dup(rest, len);
        char *later = mem_strdup(rest + len + (rest[len] == '/'));

        free(rest);
        rest = later;
        if (strcmp(part, "..") == 0 && cur.len > 0)
            cur.data[cur.len = (size_t)(strrchr(cur.data, '/') - cur.data)] = '\0';
        else if (*part && strcmp(part, ".") != 0 && strcmp(part, "..") != 0)
            place = step(g, &cur, part, &rest, &hops);
    }
    *out = buf_steal(&cur);
    if (place < 0)
        place = is_exposed(g, *out) ? PLACE_EXPOSED : PLACE_SAFE;
    return (enum place)place;
}

/* How a path is called in messages: below the first root, where it is there. */
char *git_show_place(const struct git_search *g, const char *path)
{
    size_t len = strlen(g->roots->v[0]);

    return show_text(file_is_inside(path, g->roots->v[0]) && path[len] ? path + len + 1 : path, 0);
}

/* ---- what is linked ------------------------------------------------------------------------- */

static int visit_linked(void *arg, const struct tree_entry *entry, struct err *e)
{
    struct git_search *g = arg;
    auto_free char *whole = mem_printf("%s/%s", g->linked.v[g->linked.n - 1], entry->path);

    if (entry->type == DT_LNK)
        return read_link(g, entry, whole, e);
    return 1;
}

/* What is not there the VM could make, unless it cannot write the last part of the path that is
 * there: that is linked.  path has no symlinks, and is changed. */
static int protect_way(struct git_search *g, char *path, const char *who, struct err *e)
{
    auto_free char *shown = git_show_place(g, path), *way = NULL;
    struct stat st;

    do
        *strrchr(path, '/') = '\0';
    while (*path && lstat(path, &st) < 0);
    if (!*path || strv_has(g->roots, path)) {
        err_set(e, "cannot protect %s, which %s: it is not there, and the VM could make it", shown,
                who);
        return err_advise(e, "create it on this host, where it may be empty, or take away what "
                             "leads to it");
    }
    if (git_is_safe(g, path))
        return 0;
    way = git_show_place(g, path);
    log_warn("the VM can only read %s: %s, which %s, is not there, and it could make that", way,
             shown, who);
    return git_add_find(&g->linked, path, e);
}

int git_protect(struct git_search *g, const char *folder, const char *name, const char *who,
                struct err *e)
{
    auto_free char *path = NULL, *shown = NULL;
    enum place place = find_place(g, folder, name, &path);

    shown = git_show_place(g, path);
    switch (place) {
    case PLACE_SAFE:
        return 0;
    case PLACE_MISSING:
        return protect_way(g, path, who, e);
    case PLACE_LINK:
        err_set(e, "cannot protect %s, which %s: it is a symbolic link that the VM could replace",
                shown, who);
        return err_advise(e, "put what it leads to in its place, or end that");
    case PLACE_EXPOSED:
        break;
    }
    if (strv_has(g->roots, path))
        return err_set(e, "cannot protect %s, which %s: it is all that the VM can write", shown,
                       who);
    if (git_add_find(&g->linked, path, e) < 0)
        return -1;
    return tree_walk(path, visit_linked, g, e); /* of a file: nothing */
}

/* A .git may name what the VM can write. */
int git_check_named(const struct git_search *g, struct err *e)
{
    for (size_t i = 0; i < g->named.n; i += 2) {
        auto_free char *path = NULL, *shown = NULL;

        if (find_place(g, g->named.v[i], g->named.v[i + 1], &path) == PLACE_SAFE)
            continue;
        shown = git_show_place(g, path);
        err_set(e,
                "cannot protect %s, where a " GIT_NAME " of this folder says that git's files are",
                shown);
        return err_advise(e, "a repository's files are protected in a folder " GIT_NAME " only");
    }
    return 0;
}

void git_search_free(struct git_search *g)
{
    strv_free(&g->masks);
    strv_free(&g->repositories);
    strv_free(&g->linked);
    strv_free(&g->links);
    strv_free(&g->named);
    strv_free(&g->includes);
}
