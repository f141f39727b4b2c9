/* What of a folder is protected and hidden; session/view_git knows git's part. */
#include "session/view.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "model/show.h"
#include "session/tree.h"
#include "session/view_git.h"

#define GIT_NAME ".git"
#define ANYWHERE "**/"

/* Each is a mount. */
enum { MASKS_MAX = 1000, FOLDERS_MAX = 5000 };

struct search {
    const struct profile *p;
    const char *project;
    const char *root; /* of the walk */
    bool git;         /* look for repositories */
    struct git_search found;
};

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
    struct strv *masks = &s->found.masks;

    if (!real && errno == EACCES)
        return err_errno(e, errno, "cannot hide %s", shown);
    if (!real || !file_is_inside(real, s->project))
        return 0;
    if (strcmp(real, s->project) == 0)
        return err_set(e, "cannot hide %s: it leads to the project folder itself", shown);
    if (strv_has(masks, real))
        return 0;
    if (masks->n == MASKS_MAX)
        return err_set(e, "there are more than %d of them", MASKS_MAX);
    strv_push(masks, real);
    return 0;
}

static bool is_masked(const struct strv *masks, const char *path)
{
    for (size_t i = 0; i < masks->n; i++)
        if (file_is_inside(path, masks->v[i]))
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

/* ---- the whole ------------------------------------------------------------------------------ */

static int check_top(struct search *s, struct err *e)
{
    auto_free char *git = mem_printf("%s/" GIT_NAME, s->project);

    if (!strv_has(s->found.roots, s->project) || git_is_safe(&s->found, git))
        return 0;
    err_set(e, "this folder has no " GIT_NAME " to protect, and the VM could make one, with hooks "
               "that run on the host");
    return err_advise(e, "run git init first, or agentvm where the repository begins, or do "
                         "without --git-readonly");
}

static int visit(void *arg, const struct tree_entry *entry, struct err *e)
{
    struct search *s = arg;
    auto_free char *whole = mem_printf("%s/%s", s->root, entry->path);
    bool hides = strcmp(s->root, s->project) == 0;

    if (hides && matches_any(&s->p->masks, entry->path) && add_mask(s, entry->path, e) < 0)
        return -1;
    if (is_masked(&s->found.masks, whole))
        return 1;
    return s->git ? git_visit(&s->found, s->root, entry, e) : 0;
}

static int walk(struct search *s, const char *root, struct err *e)
{
    s->root = root;
    return tree_walk(root, visit, s, e);
}

static int search_masks(struct search *s, struct err *e)
{
    bool patterns = false;

    for (size_t i = 0; i < s->p->masks.n; i++) {
        patterns = patterns || is_pattern(s->p->masks.v[i]);
        if (!is_pattern(s->p->masks.v[i]) && add_mask(s, s->p->masks.v[i], e) < 0)
            return -1;
    }
    if ((patterns || (s->git && strv_has(s->found.roots, s->project))) &&
        walk(s, s->project, e) < 0)
        return -1;
    file_drop_inner(&s->found.masks); /* there is nothing to hide below a mask */
    return 0;
}

static int search(struct search *s, struct err *e)
{
    auto_free char *shown = show_text(s->project, 0);

    if (search_masks(s, e) < 0 || (s->git && check_top(s, e) < 0))
        return err_prefix(e, "%s", shown);
    for (size_t i = 0; s->git && i < s->found.roots->n; i++) {
        auto_free char *other = show_text(s->found.roots->v[i], 0);

        if (strcmp(s->found.roots->v[i], s->project) != 0 && walk(s, s->found.roots->v[i], e) < 0)
            return err_prefix(e, "%s", other);
    }
    return s->git && git_follow(&s->found, e) < 0 ? err_prefix(e, "%s", shown) : 0;
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

/* The folders of a root that lead to a path in it. */
static int add_folders(const char *root, const char *path, struct strv *out, struct err *e)
{
    for (const char *p = strchr(path + strlen(root) + 1, '/'); p; p = strchr(p + 1, '/')) {
        auto_free char *folder = mem_dup(path, (size_t)(p - path));

        if (strv_has(out, folder))
            continue;
        if (out->n == FOLDERS_MAX)
            return err_set(e, "more than %d folders lead to what is git's", FOLDERS_MAX);
        strv_push(out, folder);
    }
    return 0;
}

static int take_finds(struct search *s, struct view_finds *out, struct err *e)
{
    strv_push_all(&out->git, s->found.repositories.v);
    strv_push_all(&out->git, s->found.linked.v);
    sort(&out->git);
    for (size_t i = 0; i < out->git.n; i++)
        for (size_t j = 0; j < s->found.roots->n; j++)
            if (file_is_inside(out->git.v[i], s->found.roots->v[j]) &&
                add_folders(s->found.roots->v[j], out->git.v[i], &out->folders, e) < 0)
                return err_prefix(e, "cannot protect every " GIT_NAME);
    for (size_t i = 0; i < s->found.masks.n; i++)
        strv_push(&out->masks, s->found.masks.v[i] + strlen(s->project) + 1);
    sort(&out->masks);
    return 0;
}

int view_find(const struct profile *p, const char *home, const char *project,
              const struct strv *writable, struct view_finds *out, struct err *e)
{
    auto_strv struct strv roots = STRV_INIT;
    struct search s = {.p = p,
                       .project = project,
                       .git = p->git_readonly,
                       .found = {.roots = &roots, .home = home}};
    int rc;

    if (!p->readonly) /* nothing at all can be written to a read-only share */
        strv_push(&roots, project);
    strv_push_all(&roots, writable->v);
    s.git = s.git && roots.n > 0;
    rc = search(&s, e);
    if (rc == 0)
        rc = take_finds(&s, out, e);
    git_search_free(&s.found);
    return rc;
}

void view_finds_free(struct view_finds *f)
{
    strv_free(&f->folders);
    strv_free(&f->git);
    strv_free(&f->masks);
}
