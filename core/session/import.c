/* A user's own configuration on its way into the guest.
 *
 * Every file is found anew from the home folder by home_find, which follows links as long as they
 * stay below it, and is judged by where it really is: a link of a harmless name to a credential is
 * a credential.  The guest gets copies, so whatever it does to them stays there.
 */
#include "session/import.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/home.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/show.h"

enum { WARNINGS_MAX = 8 };

/* Never copied, whatever a plugin asks for; agentvm-plugin(3) has the list.  The address of a
 * remote repository in .git may hold a password. */
static const char *const credentials[] = {
    ".credentials*",
    "credentials",
    "credentials.json",
    "auth.json",
    ".env",
    ".env.*",
    ".netrc",
    ".npmrc",
    ".pypirc",
    ".git-credentials",
    ".git",
    ".ssh",
    ".gnupg",
    ".aws",
    ".azure",
    ".kube",
    ".docker",
    ".password-store",
    "id_rsa*",
    "id_dsa*",
    "id_ecdsa*",
    "id_ed25519*",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "*.kdbx",
};

/* The imports of a session. */
struct import {
    struct session *s;
    const struct plan_step *step;
    size_t entries, bytes, left_out;
};

/* The folders that are being copied, from the innermost outwards, by where they really are. */
struct folder {
    const struct folder *above;
    const char *real;
    size_t depth;
};

static int import_entry(struct import *im, const char *source, const char *path,
                        const struct folder *in, struct err *e);

static bool is_credential_name(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(credentials); i++)
        if (fnmatch(credentials[i], name, FNM_CASEFOLD) == 0)
            return true;
    return false;
}

/* Whether one of the path's components is named like a credential. */
static bool is_credential(const char *path)
{
    for (;;) {
        size_t len = strcspn(path, "/");
        auto_free char *name = mem_dup(path, len);

        if (is_credential_name(name))
            return true;
        if (!path[len])
            return false;
        path += len + 1;
    }
}

/* Tells that something is not copied, which is no reason not to start. */
static void leave_out(struct import *im, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void leave_out(struct import *im, const char *fmt, ...)
{
    auto_free char *shown = NULL;
    char why[1024];
    va_list ap;

    if (++im->left_out > WARNINGS_MAX)
        return;
    va_start(ap, fmt);
    vsnprintf(why, sizeof(why), fmt, ap);
    va_end(ap);
    shown = show_text(why, 0);
    log_warn("not imported: %s", shown);
}

static int refuse(const struct import *im, const char *why, struct err *e)
{
    auto_free char *shown = show_text(im->step->name, 0);

    err_set(e, "~/%s, which plugin %s imports, %s", shown, im->step->plugin, why);
    return err_advise(e, "move what the agent does not need out of it, or import less, by the "
                         "plugin's options");
}

static int refuse_size(const struct import *im, int limit, const char *unit, struct err *e)
{
    auto_free char *why =
        mem_printf("is too large: all imports together may have %d %s", limit, unit);

    return refuse(im, why, e);
}

static int import_file(struct import *im, const struct home_file *f, const struct stat *st,
                       const char *source, const char *path, struct err *e)
{
    /* Others' rights to write are no use in the guest; the user may change the copy. */
    mode_t mode = (st->st_mode & 0755) | 0600;
    auto_buf struct buf data = BUF_INIT;
    auto_err struct err why = ERR_INIT;
    size_t left = IMPORT_BYTES_MAX - im->bytes;

    if ((uint64_t)st->st_size > left)
        return refuse_size(im, IMPORT_BYTES_MAX >> 20, "MiB", e);
    if (file_read_at(f->dir, f->name, left, &data, &why) != 0) {
        leave_out(im, "~/%s: %s", source, why.msg ? why.msg : "is gone");
        return 0;
    }
    im->bytes += data.len;
    if (guest_put(client_guest(im->s->link), path, mode, im->s->user.name, data.data, data.len, e) <
        0)
        return task_check(&im->s->task, e) < 0 ? -1 : err_prefix(e, "import of ~/%s", source);
    return task_check(&im->s->task, e);
}

static bool is_inside_itself(const struct folder *in, const char *real)
{
    for (; in; in = in->above)
        if (strcmp(in->real, real) == 0)
            return true;
    return false;
}

static int import_children(struct import *im, DIR *dir, const char *source, const char *path,
                           const struct folder *self, struct err *e)
{
    struct dirent *entry;

    while ((entry = readdir(dir))) {
        const char *name = entry->d_name;
        auto_free char *below = mem_printf("%s/%s", source, name);
        auto_free char *target = mem_printf("%s/%s", path, name);

        /* A repository's .git is no part of a configuration, and not worth a warning. */
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, ".git") == 0)
            continue;
        if (import_entry(im, below, target, self, e) < 0)
            return -1;
    }
    return 0;
}

static int import_folder(struct import *im, const struct home_file *f, const char *source,
                         const char *path, const struct folder *in, struct err *e)
{
    struct folder self = {.above = in, .real = f->path, .depth = in ? in->depth + 1 : 1};
    DIR *dir;
    int fd, rc;

    if (is_inside_itself(in, f->path)) {
        leave_out(im, "~/%s is a link to a folder around it", source);
        return 0;
    }
    if (self.depth > IMPORT_DEPTH_MAX)
        return refuse(im, "has folders too deep inside each other", e);
    fd = openat(f->dir, f->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        leave_out(im, "~/%s: %s", source, strerror(errno));
        close_fd(&fd);
        return 0;
    }
    rc = import_children(im, dir, source, path, &self, e);
    closedir(dir);
    return rc;
}

/* source is relative to the home on the host, path where its copy goes in the guest; in is the
 * folder that has it, NULL for what the plugin named. */
static int import_entry(struct import *im, const char *source, const char *path,
                        const struct folder *in, struct err *e)
{
    auto_home_file struct home_file f = HOME_FILE_INIT;
    auto_err struct err why = ERR_INIT;
    struct stat st;
    int rc;

    if (im->entries++ >= IMPORT_ENTRIES_MAX)
        return refuse_size(im, IMPORT_ENTRIES_MAX, "files and folders", e);
    rc = home_find(im->s->paths.home, source, &f, &why);
    if (rc < 0)
        leave_out(im, "%s", err_msg(&why));
    else if (rc == 0 && (is_credential(source) || is_credential(f.path)))
        leave_out(im, "~/%s is named like a credential", f.path);
    else if (rc == 0 && fstatat(f.dir, f.name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        if (S_ISDIR(st.st_mode))
            return import_folder(im, &f, source, path, in, e);
        if (S_ISREG(st.st_mode))
            return import_file(im, &f, &st, source, path, e);
        leave_out(im, "~/%s is neither a file nor a folder", source);
    }
    return 0;
}

int import_files(struct session *s, const struct plan *p, struct err *e)
{
    struct import im = {.s = s};

    for (size_t i = 0; i < p->n; i++) {
        im.step = &p->steps[i];
        if (im.step->op == PLAN_IMPORT &&
            import_entry(&im, im.step->name, im.step->path, NULL, e) < 0)
            return -1;
    }
    if (im.left_out > WARNINGS_MAX)
        log_warn("not imported: %zu more files and folders, for such reasons",
                 im.left_out - WARNINGS_MAX);
    return 0;
}
