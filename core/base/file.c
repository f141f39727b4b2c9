#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/mem.h"

int file_read_fd(int fd, size_t max, struct buf *out, struct err *e)
{
    buf_free(out);
    for (;;) {
        ssize_t n;

        buf_reserve(out, 65536);
        n = read(fd, out->data + out->len, 65536);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(e, errno, "cannot read");
        out->data[out->len + (size_t)n] = '\0';
        out->len += (size_t)n;
        if (out->len > max)
            return err_set(e, "larger than %zu bytes", max);
        if (n == 0)
            return 0;
    }
}

/* The whole path of an open file, for a shell; the caller frees it. */
static char *quote_path(int fd, const char *name)
{
    char link[32], path[PATH_MAX] = {0};

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    return str_quote(readlink(link, path, sizeof(path) - 1) > 0 ? path : name);
}

static int check_private(int fd, const struct stat *st, const char *name, struct err *e)
{
    auto_free char *path = quote_path(fd, name);

    if (st->st_uid != geteuid() && st->st_uid != 0) {
        err_set(e, "%s belongs to user %u, and holds a secret", name, st->st_uid);
        return err_advise(e, "make it anew as a file of your own");
    }
    if (!(st->st_mode & (S_IRWXG | S_IRWXO)))
        return 0;
    err_set(e, "%s can be read or written by others (mode %04o), and holds a secret", name,
            st->st_mode & 07777);
    return err_advise(
        e, "take that right away with: chmod 600 %s; renew the secret if others may have read it",
        path);
}

static int read_file(int dirfd, const char *name, size_t max, bool secret, struct buf *out,
                     struct err *e)
{
    auto_close int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;

    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return 1;
    if (fd < 0 && errno == ELOOP)
        return err_set(e, "%s: is a symbolic link; agentvm reads it only as a plain file", name);
    if (fd < 0)
        return err_errno(e, errno, "cannot open %s", name);
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return err_set(e, "%s: not a regular file", name);
    if (secret && check_private(fd, &st, name, e) < 0)
        return -1;
    if (file_read_fd(fd, max, out, e) < 0)
        return err_prefix(e, "%s", name);
    return 0;
}

int file_read_at(int dirfd, const char *name, size_t max, struct buf *out, struct err *e)
{
    return read_file(dirfd, name, max, false, out, e);
}

int file_read_private_at(int dirfd, const char *name, size_t max, struct buf *out, struct err *e)
{
    return read_file(dirfd, name, max, true, out, e);
}

void file_read_tail(const char *path, size_t max, struct buf *out)
{
    auto_close int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1;
    struct stat st;
    ssize_t n;

    buf_free(out);
    buf_puts(out, "");
    if (fd < 0 || fstat(fd, &st) < 0)
        return;
    buf_reserve(out, max);
    n = pread(fd, out->data, max, st.st_size > (off_t)max ? st.st_size - (off_t)max : 0);
    out->len = n > 0 ? (size_t)n : 0;
    out->data[out->len] = '\0';
}

int file_write_stream(int fd, const void *data, size_t len)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    const char *next = data;
    sigset_t none;

    sigemptyset(&none);
    while (len > 0) {
        /* After POLLOUT a pipe takes so much without blocking. */
        size_t block = len < PIPE_BUF ? len : PIPE_BUF;
        bool ready = poll(&p, 1, 0) > 0 || ppoll(&p, 1, NULL, &none) > 0;
        ssize_t n = ready ? write(fd, next, block) : -1;

        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return -1;
        if (n > 0) {
            next += n;
            len -= (size_t)n;
        }
    }
    return 0;
}

int file_write_all(int fd, const void *data, size_t len, struct err *e)
{
    const char *p = data;

    while (len > 0) {
        ssize_t n = write(fd, p, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(e, errno, "cannot write");
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

int file_write_at(int dirfd, const char *name, const void *data, size_t len, mode_t mode,
                  struct err *e)
{
    auto_free char *tmp = mem_printf("%s.%ld.tmp", name, (long)getpid());
    auto_close int fd = -1;

    unlinkat(dirfd, tmp, 0);
    fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return err_errno(e, errno, "cannot create %s", tmp);
    if (fchmod(fd, mode) < 0 || file_write_all(fd, data, len, e) < 0 || fdatasync(fd) < 0 ||
        renameat(dirfd, tmp, dirfd, name) < 0) {
        err_errno(e, errno, "cannot write %s", name);
        unlinkat(dirfd, tmp, 0);
        return -1;
    }
    return 0;
}

int file_create_at(int dirfd, const char *name, const void *data, size_t len, mode_t mode,
                   struct err *e)
{
    auto_close int fd =
        openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);

    if (fd < 0 && errno == EEXIST)
        return 1;
    if (fd < 0)
        return err_errno(e, errno, "cannot create %s", name);
    if (file_write_all(fd, data, len, e) < 0) {
        unlinkat(dirfd, name, 0);
        return err_prefix(e, "%s", name);
    }
    return 0;
}

bool file_is_inside(const char *path, const char *folder)
{
    size_t len = strlen(folder);

    if (strcmp(folder, "/") == 0)
        return true;
    return strncmp(path, folder, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

void file_drop_inner(struct strv *paths)
{
    struct strv outer = STRV_INIT;

    for (size_t i = 0; i < paths->n; i++) {
        bool inner = false;

        for (size_t j = 0; j < paths->n && !inner; j++)
            inner = j != i && file_is_inside(paths->v[i], paths->v[j]);
        if (!inner)
            strv_push(&outer, paths->v[i]);
    }
    strv_free(paths);
    *paths = outer;
}

int file_mkdirs(const char *path, mode_t mode, struct err *e)
{
    auto_free char *copy = mem_strdup(path);

    for (char *p = copy + 1;; p++) {
        char saved = *p;

        if (saved != '/' && saved != '\0')
            continue;
        *p = '\0';
        if (mkdir(copy, mode) < 0 && errno != EEXIST)
            return err_errno(e, errno, "cannot create folder %s", copy);
        if (saved == '\0')
            return 0;
        *p = saved;
    }
}

int file_open_below(int dirfd, const char *path, bool make, struct err *e)
{
    auto_close int at = fcntl(dirfd, F_DUPFD_CLOEXEC, 0);
    auto_free char *copy = mem_strdup(path);
    char *save = NULL;

    for (char *name = strtok_r(copy, "/", &save); name && at >= 0;
         name = strtok_r(NULL, "/", &save)) {
        int next = make && mkdirat(at, name, 0700) < 0 && errno != EEXIST
                       ? -1
                       : openat(at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int errnum = errno;

        close(at);
        at = next;
        errno = errnum;
    }
    if (at < 0) {
        int errnum = errno;

        err_errno(e, errnum, "cannot open folder %s", path);
        errno = errnum;
    }
    return steal_fd(&at);
}

static int remove_children(int fd, struct err *e)
{
    DIR *dir = fdopendir(fd);
    struct dirent *entry;
    int rc = 0;

    if (!dir) {
        close(fd);
        return err_errno(e, errno, "cannot list a folder");
    }
    while ((entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (file_remove_tree_at(dirfd(dir), entry->d_name, e) < 0)
            rc = -1;
    }
    closedir(dir);
    return rc;
}

int file_remove_tree_at(int dirfd, const char *name, struct err *e)
{
    int fd;

    if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return err_errno(e, errno, "cannot remove %s", name);
    fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : err_errno(e, errno, "cannot remove %s", name);
    if (remove_children(fd, e) < 0)
        return -1;
    if (unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        return err_errno(e, errno, "cannot remove %s", name);
    return 0;
}

int file_lock_at(int dirfd, const char *name, bool shared, bool wait, struct err *e)
{
    auto_close int fd = openat(dirfd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    int op = (shared ? LOCK_SH : LOCK_EX) | (wait ? 0 : LOCK_NB);

    if (fd < 0)
        return err_errno(e, errno, "cannot open %s", name);
    while (flock(fd, op) < 0) {
        if (errno == EINTR && wait)
            continue;
        if (errno == EWOULDBLOCK)
            return -1;
        return err_errno(e, errno, "cannot lock %s", name);
    }
    return steal_fd(&fd);
}

int file_memfd(const char *name, const void *data, size_t len, struct err *e)
{
    auto_close int fd = memfd_create(name, MFD_CLOEXEC);

    if (fd < 0)
        return err_errno(e, errno, "cannot create a file in memory");
    if (file_write_all(fd, data, len, e) < 0)
        return -1;
    if (lseek(fd, 0, SEEK_SET) < 0)
        return err_errno(e, errno, "cannot rewind a file in memory");
    return steal_fd(&fd);
}

static int change_flag(int fd, int get, int set, int flag, bool on, struct err *e)
{
    int flags = fcntl(fd, get);

    if (flags < 0 || fcntl(fd, set, on ? flags | flag : flags & ~flag) < 0)
        return err_errno(e, errno, "cannot change flags of descriptor %d", fd);
    return 0;
}

int file_set_cloexec(int fd, bool on, struct err *e)
{
    return change_flag(fd, F_GETFD, F_SETFD, FD_CLOEXEC, on, e);
}

int file_set_nonblock(int fd, bool on, struct err *e)
{
    return change_flag(fd, F_GETFL, F_SETFL, O_NONBLOCK, on, e);
}

uint64_t file_limit(void)
{
    struct rlimit limit;

    return getrlimit(RLIMIT_NOFILE, &limit) < 0 ? 0 : limit.rlim_cur;
}

void file_raise_limit(uint64_t files)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= files)
        return;
    limit.rlim_cur = files < limit.rlim_max ? files : limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

int file_free_space(const char *path, uint64_t *bytes, struct err *e)
{
    struct statvfs st;

    if (statvfs(path, &st) < 0)
        return err_errno(e, errno, "cannot ask for the free space of %s", path);
    *bytes = (uint64_t)st.f_bavail * st.f_frsize;
    return 0;
}

int file_check_space(const char *path, uint64_t bytes, const char *what, struct err *e)
{
    uint64_t available = 0;

    if (file_free_space(path, &available, e) < 0)
        return -1;
    if (available >= bytes)
        return 0;
    return err_set(e, "%s needs %.1f GiB of free disk space in %s, and there are %.1f GiB", what,
                   (double)bytes / (1 << 30), path, (double)available / (1 << 30));
}
