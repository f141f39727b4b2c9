#include "base/home.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
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

int home_find(const char *home, const char *path, struct home_file *out, struct err *e)
{
    auto_free char *real_home = NULL, *parent = NULL;
    auto_close int root = -1;
    char *slash;
    int rc;

    *out = HOME_FILE_INIT;
    rc = resolve(home, path, &real_home, &out->path, e);
    if (rc != 0)
        return rc;
    slash = strrchr(out->path, '/');
    out->name = slash ? slash + 1 : out->path;
    parent = mem_dup(out->path, slash ? (size_t)(slash - out->path) : 0);
    root = open(real_home, O_PATH | O_DIRECTORY | O_CLOEXEC);
    /* Follows no link: if somebody puts one there after resolve looked, this fails. */
    out->dir = root < 0 ? -1 : file_open_below(root, parent, false, NULL);
    return out->dir < 0 ? err_errno(e, errno, "~/%s", path) : 0;
}

void home_file_free(struct home_file *f)
{
    close_fd(&f->dir);
    free(steal_ptr(&f->path));
}
