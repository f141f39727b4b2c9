#include "session/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"

enum {
    ENTRIES_MAX = 4000000, /* a large monorepo with its dependencies has one million */
    DEPTH_MAX = 200,       /* each costs a descriptor; dependencies of dependencies reach 40 */
    WALK_MS = 60000,
    CLOCK_EVERY = 1024, /* entries */
};

struct walk {
    tree_visit *visit;
    void *arg;
    struct buf path;
    unsigned long entries;
    int depth;
    int64_t deadline;
};

static int check_bounds(struct walk *w, struct err *e)
{
    w->entries++;
    if (w->entries > ENTRIES_MAX)
        return err_set(e, "there are more than %d files", ENTRIES_MAX);
    if (w->depth > DEPTH_MAX)
        return err_set(e, "more than %d folders are in each other", DEPTH_MAX);
    if (w->entries % CLOCK_EVERY == 0 && clock_left(w->deadline) == 0)
        return err_set(e, "it takes more than %d s to look through", WALK_MS / 1000);
    return 0;
}

/* DT_UNKNOWN is what some file systems say of everything. */
static unsigned char type_of(int dir, const struct dirent *d)
{
    struct stat st;

    if (d->d_type != DT_UNKNOWN || fstatat(dir, d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return d->d_type;
    return (unsigned char)IFTODT(st.st_mode);
}

static int walk_folder(struct walk *w, int parent, const char *name, struct err *e);

static int walk_entry(struct walk *w, int dir, const struct dirent *d, struct err *e)
{
    size_t len = w->path.len;
    struct tree_entry entry = {.dir = dir, .type = type_of(dir, d)};
    int rc;

    buf_printf(&w->path, "%s%s", len > 0 ? "/" : "", d->d_name);
    entry.path = w->path.data;
    entry.name = d->d_name;
    rc = check_bounds(w, e) < 0 ? -1 : w->visit(w->arg, &entry, e);
    if (rc == 0 && entry.type == DT_DIR)
        rc = walk_folder(w, dir, d->d_name, e);
    w->path.len = len;
    w->path.data[len] = '\0';
    return rc < 0 ? -1 : 0;
}

static int cannot_open(const struct walk *w, int parent, const char *name, struct err *e)
{
    int errnum = errno;
    auto_free char *shown = str_printable(w->path.data, w->path.len);
    struct stat st;

    if (errnum == ENOENT || errnum == ELOOP || errnum == ENOTDIR) /* gone, or another by now */
        return 0;
    if (errnum == EACCES && fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        st.st_uid != geteuid())
        return 0;
    return err_errno(e, errnum, "cannot look into %s", shown);
}

static int walk_folder(struct walk *w, int parent, const char *name, struct err *e)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *d;
    int rc = 0;

    if (!dir) {
        rc = cannot_open(w, parent, name, e);
        close_fd(&fd);
        return rc;
    }
    w->depth++;
    while (rc == 0 && (d = readdir(dir)))
        if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
            rc = walk_entry(w, fd, d, e);
    w->depth--;
    closedir(dir);
    return rc;
}

int tree_walk(const char *folder, tree_visit *visit, void *arg, struct err *e)
{
    struct walk w = {.visit = visit, .arg = arg, .deadline = clock_ms() + WALK_MS};
    int rc;

    buf_puts(&w.path, "");
    rc = walk_folder(&w, AT_FDCWD, folder, e);
    buf_free(&w.path);
    return rc;
}
