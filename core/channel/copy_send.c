/* Walks what is copied.  No symlink is followed but in the path of a source itself, which the user
 * wrote. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "channel/copy.h"

enum { NS_PER_S = 1000000000 };

struct sender {
    int out;
    char *const *hostile;
    copy_note_fn *note;
    void *arg;
    struct buf path; /* of what is sent now */
    struct copy_record r;
    size_t depth;
    bool peer_lost; /* writing failed: there is nobody to be told why */
};

static int send_tree(struct sender *s, int dir, const char *name, struct err *e);

static int emit(struct sender *s, uint8_t type, struct err *e)
{
    s->r.type = type;
    if (copy_write(s->out, &s->r, e) == 0)
        return 0;
    s->peer_lost = true;
    return -1;
}

/* The head of what st describes. */
static void describe(struct sender *s, const struct stat *st)
{
    auto_free char *name = copy_name(s->path.data);

    s->r.mode = st->st_mode & 0777;
    s->r.time = (int64_t)st->st_mtim.tv_sec * NS_PER_S + st->st_mtim.tv_nsec;
    s->r.len = 0;
    /* A source's name is not looked at, but must be one. */
    snprintf(s->r.name, sizeof(s->r.name), "%s",
             strcmp(name, ".") == 0 || strlen(name) > COPY_NAME_MAX ? "source" : name);
}

static int end_entry(struct sender *s, uint8_t type, struct err *e)
{
    s->r.name[0] = '\0';
    s->r.len = 0;
    return emit(s, type, e);
}

/* A file's data, no more than it had at first: one that grows has an end, too. */
static int send_data(struct sender *s, int fd, uint64_t max, struct err *e)
{
    s->r.name[0] = '\0';
    while (max > 0) {
        ssize_t n = read(fd, s->r.data, max < COPY_DATA_MAX ? max : COPY_DATA_MAX);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(e, errno, "cannot read %s", s->path.data);
        if (n == 0)
            break;
        s->r.len = (uint32_t)n;
        max -= (uint64_t)n;
        if (emit(s, COPY_DATA, e) < 0)
            return -1;
    }
    return end_entry(s, COPY_COMPLETE, e);
}

static int send_file(struct sender *s, int fd, const struct stat *st, struct err *e)
{
    bool has_size = S_ISREG(st->st_mode) && st->st_size > 0; /* those of /proc have none */

    describe(s, st);
    if (emit(s, COPY_FILE, e) < 0)
        return -1;
    return send_data(s, fd, has_size ? (uint64_t)st->st_size : UINT64_MAX, e);
}

static int send_stdin(struct sender *s, struct err *e)
{
    struct stat st = {.st_mode = 0644, .st_mtim.tv_sec = time(NULL)};

    s->path.len = 0;
    buf_puts(&s->path, "standard input");
    return send_file(s, STDIN_FILENO, &st, e);
}

static int send_link(struct sender *s, int dir, const char *name, const struct stat *st,
                     struct err *e)
{
    ssize_t n = readlinkat(dir, name, s->r.data, COPY_TARGET_MAX);

    if (n < 0)
        return err_errno(e, errno, "cannot read the link %s", s->path.data);
    describe(s, st);
    s->r.len = (uint32_t)n;
    return emit(s, COPY_LINK, e);
}

static int send_special(struct sender *s, const struct stat *st, struct err *e)
{
    if (s->note) {
        s->note(s->arg, s->path.data, "neither file, folder nor link");
        if (s->depth > 0)
            return 0;
    }
    describe(s, st);
    return emit(s, COPY_SKIPPED, e);
}

static int send_entries(struct sender *s, DIR *d, struct err *e)
{
    size_t len = s->path.len;
    struct dirent *entry;

    while ((errno = 0, entry = readdir(d))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        buf_printf(&s->path, "%s%s", s->path.data[len - 1] == '/' ? "" : "/", entry->d_name);
        if (send_tree(s, dirfd(d), entry->d_name, e) < 0)
            return -1;
        s->path.len = len;
        s->path.data[len] = '\0';
    }
    return errno ? err_errno(e, errno, "cannot read folder %s", s->path.data) : 0;
}

static int send_folder(struct sender *s, int fd, const struct stat *st, struct err *e)
{
    DIR *d;
    int rc;

    if (s->depth == COPY_DEPTH_MAX)
        return err_set(e, "%s: more than %d folders within each other", s->path.data,
                       COPY_DEPTH_MAX);
    describe(s, st);
    if (emit(s, COPY_FOLDER, e) < 0)
        return -1;
    d = fdopendir(fcntl(fd, F_DUPFD_CLOEXEC, 3));
    if (!d)
        return err_errno(e, errno, "cannot read folder %s", s->path.data);
    s->depth++;
    rc = send_entries(s, d, e);
    s->depth--;
    closedir(d);
    return rc < 0 ? -1 : end_entry(s, COPY_LEAVE, e);
}

static int send_tree(struct sender *s, int dir, const char *name, struct err *e)
{
    auto_close int fd = -1;
    struct stat st;

    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return err_errno(e, errno, "cannot copy %s", s->path.data);
    if (S_ISLNK(st.st_mode))
        return send_link(s, dir, name, &st, e);
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        return send_special(s, &st, e);
    fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_errno(e, errno, "cannot open %s", s->path.data);
    if (S_ISDIR(st.st_mode))
        return send_folder(s, fd, &st, e);
    return S_ISREG(st.st_mode) ? send_file(s, fd, &st, e) : send_special(s, &st, e);
}

static int send_source(struct sender *s, const char *source, struct err *e)
{
    auto_free char *name = NULL;
    auto_close int dir = copy_find(source, s->hostile, &name, e);

    if (dir >= 0)
        return send_tree(s, dir, name, e);
    return e->msg ? err_prefix(e, "cannot copy %s", source)
                  : err_errno(e, errno, "cannot copy %s", source);
}

static int send_sources(struct sender *s, char *const *sources, struct err *e)
{
    for (; *sources; sources++) {
        if (strcmp(*sources, "-") == 0) {
            if (send_stdin(s, e) < 0)
                return -1;
            continue;
        }
        s->path.len = 0;
        buf_puts(&s->path, *sources);
        if (send_source(s, *sources, e) < 0)
            return -1;
    }
    return 0;
}

int copy_send(int out, char *const *sources, char *const *hostile, copy_note_fn *note, void *arg,
              struct err *e)
{
    auto_free char *data = mem_zalloc(1, COPY_DATA_MAX + 1);
    struct sender s = {.out = out, .hostile = hostile, .note = note, .arg = arg, .r.data = data};
    auto_err struct err why = ERR_INIT;
    int rc = send_sources(&s, sources, &why);

    buf_free(&s.path);
    if (s.peer_lost || copy_answer(out, &why, NULL) < 0)
        return 1;
    return rc < 0 ? err_set(e, "%s", err_msg(&why)) : 0;
}
