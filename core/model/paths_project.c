/* Which folders may be shared with a VM.
 *
 * The guest writes in the folder as the user, so whatever the host executes or trusts must not be
 * in it, and nothing of the user's that is not the project.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "model/paths.h"
#include "model/show.h"

/* The system's: nothing below is a project. */
static const char *const system_strict[] = {"/bin",   "/boot",   "/dev",  "/etc",  "/lib", "/lib32",
                                            "/lib64", "/libx32", "/proc", "/sbin", "/sys"};
/* The system's too, but people keep projects in some corners of them. */
static const char *const system_loose[] = {"/run", "/usr", "/var"};
static const char *const system_corners[] = {"/dev/shm",       "/run/media", "/usr/src",
                                             "/usr/local/src", "/var/tmp",   "/var/www"};

/* Below a home folder: secrets, or what decides what the host runs. */
static const char *const private_folders[] = {
    ".ssh",
    ".gnupg",
    ".aws",
    ".azure",
    ".kube",
    ".docker",
    ".claude",
    ".codex",
    ".mozilla",
    ".pki",
    ".password-store",
    ".config/gcloud",
    ".config/gh",
    ".config/autostart",
    ".config/systemd",
    ".local/share/keyrings",
};

static bool is_below(const char *path, const char *folder)
{
    return file_is_inside(path, folder) && strcmp(path, folder) != 0;
}

static bool is_same(const char *path, const char *folder)
{
    return strcmp(path, folder) == 0;
}

static bool overlaps(const char *a, const char *b)
{
    return file_is_inside(a, b) || file_is_inside(b, a);
}

/* Canonical form of a path whose last components need not exist yet. */
static char *canonical(const char *path)
{
    auto_free char *head = mem_strdup(path);
    auto_free char *tail = mem_strdup("");

    for (;;) {
        auto_free char *real = realpath(head, NULL);
        char *slash = strrchr(head, '/'), *longer;

        if (real)
            return mem_printf("%s%s", *tail && strcmp(real, "/") == 0 ? "" : real, tail);
        if (!slash || slash == head)
            return mem_strdup(path);
        longer = mem_printf("%s%s", slash, tail);
        free(tail);
        tail = longer;
        *slash = '\0';
    }
}

static int refuse(const char *path, const char *why, struct err *e)
{
    auto_free char *shown = show_text(path, 0);

    return err_set(e, "will not share %s with a VM: %s", shown, why);
}

static int check_whole(const char *path, struct err *e)
{
    if (strcmp(path, "/") == 0)
        return refuse(path, "it is the whole system", e);
    if (strcmp(path, "/tmp") == 0)
        return refuse(path, "it holds temporary files of all programs and users", e);
    if (strcmp(path, "/home") == 0)
        return refuse(path, "it holds all home folders", e);
    if (strcmp(path, "/root") == 0 || (is_below(path, "/home") && !strchr(path + 6, '/')))
        return refuse(path, "it is a home folder", e);
    return 0;
}

static int check_home(const char *path, const char *home, bool private, struct err *e)
{
    auto_free char *real = canonical(home);
    struct stat a, b;

    /* By device and inode too: a bind mount is another path to the same folder. */
    if (strcmp(path, real) == 0 || (stat(path, &a) == 0 && stat(real, &b) == 0 &&
                                    a.st_dev == b.st_dev && a.st_ino == b.st_ino))
        return refuse(path, "it is your home folder", e);
    if (file_is_inside(real, path))
        return refuse(path, "it contains your home folder", e);
    for (size_t i = 0; private && i < ARRAY_LEN(private_folders); i++) {
        auto_free char *named =
            mem_printf("%s/%s", strcmp(real, "/") == 0 ? "" : real, private_folders[i]);
        auto_free char *folder = canonical(named);
        auto_free char *why = NULL;

        if (!overlaps(path, folder))
            continue;
        why = mem_printf("~/%s is there, which is private", private_folders[i]);
        return refuse(path, why, e);
    }
    return 0;
}

static bool is_any(const char *path, const char *const *folders, size_t n,
                   bool (*test)(const char *, const char *))
{
    for (size_t i = 0; i < n; i++)
        if (test(path, folders[i]))
            return true;
    return false;
}

static int check_system(const char *path, const struct stat *st, struct err *e)
{
    bool own = geteuid() != 0 && st->st_uid == geteuid();

    if (is_any(path, system_corners, ARRAY_LEN(system_corners), is_below))
        return 0;
    if (is_any(path, system_strict, ARRAY_LEN(system_strict), file_is_inside) ||
        (!own && is_any(path, system_loose, ARRAY_LEN(system_loose), file_is_inside)))
        return refuse(path, "it is a folder of the system", e);
    return 0;
}

/* Writing there, a guest could change what agentvm itself does on the host. */
static int check_own(const struct paths *p, const char *path, struct err *e)
{
    const char *const own[] = {p->data, p->cache, p->config, p->run};
    auto_free char *plugins = canonical(p->plugins_system);

    for (size_t i = 0; i < ARRAY_LEN(own); i++) {
        auto_free char *folder = canonical(own[i]);
        auto_free char *shown = show_text(own[i], 0);
        auto_free char *why = NULL;

        if (!overlaps(path, folder))
            continue;
        why = mem_printf("agentvm's own folder %s is there", shown);
        return refuse(path, why, e);
    }
    if (overlaps(path, plugins)) {
        refuse(path, "the agentvm that is running has its plugins there", e);
        return err_advise(e, "install agentvm outside of the project (make install) and run that");
    }
    return 0;
}

static int resolve(const char *folder, char **out, struct stat *st, struct err *e)
{
    auto_free char *shown = show_text(folder ? folder : "the working directory", 0);

    *out = realpath(folder ? folder : ".", NULL);
    if (!*out && errno == ENOENT) {
        err_set(e, "project folder: %s does not exist", shown);
        return err_advise(e, folder ? "create it, or name another" : "change to another folder");
    }
    if (!*out || stat(*out, st) < 0)
        return err_errno(e, errno, "project folder: cannot open %s", shown);
    if (!S_ISDIR(st->st_mode)) {
        err_set(e, "project folder: %s is not a folder", shown);
        return err_advise(e, "name the folder that it is in");
    }
    if (access(*out, R_OK | X_OK) < 0)
        return err_errno(e, errno, "project folder: cannot read %s", shown);
    return 0;
}

/* private: what holds secrets is refused, too. */
static int check_folders(const struct paths *p, const char *path, bool private, struct err *e)
{
    const struct passwd *pw = getpwuid(geteuid());

    if (check_whole(path, e) < 0 || check_home(path, p->home, private, e) < 0)
        return -1;
    if (pw && pw->pw_dir && pw->pw_dir[0] == '/' && check_home(path, pw->pw_dir, private, e) < 0)
        return -1;
    return 0;
}

int paths_project(const struct paths *p, const char *folder, char **out, struct err *e)
{
    auto_free char *path = NULL;
    struct stat st;

    *out = NULL;
    if (resolve(folder, &path, &st, e) < 0)
        return -1;
    if (check_folders(p, path, true, e) < 0 || check_system(path, &st, e) < 0 ||
        check_own(p, path, e) < 0)
        return e && e->advice ? -1
                              : err_advise(e, "run agentvm in the folder of one project, for "
                                              "example ~/src/project");
    *out = steal_ptr(&path);
    return 0;
}

int paths_open_project(const char *folder, const char *path, int *out, struct err *e)
{
    auto_close int fd = open(folder ? folder : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    auto_free char *shown = show_text(path, 0);
    char link[32], found[PATH_MAX] = {0};

    if (fd < 0)
        return err_errno(e, errno, "project folder: cannot open %s", shown);
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    if (readlink(link, found, sizeof(found) - 1) < 0 || strcmp(found, path) != 0) {
        err_set(e, "project folder: %s is not what it was a moment ago", shown);
        return err_advise(e, "look who changes it, and try again");
    }
    *out = steal_fd(&fd);
    return 0;
}

int paths_mount(const struct paths *p, const char *path, bool writable, struct err *e)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return err_errno(e, errno, "cannot examine a mount");
    if (check_folders(p, path, false, e) < 0 || check_own(p, path, e) < 0)
        return -1;
    if (writable)
        return check_system(path, &st, e);
    /* In the VM it would hide the VM's own. */
    if (is_any(path, system_strict, ARRAY_LEN(system_strict), is_same) ||
        is_any(path, system_loose, ARRAY_LEN(system_loose), is_same))
        return refuse(path, "it is a folder of the system", e);
    return 0;
}
