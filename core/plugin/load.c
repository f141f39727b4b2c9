#include "plugin/load.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "model/show.h"

enum { WHY_MAX = 300 }; /* bytes of the dynamic linker's message that an error repeats */

static int check_owner(const struct stat *st, const char *path, struct err *e)
{
    if (st->st_uid == 0 || st->st_uid == geteuid())
        return 0;
    err_set(e, "%s belongs to user %u: whoever owns it could run programs as you", path,
            st->st_uid);
    return err_advise(e, "install plugins from files and folders that are yours or root's");
}

static int check_mode(const struct stat *st, const char *path, struct err *e)
{
    if (!(st->st_mode & (S_IWGRP | S_IWOTH)))
        return 0;
    err_set(e, "%s can be written by others (mode %04o)", path, st->st_mode & 07777);
    return err_advise(e,
                      "take that right away with: chmod go-w %s (a plugin's %s must be writable by "
                      "its owner only)",
                      path, S_ISDIR(st->st_mode) ? "folder" : "file");
}

static int check_type(const struct stat *st, const char *path, mode_t type, struct err *e)
{
    if ((st->st_mode & S_IFMT) == type)
        return 0;
    return err_set(e, "%s is not a %s", path, type == S_IFDIR ? "folder" : "regular file");
}

static int check_place(int fd, const char *path, mode_t type, struct err *e)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return err_errno(e, errno, "cannot examine %s", path);
    if (check_type(&st, path, type, e) < 0 || check_owner(&st, path, e) < 0)
        return -1;
    return check_mode(&st, path, e);
}

/* path is resolved already. */
static int open_folder(const char *path, struct err *e)
{
    auto_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0) {
        int errnum = errno;

        err_errno(e, errnum, "cannot open folder %s", path);
        errno = errnum;
        return -1;
    }
    if (check_place(fd, path, S_IFDIR, e) < 0) {
        errno = EPERM;
        return -1;
    }
    return steal_fd(&fd);
}

static int resolve(const char *path, char **resolved, struct err *e)
{
    int errnum;

    *resolved = realpath(path, NULL);
    if (*resolved)
        return 0;
    errnum = errno;
    err_errno(e, errnum, "cannot open %s", path);
    errno = errnum;
    return -1;
}

int load_open_folder(const char *path, struct err *e)
{
    auto_free char *real = NULL;

    return resolve(path, &real, e) < 0 ? -1 : open_folder(real, e);
}

int load_open(const char *path, char **resolved, struct err *e)
{
    auto_free char *real = NULL, *folder = NULL;
    auto_close int dir = -1, fd = -1;
    const char *name;

    if (resolve(path, &real, e) < 0)
        return -1;
    name = strrchr(real, '/') + 1;
    folder = mem_dup(real, name - real > 1 ? (size_t)(name - real - 1) : 1);
    dir = open_folder(folder, e);
    if (dir < 0)
        return -1;
    fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        int errnum = errno;

        err_errno(e, errnum, "cannot open %s", real);
        errno = errnum;
        return -1;
    }
    if (check_place(fd, real, S_IFREG, e) < 0) {
        errno = EPERM;
        return -1;
    }
    if (resolved)
        *resolved = steal_ptr(&real);
    return steal_fd(&fd);
}

/* ---- all faults of a place ------------------------------------------------------------------ */

static void add_fault(struct strv *faults, const struct err *why)
{
    strv_pushf(faults, "%s%s%s", err_msg(why), why->advice ? "; " : "",
               why->advice ? why->advice : "");
}

static void list_faults(const char *path, mode_t type, struct strv *faults)
{
    auto_err struct err e = ERR_INIT;
    struct stat st;

    if (stat(path, &st) < 0) {
        err_errno(&e, errno, "cannot examine %s", path);
        add_fault(faults, &e);
        return;
    }
    if (check_type(&st, path, type, &e) < 0) {
        add_fault(faults, &e);
        return;
    }
    if (check_owner(&st, path, &e) < 0)
        add_fault(faults, &e);
    if (check_mode(&st, path, &e) < 0)
        add_fault(faults, &e);
}

/* The folder part of a path; the caller frees it. */
static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (!slash)
        return mem_strdup(".");
    return mem_dup(path, slash == path ? 1 : (size_t)(slash - path));
}

void load_list_faults(const char *path, struct strv *faults)
{
    auto_free char *real = realpath(path, NULL), *named = folder_of(path);
    auto_free char *folder = real ? folder_of(real) : NULL, *named_real = realpath(named, NULL);
    auto_err struct err e = ERR_INIT;

    if (!real) {
        err_errno(&e, errno, "cannot open %s", path);
        add_fault(faults, &e);
        return;
    }
    if (named_real && strcmp(named_real, folder) != 0)
        list_faults(named_real, S_IFDIR, faults);
    list_faults(folder, S_IFDIR, faults);
    list_faults(real, S_IFREG, faults);
}

/* ---- loading -------------------------------------------------------------------------------- */

/* What dlerror says, without the name by which we opened the file. */
static int link_error(const char *name, struct err *e)
{
    const char *why = dlerror();
    auto_free char *shown = NULL;

    why = why ? why : "unknown error";
    if (str_starts(why, name) && why[strlen(name)] == ':')
        why += strlen(name) + 1;
    shown = show_text(why + strspn(why, " "), WHY_MAX);
    err_set(e, "the dynamic linker refuses it: %s", shown);
    return err_advise(e, "build it as agentvm/plugin.h says: cc -shared -fPIC -Wl,-z,defs");
}

static int check_abi(const struct agentvm_plugin *head, struct err *e)
{
    if (head->magic != AGENTVM_PLUGIN_MAGIC)
        return err_set(e, "is no agentvm plugin: its magic number is wrong");
    if (head->abi_major == AGENTVM_ABI_MAJOR && head->abi_minor <= AGENTVM_ABI_MINOR)
        return 0;
    err_set(e, "was built for plugin interface %u.%u, this agentvm has %u.%u", head->abi_major,
            head->abi_minor, AGENTVM_ABI_MAJOR, AGENTVM_ABI_MINOR);
    return err_advise(e,
                      "build the plugin with this agentvm's plugin.h, or use the agentvm that it "
                      "was built for");
}

int load_table(int fd, struct agentvm_plugin *out, struct err *e)
{
    auto_free char *name = mem_printf("/proc/self/fd/%d", fd);
    void *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL); /* never closed: the process ends soon */
    const void *table;

    *out = (struct agentvm_plugin){0};
    if (!handle)
        return link_error(name, e);
    table = dlsym(handle, "agentvm_plugin");
    if (!table)
        return err_set(e, "is no agentvm plugin: it exports no symbol agentvm_plugin");
    /* The head's layout is the same in every version; only then the size can be believed. */
    memcpy(out, table, offsetof(struct agentvm_plugin, kind));
    if (check_abi(out, e) < 0)
        return -1;
    if (out->size < offsetof(struct agentvm_plugin, options))
        return err_set(e, "is broken: its table has %u bytes, at least %zu are needed", out->size,
                       offsetof(struct agentvm_plugin, options));
    memcpy(out, table, out->size < sizeof(*out) ? out->size : sizeof(*out));
    return 0;
}
