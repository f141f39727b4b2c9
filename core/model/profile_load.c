/* Settings from the command line, from files. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"
#include "model/profile.h"
#include "model/profile_keys.h"
#include "model/show.h"

enum { FILE_MAX_BYTES = 1 << 20 };

int profile_set(struct profile *p, const char *option, const char *section, const char *key,
                const char *value, struct err *e)
{
    struct profile_entry entry = {PROFILE_FLAGS, option, section, key, value};

    return profile_assign(p, &entry, e);
}

/* The user's own file may be a symlink, as tools for dotfiles make them; the project's may not: it
 * could lead to any file of the host. */
static int read_profile(enum profile_origin origin, const char *path, struct buf *text,
                        struct err *e)
{
    auto_close int fd = -1;
    struct stat st;

    if (origin == PROFILE_PROJECT)
        return file_read_at(AT_FDCWD, path, FILE_MAX_BYTES, text, e);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR)) {
        if (lstat(path, &st) < 0 || !S_ISLNK(st.st_mode))
            return 1;
        /* Not as if there were no settings: they may be restrictions. */
        err_set(e, "it is a symbolic link to a file that does not exist");
        return err_advise(e, "correct the link, or remove it");
    }
    if (fd < 0)
        return err_errno(e, errno, "cannot open it");
    return file_read_fd(fd, FILE_MAX_BYTES, text, e);
}

static int refuse_missing(const char *shown, struct err *e)
{
    err_set(e, "profile %s does not exist", shown);
    return err_advise(e, "name an existing file; its keys are described in agentvm.ini(5)");
}

int profile_load(struct profile *p, enum profile_origin origin, const char *path, bool required,
                 struct err *e)
{
    auto_buf struct buf text = BUF_INIT;
    auto_free char *shown = show_text(path, 0);
    int rc = read_profile(origin, path, &text, e);

    if (rc < 0)
        return origin == PROFILE_PROJECT ? -1 : err_prefix(e, "%s", shown);
    if (rc == 0)
        return profile_apply(p, origin, path, text.data, text.len, e);
    return required ? refuse_missing(shown, e) : 0;
}

int profile_check_file(const char *path, struct strv *problems, struct err *e)
{
    auto_buf struct buf text = BUF_INIT;
    auto_free char *shown = show_text(path, 0);
    int rc = read_profile(PROFILE_USER, path, &text, e);

    if (rc < 0)
        return err_prefix(e, "%s", shown);
    if (rc > 0)
        return refuse_missing(shown, e);
    profile_check(path, text.data, text.len, problems);
    return 0;
}
