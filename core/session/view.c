#include "session/view.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"
#include "model/show.h"
#include "state/local.h"

/* Names in the second share. */
#define SHARE_KEPT "kept"
#define SHARE_MOUNTS "mounts"
#define SHARE_LOCAL "local"

/* Takes source (which may be NULL) and target. */
static void add_bind(struct view *v, enum jail_kind kind, char *source, char *target, bool readonly)
{
    if (source)
        strv_take(&v->strings, source);
    strv_take(&v->strings, target);
    v->binds = mem_realloc(v->binds, v->nbinds + 1, sizeof(*v->binds));
    v->binds[v->nbinds++] = (struct jail_bind){kind, source, target, readonly};
}

static void add_item(struct view *v, char *source, char *path, bool file)
{
    v->items = mem_realloc(v->items, v->nitems + 1, sizeof(*v->items));
    v->items[v->nitems++] = (struct guest_keep){source, path, file};
}

/* ---- mounts --------------------------------------------------------------------------------- */

struct mounts {
    const struct paths *paths;
    const char *project;
    struct strv hosts;    /* canonical, so far */
    struct strv guests;   /* the same as the VM sees them */
    struct strv writable; /* those of hosts that are; the last ones */
};

static int refuse(const char *path, const char *why, struct err *e)
{
    auto_free char *shown = show_text(path, 0);

    return err_set(e, "cannot mount %s: %s", shown, why);
}

static bool overlaps(const char *a, const char *b)
{
    return file_is_inside(a, b) || file_is_inside(b, a);
}

/* A second way to a file would be one around what holds for the first. */
static int check_mount(struct mounts *m, const char *path, const char *host, struct err *e)
{
    if (overlaps(host, m->project) || overlaps(path, m->project))
        return refuse(path, "it is the project folder, in it, or contains it", e);
    for (size_t i = 0; i < m->hosts.n; i++)
        if (overlaps(host, m->hosts.v[i])) {
            auto_free char *other = show_text(m->hosts.v[i], 0);

            refuse(path, "it overlaps another mount", e);
            return err_advise(e, "the other one is %s", other);
        }
    return 0;
}

static int add_mount(struct mounts *m, const char *written, bool writable, struct view *v,
                     struct err *e)
{
    auto_free char *path = str_starts(written, "~/")
                               ? mem_printf("%s%s", m->paths->home, written + 1)
                               : mem_strdup(written);
    auto_free char *host = realpath(path, NULL);
    char *target = mem_printf(SHARE_MOUNTS "/%zu", m->hosts.n);
    struct stat st;
    int rc = host && stat(host, &st) == 0 ? 0 : refuse(path, "there is no such file or folder", e);

    if (rc == 0 && !S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
        rc = refuse(path, "it is neither a file nor a folder", e);
    if (rc == 0)
        rc = paths_mount(m->paths, host, writable, e);
    if (rc == 0)
        rc = check_mount(m, path, host, e);
    if (rc < 0) {
        free(target);
        return -1;
    }
    strv_push(&m->hosts, host);
    strv_push(&m->guests, path);
    if (writable)
        strv_push(&m->writable, host);
    add_item(v, mem_strdup(target), steal_ptr(&path), false);
    add_bind(v, JAIL_MOUNT, steal_ptr(&host), target, !writable);
    return 0;
}

static int add_mounts(struct mounts *m, const struct strv *paths, bool writable, struct view *v,
                      struct err *e)
{
    for (size_t i = 0; i < paths->n; i++)
        if (add_mount(m, paths->v[i], writable, v, e) < 0)
            return err_prefix(e, "[mounts] %s", writable ? "writable" : "readonly");
    return 0;
}

/* Where the second share is composed, what is kept moves one folder down in the share. */
static void add_kept(const struct kept *kept, struct view *v)
{
    if (!kept->dir)
        return;
    add_bind(v, JAIL_MOUNT, mem_strdup(kept->dir), mem_strdup(SHARE_KEPT), false);
    for (size_t i = 0; i < kept->n; i++)
        add_item(v, mem_printf(SHARE_KEPT "/%s", kept->items[i].source),
                 mem_strdup(kept->items[i].path), kept->items[i].file);
}

/* ---- finds ---------------------------------------------------------------------------------- */

static bool is_part_of_git(const char *path)
{
    return strstr(path, "/.git/") || str_ends(path, "/.git");
}

static int check_writable(const struct profile *p, const struct mounts *m, struct err *e)
{
    for (size_t i = 0; p->git_readonly && i < m->writable.n; i++) {
        if (!is_part_of_git(m->writable.v[i]))
            continue;
        refuse(m->writable.v[i], "it is git's, which the VM is not to write", e);
        return err_advise(e, "mount it readonly, or do without --git-readonly");
    }
    return 0;
}

static void add_pin(const struct mounts *m, const char *path, bool readonly, struct view *v)
{
    size_t len = strlen(m->project);

    if (file_is_inside(path, m->project)) {
        add_bind(v, JAIL_PIN, NULL, mem_strdup(path + len + 1), readonly);
        return;
    }
    for (size_t i = 0; i < m->hosts.n; i++) {
        const char *below;

        if (!file_is_inside(path, m->hosts.v[i]))
            continue;
        below = path + strlen(m->hosts.v[i]);
        add_bind(v, JAIL_PIN_MOUNTED, mem_printf("%s%s", m->guests.v[i], below),
                 mem_printf(SHARE_MOUNTS "/%zu%s", i, below), readonly);
    }
}

static int add_finds(const struct profile *p, const struct mounts *m, struct view *v, struct err *e)
{
    struct view_finds finds = {0};
    int rc = view_find(p, m->paths->home, m->project, &m->writable, &finds, e);

    for (size_t i = 0; rc == 0 && i < finds.folders.n; i++)
        add_pin(m, finds.folders.v[i], false, v);
    for (size_t i = 0; rc == 0 && i < finds.git.n; i++)
        add_pin(m, finds.git.v[i], true, v);
    for (size_t i = 0; rc == 0 && i < finds.masks.n; i++)
        add_bind(v, JAIL_MASK, NULL, mem_strdup(finds.masks.v[i]), true);
    view_finds_free(&finds);
    return rc;
}

/* What is hidden is an empty folder, in which nothing can be mounted. */
static int add_locals(const struct profile *p, const char *project, struct view *v, struct err *e)
{
    if (local_find(&p->locals, project, &v->locals, e) < 0)
        return -1;
    for (size_t i = 0; i < v->nbinds; i++)
        for (size_t j = 0; j < v->locals.n; j++) {
            auto_free char *shown = show_text(v->locals.v[j], 0);

            if (v->binds[i].kind == JAIL_MASK && file_is_inside(v->locals.v[j], v->binds[i].target))
                return err_set(e, "[guest-local] paths: [mask] hides %s", shown);
        }
    return 0;
}

int view_prepare(const struct paths *paths, const struct profile *p, const char *project,
                 const struct kept *kept, const char *image, struct view *out, struct err *e)
{
    struct mounts m = {.paths = paths, .project = project};
    int rc = 0;

    if (image || p->mounts_readonly.n > 0 || p->mounts_writable.n > 0)
        add_kept(kept, out);
    if (image) {
        add_bind(out, JAIL_MOUNT, mem_strdup(image), mem_strdup(SHARE_LOCAL), false);
        out->image = SHARE_LOCAL;
    }
    if (add_mounts(&m, &p->mounts_readonly, false, out, e) < 0 ||
        add_mounts(&m, &p->mounts_writable, true, out, e) < 0 || check_writable(p, &m, e) < 0 ||
        add_finds(p, &m, out, e) < 0 || add_locals(p, project, out, e) < 0)
        rc = -1;
    strv_free(&m.hosts);
    strv_free(&m.guests);
    strv_free(&m.writable);
    return rc;
}

void view_free(struct view *v)
{
    for (size_t i = 0; i < v->nitems; i++) {
        free(v->items[i].source);
        free(v->items[i].path);
    }
    free(v->items);
    free(v->binds);
    strv_free(&v->locals);
    strv_free(&v->strings);
    *v = (struct view){0};
}
