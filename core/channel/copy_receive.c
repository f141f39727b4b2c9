/* Makes what another side sends.
 *
 * Where something lands follows from names of one component and from open folders, each opened in
 * the one above without following a symlink; there is no path for the sender to play with.  A file
 * is written under a name of ours and renamed when it is complete. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "channel/copy.h"

enum { NS_PER_S = 1000000000, TMP_TRIES = 100 };

/* A folder that is being filled. */
struct level {
    int fd;
    bool is_new; /* gets mode and time when it is complete */
    mode_t mode;
    int64_t time;
    size_t path_len; /* of the path without it */
};

struct receiver {
    const struct copy_target *target;
    int in;
    struct copy_record r;
    struct level levels[COPY_DEPTH_MAX + 1]; /* the first is where sources land */
    size_t depth;                            /* number of them */
    size_t nth;                              /* sources that came */
    char *only;                              /* path names the copy itself: its last component */
    struct buf path;                         /* of the folder on top */
    /* The file that is written, or -1. */
    int fd;
    char tmp[32];
    char *name;
    mode_t mode;
    int64_t time;
};

static struct level *top(struct receiver *v)
{
    return &v->levels[v->depth - 1];
}

static struct timespec as_timespec(int64_t ns)
{
    struct timespec t = {.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};

    if (t.tv_nsec < 0) {
        t.tv_nsec += NS_PER_S;
        t.tv_sec--;
    }
    return t;
}

static void times_of(int64_t ns, struct timespec times[2])
{
    times[0] = (struct timespec){.tv_nsec = UTIME_OMIT};
    times[1] = as_timespec(ns);
}

static int malformed(struct receiver *v, struct err *e)
{
    return err_set(e, "%s sent a malformed copy", v->target->who);
}

static int fail_at(struct receiver *v, const char *what, const char *name, struct err *e)
{
    return err_errno(e, errno, "cannot %s %s/%s", what, v->path.data, name);
}

/* What the entry that comes is called here; NULL (an error) for a source too many. */
static const char *name_entry(struct receiver *v, struct err *e)
{
    const char *name;

    if (v->depth > 1)
        return v->r.name;
    name = v->target->names[v->nth];
    if (!name) {
        malformed(v, e);
        return NULL;
    }
    v->nth++;
    return v->only ? v->only : name;
}

static void push(struct receiver *v, int fd, const char *name, bool is_new)
{
    v->levels[v->depth++] = (struct level){.fd = fd,
                                           .is_new = is_new,
                                           .mode = v->r.mode & 0777,
                                           .time = v->r.time,
                                           .path_len = v->path.len};
    buf_printf(&v->path, "/%s", name);
}

static int take_folder(struct receiver *v, struct err *e)
{
    const char *name = name_entry(v, e);
    bool is_new;
    int fd;

    if (!name)
        return -1;
    if (v->depth > COPY_DEPTH_MAX)
        return err_set(e, "more than %d folders within each other", COPY_DEPTH_MAX);
    /* Until it is complete it is ours to write, whatever its mode. */
    is_new = strcmp(name, ".") != 0 && mkdirat(top(v)->fd, name, 0700) == 0;
    if (!is_new && strcmp(name, ".") != 0 && errno != EEXIST)
        return fail_at(v, "create folder", name, e);
    fd = openat(top(v)->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return fail_at(v, "copy a folder to", name, e);
    push(v, fd, name, is_new);
    return 0;
}

static int take_leave(struct receiver *v, struct err *e)
{
    struct level *l = top(v);
    struct timespec times[2];

    if (v->depth < 2)
        return malformed(v, e);
    times_of(l->time, times);
    if (l->is_new && (fchmod(l->fd, l->mode) < 0 || futimens(l->fd, times) < 0))
        return err_errno(e, errno, "cannot complete folder %s", v->path.data);
    close_fd(&l->fd);
    v->path.len = l->path_len;
    v->path.data[v->path.len] = '\0';
    v->depth--;
    return 0;
}

/* A name for what is not complete yet. */
static void draw_tmp(struct receiver *v, int n)
{
    snprintf(v->tmp, sizeof(v->tmp), ".agentvm-cp-%d-%d", getpid(), n);
}

static int take_file(struct receiver *v, struct err *e)
{
    const char *name = name_entry(v, e);
    struct stat st;

    if (!name)
        return -1;
    if (v->target->stream >= 0) {
        v->fd = v->target->stream;
        return 0;
    }
    if (!*name || strcmp(name, ".") == 0)
        return err_set(e, "%s is a folder; name the file in it", v->path.data);
    if (fstatat(top(v)->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode)) {
        errno = EISDIR;
        return fail_at(v, "write", name, e);
    }
    for (int n = 0; n < TMP_TRIES && v->fd < 0; n++) {
        draw_tmp(v, n);
        v->fd =
            openat(top(v)->fd, v->tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (v->fd < 0 && errno != EEXIST)
            break;
    }
    if (v->fd < 0)
        return fail_at(v, "write", name, e);
    v->name = mem_strdup(name);
    v->mode = v->r.mode & 0777;
    v->time = v->r.time;
    return 0;
}

static int take_data(struct receiver *v, struct err *e)
{
    if (v->fd < 0)
        return malformed(v, e);
    if (v->r.len == 0 || file_write_all(v->fd, v->r.data, v->r.len, NULL) == 0)
        return 0;
    if (v->target->stream >= 0)
        return err_errno(e, errno, "cannot write to stdout");
    return fail_at(v, "write", v->name, e);
}

static void drop_file(struct receiver *v)
{
    if (v->fd < 0 || v->target->stream >= 0)
        return;
    close_fd(&v->fd);
    unlinkat(top(v)->fd, v->tmp, 0);
    free(steal_ptr(&v->name));
}

static int take_complete(struct receiver *v, struct err *e)
{
    struct timespec times[2];

    if (v->fd < 0)
        return malformed(v, e);
    if (v->target->stream >= 0) {
        v->fd = -1;
        return 0;
    }
    times_of(v->time, times);
    if (fchmod(v->fd, v->mode) < 0 || futimens(v->fd, times) < 0 ||
        renameat(top(v)->fd, v->tmp, top(v)->fd, v->name) < 0)
        return fail_at(v, "write", v->name, e);
    close_fd(&v->fd);
    free(steal_ptr(&v->name));
    return 0;
}

/* Whether a symlink stays within the source that it is in, wherever other links of the same sender
 * lead: ".." may only come first, where it is counted from a real folder. */
static bool stays_in(const char *target, size_t up)
{
    bool named = false;

    if (target[0] == '/')
        return false;
    while (*target) {
        size_t len = strcspn(target, "/");

        if (len == 2 && memcmp(target, "..", 2) == 0) {
            if (named || up == 0)
                return false;
            up--;
        } else if (len > 0 && !(len == 1 && target[0] == '.')) {
            named = true;
        }
        target += len + (target[len] == '/');
    }
    return true;
}

static void note(struct receiver *v, const char *name, const char *why)
{
    auto_free char *path = mem_printf("%s/%s", v->path.data, name);

    if (v->target->note)
        v->target->note(v->target->arg, path, why);
}

static int make_link(struct receiver *v, const char *name, struct err *e)
{
    struct timespec times[2];
    int rc = -1;

    for (int n = 0; n < TMP_TRIES && rc < 0; n++) {
        draw_tmp(v, n);
        rc = symlinkat(v->r.data, top(v)->fd, v->tmp);
        if (rc < 0 && errno != EEXIST)
            break;
    }
    if (rc < 0)
        return fail_at(v, "create link", name, e);
    times_of(v->r.time, times);
    utimensat(top(v)->fd, v->tmp, times, AT_SYMLINK_NOFOLLOW);
    if (renameat(top(v)->fd, v->tmp, top(v)->fd, name) == 0)
        return 0;
    fail_at(v, "create link", name, e);
    unlinkat(top(v)->fd, v->tmp, 0);
    return -1;
}

static int take_link(struct receiver *v, struct err *e)
{
    const char *name = name_entry(v, e);

    if (!name)
        return -1;
    if (v->target->stream >= 0 || !*name || strcmp(name, ".") == 0)
        return err_set(e, "%s is a link, not a file", v->target->who);
    if (strlen(v->r.data) != v->r.len || v->r.len == 0)
        return malformed(v, e);
    /* Of the levels, the first is the target and the second the source itself; where a link is the
     * source, all else is outside. */
    if (v->target->keep_links_in && (v->depth < 2 || !stays_in(v->r.data, v->depth - 2))) {
        note(v, name, "a link that leads out of what is copied");
        return 0;
    }
    return make_link(v, name, e);
}

static int take_skipped(struct receiver *v, struct err *e)
{
    const char *name = name_entry(v, e);

    if (!name)
        return -1;
    note(v, name, "neither file, folder nor link");
    return 0;
}

static int take_record(struct receiver *v, struct err *e)
{
    bool in_file = v->fd >= 0;

    /* Nothing but data comes before a file is complete. */
    if (in_file && v->r.type != COPY_DATA && v->r.type != COPY_COMPLETE && v->r.type != COPY_FAILED)
        return malformed(v, e);
    switch (v->r.type) {
    case COPY_FOLDER:
        if (v->target->stream >= 0)
            return err_set(e, "a folder cannot be written to stdout");
        return take_folder(v, e);
    case COPY_LEAVE:
        return take_leave(v, e);
    case COPY_FILE:
        return take_file(v, e);
    case COPY_DATA:
        return take_data(v, e);
    case COPY_COMPLETE:
        return take_complete(v, e);
    case COPY_LINK:
        return take_link(v, e);
    case COPY_SKIPPED:
        return take_skipped(v, e);
    case COPY_FAILED:
        return copy_explain(&v->r, v->target->who, e);
    default:
        return malformed(v, e);
    }
}

static int take_all(struct receiver *v, struct err *e)
{
    for (;;) {
        if (copy_read(v->in, &v->r, v->target->who, e) < 0)
            return -1;
        if (v->r.type == COPY_DONE)
            break;
        if (take_record(v, e) < 0)
            return -1;
    }
    return v->depth == 1 && v->fd < 0 && !v->target->names[v->nth] ? 0 : malformed(v, e);
}

static int refuse_folder(const char *path, struct err *e)
{
    return e->msg ? err_prefix(e, "cannot copy to %s", path)
                  : err_errno(e, errno, "cannot open folder %s", path);
}

/* The folder where the sources land: the target itself, or the one that it is to stand in. */
static int open_target(struct receiver *v, struct err *e)
{
    const char *path = v->target->path;
    auto_free char *name = copy_name(path);
    size_t len = strlen(path);
    int fd = copy_open_folder(path, v->target->hostile, e);

    if (fd < 0 && errno != ENOENT && errno != ENOTDIR)
        return refuse_folder(path, e);
    while (len > 1 && path[len - 1] == '/')
        len--;
    if (fd < 0 && (v->target->names[1] || path[len] == '/' || strcmp(name, ".") == 0))
        return err_set(e, "%s is no folder", path);
    if (fd < 0) {
        len -= strlen(name);
        while (len > 1 && path[len - 1] == '/')
            len--;
        v->only = steal_ptr(&name);
    }
    buf_printf(&v->path, "%.*s", len ? (int)len : 1, len ? path : ".");
    if (fd < 0)
        fd = copy_open_folder(v->path.data, v->target->hostile, e);
    if (fd < 0)
        return refuse_folder(v->path.data, e);
    v->levels[v->depth++] = (struct level){.fd = fd};
    return 0;
}

int copy_receive(int in, const struct copy_target *t, struct err *e)
{
    auto_free char *data = mem_zalloc(1, COPY_DATA_MAX + 1);
    struct receiver *v = mem_zalloc(1, sizeof(*v));
    int rc;

    *v = (struct receiver){.target = t, .in = in, .fd = -1, .r.data = data};
    if (t->stream >= 0)
        v->levels[v->depth++] = (struct level){.fd = -1};
    buf_puts(&v->path, "");
    rc = t->stream < 0 && open_target(v, e) < 0 ? -1 : take_all(v, e);
    drop_file(v);
    while (v->depth > 0)
        close_fd(&v->levels[--v->depth].fd);
    free(v->only);
    buf_free(&v->path);
    free(v);
    return rc;
}
