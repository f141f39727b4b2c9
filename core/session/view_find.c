/* Theory of operation: git runs what .git says, hooks and settings alike, so whoever may write
 * there may run programs on the host.  Every .git of the folder is protected: a repository's, a
 * submodule's or worktree's, which is a file, and those of repositories inside.  A guest that could
 * rename a folder on the way to one could make another in its place, so these are pinned too. */
#include "session/view.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "model/show.h"
#include "session/tree.h"

#define GIT_NAME ".git"
#define GITFILE_KEY "gitdir: "
#define ANYWHERE "**/"

enum {
    FINDS_MAX = 1000,      /* repositories, or masks; each is a mount */
    GITFILE_MAX = 1 << 20, /* git's own bound */
    LINK_MAX_BYTES = 4096,
};

struct search {
    const struct profile *p;
    const char *project;
    bool git;                 /* look for repositories */
    struct strv repositories; /* every .git */
    struct strv elsewhere;    /* what they say that is in the project, too */
    struct view_finds *finds;
};

bool view_is_inside(const char *path, const char *folder)
{
    size_t len = strlen(folder);

    return strncmp(path, folder, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

static int add_find(struct strv *list, const char *path, struct err *e)
{
    if (strv_has(list, path))
        return 0;
    if (list->n == FINDS_MAX)
        return err_set(e, "there are more than %d of them", FINDS_MAX);
    strv_push(list, path);
    return 0;
}

/* ---- masks ---------------------------------------------------------------------------------- */

static bool is_pattern(const char *path)
{
    return strpbrk(path, "*?[") != NULL;
}

static bool matches(const char *pattern, const char *path)
{
    bool anywhere = str_starts(pattern, ANYWHERE);

    if (!anywhere)
        return fnmatch(pattern, path, FNM_PATHNAME) == 0;
    pattern += strlen(ANYWHERE);
    for (const char *rest = path; rest; rest = strchr(rest, '/')) {
        rest += *rest == '/';
        if (fnmatch(pattern, rest, FNM_PATHNAME) == 0)
            return true;
    }
    return false;
}

/* Hides what the path leads to.  What is not there, or outside of the project, the guest does not
 * see anyway. */
static int add_mask(struct search *s, const char *path, struct err *e)
{
    auto_free char *whole = mem_printf("%s/%s", s->project, path);
    auto_free char *real = realpath(whole, NULL);
    auto_free char *shown = show_text(path, 0);

    if (!real && errno == EACCES)
        return err_errno(e, errno, "cannot hide %s", shown);
    if (!real || !view_is_inside(real, s->project))
        return 0;
    if (strcmp(real, s->project) == 0)
        return err_set(e, "cannot hide %s: it leads to the project folder itself", shown);
    return add_find(&s->finds->masks, real + strlen(s->project) + 1, e);
}

static bool is_masked(const struct strv *masks, const char *path)
{
    for (size_t i = 0; i < masks->n; i++)
        if (view_is_inside(path, masks->v[i]))
            return true;
    return false;
}

static bool matches_any(const struct strv *masks, const char *path)
{
    for (size_t i = 0; i < masks->n; i++)
        if (is_pattern(masks->v[i]) && matches(masks->v[i], path))
            return true;
    return false;
}

/* Below a mask there is nothing to hide. */
static void drop_inner_masks(struct strv *masks)
{
    struct strv outer = STRV_INIT;

    for (size_t i = 0; i < masks->n; i++) {
        bool inner = false;

        for (size_t j = 0; j < masks->n && !inner; j++)
            inner = j != i && view_is_inside(masks->v[i], masks->v[j]);
        if (!inner)
            strv_push(&outer, masks->v[i]);
    }
    strv_free(masks);
    *masks = outer;
}

/* ---- git ------------------------------------------------------------------------------------ */

/* Where a path leads, below the project; NULL: out of it.  What is not there the guest could make.
 */
static char *find_inside(const struct search *s, const char *path)
{
    auto_free char *head = mem_strdup(path), *real = NULL;
    const char *below;

    while (!(real = realpath(head, NULL))) {
        char *slash = strrchr(head, '/');

        if (!slash || slash == head)
            return NULL;
        *slash = '\0';
    }
    if (!view_is_inside(real, s->project))
        return NULL;
    below = real + strlen(s->project);
    path += strlen(head); /* what of it is not there */
    if (!*below && !*path)
        return mem_strdup(".");
    return mem_printf("%s%s", *below ? below + 1 : "", *below ? path : path + 1);
}

/* Notes a name that git finds in a folder of git's, or beside a .git that is a file. */
static void add_elsewhere(struct search *s, const char *folder, const char *name)
{
    auto_free char *path =
        name[0] == '/' ? mem_strdup(name) : mem_printf("%s/%s/%s", s->project, folder, name);
    auto_free char *found = find_inside(s, path);

    if (found && !strv_has(&s->elsewhere, found))
        strv_push(&s->elsewhere, found);
}

/* A file of git's that holds one path, behind a key; taken as git does, to the last space. */
static void read_name(struct search *s, int dir, const char *file, const char *key,
                      const char *folder)
{
    auto_buf struct buf text = BUF_INIT;
    size_t len;

    if (file_read_at(dir, file, GITFILE_MAX, &text, NULL) != 0 || !str_starts(text.data, key))
        return;
    for (len = text.len; len > 0 && strchr("\r\n", text.data[len - 1]); len--)
        text.data[len - 1] = '\0';
    if (len > strlen(key))
        add_elsewhere(s, folder, text.data + strlen(key));
}

/* Parts of a folder .git that run programs, where they lie elsewhere. */
static void read_links(struct search *s, const struct tree_entry *entry)
{
    static const char *const parts[] = {"hooks", "config", "config.worktree", "commondir"};
    auto_close int dir = openat(entry->dir, entry->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);

    for (size_t i = 0; dir >= 0 && i < ARRAY_LEN(parts); i++) {
        char target[LINK_MAX_BYTES] = {0};

        if (readlinkat(dir, parts[i], target, sizeof(target) - 1) > 0)
            add_elsewhere(s, entry->path, target);
    }
    if (dir >= 0)
        read_name(s, dir, "commondir", "", entry->path);
}

static int add_repository(struct search *s, const struct tree_entry *entry, struct err *e)
{
    auto_free char *shown = show_text(entry->path, 0);
    auto_free char *beside = mem_dup(entry->path, strlen(entry->path) - strlen(GIT_NAME));

    if (entry->type == DT_LNK) {
        err_set(e, "cannot protect %s: it is a symbolic link", shown);
        return err_advise(e, "put what it leads to in its place");
    }
    if (add_find(&s->repositories, entry->path, e) < 0)
        return err_prefix(e, "cannot protect every " GIT_NAME);
    if (entry->type == DT_REG)
        read_name(s, entry->dir, entry->name, GITFILE_KEY, beside);
    else
        read_links(s, entry);
    return 0;
}

/* A .git may name, or lead to, what the guest can write. */
static int check_elsewhere(struct search *s, struct err *e)
{
    for (size_t i = 0; i < s->elsewhere.n; i++) {
        auto_free char *shown = show_text(s->elsewhere.v[i], 0);
        bool safe = is_masked(&s->finds->masks, s->elsewhere.v[i]);

        for (size_t j = 0; j < s->repositories.n && !safe; j++)
            safe = view_is_inside(s->elsewhere.v[i], s->repositories.v[j]);
        if (safe)
            continue;
        err_set(e,
                "cannot protect %s, where a " GIT_NAME " of this folder says that git's files are",
                shown);
        return err_advise(e, "a repository's files are protected in a folder " GIT_NAME " only");
    }
    return 0;
}

static int check_top(struct search *s, struct err *e)
{
    if (strv_has(&s->repositories, GIT_NAME) || is_masked(&s->finds->masks, GIT_NAME))
        return 0;
    err_set(e, "this folder has no " GIT_NAME " to protect, and the VM could make one, with hooks "
               "that run on the host");
    return err_advise(e, "run git init first, or agentvm where the repository begins, or do "
                         "without --git-readonly");
}

/* The folders that lead to each, then itself. */
static void list_pins(const struct strv *repositories, struct strv *out)
{
    for (size_t i = 0; i < repositories->n; i++) {
        const char *path = repositories->v[i];

        for (const char *p = strchr(path, '/'); p; p = strchr(p + 1, '/')) {
            auto_free char *folder = mem_dup(path, (size_t)(p - path));

            if (!strv_has(out, folder))
                strv_push(out, folder);
        }
        strv_push(out, path);
    }
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* For who reads the plan: a folder has no order of its own. */
static void sort(struct strv *list)
{
    if (list->n > 1)
        qsort(list->v, list->n, sizeof(*list->v), compare);
}

/* ---- the walk ------------------------------------------------------------------------------- */

static int visit(void *arg, const struct tree_entry *entry, struct err *e)
{
    struct search *s = arg;

    if (matches_any(&s->p->masks, entry->path) && add_mask(s, entry->path, e) < 0)
        return -1;
    if (is_masked(&s->finds->masks, entry->path))
        return 1;
    if (!s->git || strcmp(entry->name, GIT_NAME) != 0)
        return 0;
    return add_repository(s, entry, e) < 0 ? -1 : 1;
}

static int search(struct search *s, struct err *e)
{
    bool walk = s->git;

    for (size_t i = 0; i < s->p->masks.n; i++) {
        walk = walk || is_pattern(s->p->masks.v[i]);
        if (!is_pattern(s->p->masks.v[i]) && add_mask(s, s->p->masks.v[i], e) < 0)
            return -1;
    }
    if (walk && tree_walk(s->project, visit, s, e) < 0)
        return -1;
    drop_inner_masks(&s->finds->masks);
    if (s->git && (check_top(s, e) < 0 || check_elsewhere(s, e) < 0))
        return -1;
    sort(&s->repositories);
    sort(&s->finds->masks);
    list_pins(&s->repositories, &s->finds->git);
    return 0;
}

int view_find(const struct profile *p, const char *project, struct view_finds *out, struct err *e)
{
    /* Nothing at all can be written to a read-only share. */
    struct search s = {
        .p = p, .project = project, .git = p->git_readonly && !p->readonly, .finds = out};
    auto_free char *shown = show_text(project, 0);
    int rc = search(&s, e);

    strv_free(&s.repositories);
    strv_free(&s.elsewhere);
    return rc < 0 ? err_prefix(e, "%s", shown) : 0;
}

void view_finds_free(struct view_finds *f)
{
    strv_free(&f->git);
    strv_free(&f->masks);
}
