/* Preloaded into agentvm: a disk that is full at one moment.
 *
 *   FULL_DISK_BELOW  folders, separated by colons: what is written below them counts
 *   FULL_DISK_COUNT  file of 8 bytes: how many writes there were, of all processes together
 *   FULL_DISK_AT     the number, from 1 on, of the write that fails with ENOSPC
 *   FULL_DISK_STAYS  if not empty, all that come later fail, too
 *   FULL_DISK_LOG    file that gets a line a failure
 *
 * A write is whatever may need space: to make a file, folder or link, to rename one, to write, to
 * extend, and to sync, which is when some file systems notice. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static long *count(void)
{
    static long *shared;
    const char *name = getenv("FULL_DISK_COUNT");
    long fd;

    if (shared || !name)
        return shared;
    fd = syscall(SYS_openat, AT_FDCWD, name, O_RDWR | O_CLOEXEC, 0);
    if (fd < 0)
        return NULL;
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, (int)fd, 0);
    syscall(SYS_close, fd);
    if (shared == MAP_FAILED)
        shared = NULL;
    return shared;
}

static bool counts(const char *path)
{
    const char *below = getenv("FULL_DISK_BELOW");

    while (below && *below) {
        size_t len = strcspn(below, ":");

        if (strncmp(path, below, len) == 0 && (path[len] == '/' || !path[len]))
            return true;
        below += len + (below[len] == ':');
    }
    return false;
}

static void note(const char *what, const char *path)
{
    char line[2 * PATH_MAX];
    long fd = syscall(SYS_openat, AT_FDCWD, getenv("FULL_DISK_LOG"),
                      O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int n = snprintf(line, sizeof(line), "%s %s\n", what, path);

    syscall(SYS_write, fd, line, n);
    syscall(SYS_close, fd);
}

/* Whether this write fails; errno is set then. */
static bool is_full(const char *what, const char *path)
{
    const char *stays = getenv("FULL_DISK_STAYS");
    long at = strtol(getenv("FULL_DISK_AT") ? getenv("FULL_DISK_AT") : "0", NULL, 10), n;

    if (!count() || !counts(path))
        return false;
    n = __atomic_add_fetch(count(), 1, __ATOMIC_SEQ_CST);
    if (n != at && (n < at || !stays || !*stays))
        return false;
    note(what, path);
    errno = ENOSPC;
    return true;
}

static bool is_full_at(const char *what, int dirfd, const char *name)
{
    char link[64], path[2 * PATH_MAX] = {0};

    if (*name == '/')
        return is_full(what, name);
    snprintf(link, sizeof(link), dirfd == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", dirfd);
    if (readlink(link, path, PATH_MAX) < 0)
        return false;
    if (*name)
        snprintf(path + strlen(path), PATH_MAX, "/%s", name);
    return is_full(what, path);
}

/* Sockets, pipes and terminals take no space, nor does what has no name. */
static bool is_full_fd(const char *what, int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink > 0 &&
           is_full_at(what, fd, "");
}

static int open_at(int dirfd, const char *name, int flags, int mode)
{
    if ((flags & O_CREAT) && faccessat(dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0 &&
        is_full_at("create", dirfd, name))
        return -1;
    return (int)syscall(SYS_openat, dirfd, name, flags, mode);
}

#define MODE(last)               \
    ({                           \
        va_list ap;              \
        int mode_;               \
        va_start(ap, last);      \
        mode_ = va_arg(ap, int); \
        va_end(ap);              \
        mode_;                   \
    })

int open64(const char *name, int flags, ...)
{
    return open_at(AT_FDCWD, name, flags, flags & O_CREAT ? MODE(flags) : 0);
}

int openat64(int dirfd, const char *name, int flags, ...)
{
    return open_at(dirfd, name, flags, flags & O_CREAT ? MODE(flags) : 0);
}

ssize_t write(int fd, const void *data, size_t size)
{
    return is_full_fd("write", fd) ? -1 : syscall(SYS_write, fd, data, size);
}

ssize_t writev(int fd, const struct iovec *v, int n)
{
    return is_full_fd("write", fd) ? -1 : syscall(SYS_writev, fd, v, n);
}

int fsync(int fd)
{
    return is_full_fd("sync", fd) ? -1 : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    return is_full_fd("sync", fd) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int ftruncate64(int fd, off64_t size)
{
    return is_full_fd("extend", fd) ? -1 : (int)syscall(SYS_ftruncate, fd, size);
}

int mkdirat(int dirfd, const char *name, mode_t mode)
{
    if (faccessat(dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && is_full_at("mkdir", dirfd, name))
        return -1;
    return (int)syscall(SYS_mkdirat, dirfd, name, mode);
}

int mkdir(const char *name, mode_t mode)
{
    return mkdirat(AT_FDCWD, name, mode);
}

int symlink(const char *target, const char *name)
{
    return is_full_at("symlink", AT_FDCWD, name) ? -1 : (int)syscall(SYS_symlink, target, name);
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    if (is_full_at("rename", to_dir, to))
        return -1;
    return (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    return renameat2(from_dir, from, to_dir, to, 0);
}

int rename(const char *from, const char *to)
{
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0);
}
