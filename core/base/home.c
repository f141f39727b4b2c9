#include "base/home.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* Follows the symlinks as the file system has them now.  Returns 0 with the path relative to
 * *real_home, or as home_find. */
static int resolve(const char *home, const char *path, char **real_home, char **relative,
                   struct err *e)
{
    auto_free char *full = mem_printf("%s/%s", home, path), *real = NULL;
    size_t len;

    *real_home = realpath(home, NULL);
    real = *real_home ? realpath(full, NULL) : NULL;
    if (!real && (errno == ENOENT || errno == ENOTDIR))
        return 1;
    if (!real)
        return err_errno(e, errno, "~/%s", path);
    len = strcmp(*real_home, "/") == 0 ? 0 : strlen(*real_home);
    if (strncmp(real, *real_home, len) != 0 || real[len] != '/')
        return err_set(e, "~/%s is a link that leads out of the home folder, to %s", path, real);
    *relative = mem_strdup(real + len + 1);
    return 0;
}

/* Opens the folder of a path without a link in it, component by component, each O_NOFOLLOW: if
 * somebody puts a link there after resolve looked, this fails.  Returns a descriptor or -1. */
static int open_parent(const char *home, const char *path)
{
    int dir = open(home, O_PATH | O_DIRECTORY | O_CLOEXEC);

    for (const char *slash; dir >= 0 && (slash = strchr(path, '/')); path = slash + 1) {
        auto_free char *name = mem_dup(path, (size_t)(slash - path));
        int next = openat(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

        close_fd(&dir);
        dir = next;
    }
    return dir;
}

int home_find(const char *home, const char *path, struct home_file *out, struct err *e)
{
    auto_free char *real_home = NULL;
    char *slash;
    int rc;

    *out = HOME_FILE_INIT;
    rc = resolve(home, path, &real_home, &out->path, e);
    if (rc != 0)
        return rc;
    out->dir = open_parent(real_home, out->path);
    if (out->dir < 0)
        return err_errno(e, errno, "~/%s", path);
    slash = strrchr(out->path, '/');
    out->name = slash ? slash + 1 : out->path;
    return 0;
}

void home_file_free(struct home_file *f)
{
    close_fd(&f->dir);
    free(steal_ptr(&f->path));
}
