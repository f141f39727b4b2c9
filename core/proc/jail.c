#include "proc/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

/* Names in the scratch folder. */
#define EMPTY_FILE "empty.f"
#define EMPTY_FOLDER "empty.d"

/* Room for the names in it, and no more. */
#define SCRATCH_OPTIONS "size=256k,nr_inodes=2048,mode=0755"

enum { MAP_MAX = 64 };

/* What root keeps: to act on its own files as an ordinary user does on theirs, and on others' as
 * the share's user may expect of root.  Not CAP_DAC_READ_SEARCH, which opens files by handle, past
 * every mount, and not CAP_MKNOD. */
static const int root_keeps[] = {CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID};

/* ---- the namespace -------------------------------------------------------------------------- */

static int write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    size_t len = strlen(text);
    ssize_t n;

    if (fd < 0)
        return -1;
    n = write(fd, text, len);
    close(fd);
    return n == (ssize_t)len ? 0 : -1;
}

/* The id is itself: "7 7 1". */
static int map_id(const char *path, unsigned id)
{
    char text[MAP_MAX];

    snprintf(text, sizeof(text), "%u %u 1", id, id);
    return write_file(path, text);
}

static int unshare_mounts(void)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();

    if (uid == 0 && unshare(CLONE_NEWNS) == 0)
        return 0;
    /* A process that changed its uid before would not be allowed to write its maps. */
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0 || prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0)
        return -1;
    if (write_file("/proc/self/setgroups", "deny") < 0 || map_id("/proc/self/uid_map", uid) < 0)
        return -1;
    return map_id("/proc/self/gid_map", gid);
}

static int enter_namespace(void)
{
    if (unshare_mounts() < 0)
        return -1;
    return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

/* ---- mounts --------------------------------------------------------------------------------- */

/* An O_PATH descriptor of a relative path; no part of it may be a symlink.  (O_NOFOLLOW would open
 * one that is the last part.) */
static int open_inside(int dir, const char *path)
{
    struct open_how how = {.flags = O_PATH | O_CLOEXEC,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};

    return (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
}

static int open_absolute(const char *path)
{
    struct open_how how = {.flags = O_PATH | O_CLOEXEC,
                           .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};

    return (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
}

static int set_readonly(int fd, unsigned flags)
{
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};

    return mount_setattr(fd, "", AT_EMPTY_PATH | flags, &attr, sizeof(attr));
}

/* Mounts what source is onto what target is, with all that is mounted below. */
static int bind_fd(int source, int target, bool readonly)
{
    int copy =
        open_tree(source, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE);
    int rc;

    if (copy < 0)
        return -1;
    rc = readonly ? set_readonly(copy, AT_RECURSIVE) : 0;
    if (rc == 0)
        rc = move_mount(copy, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
    close(copy);
    return rc;
}

static int bind_and_close(int source, int target, bool readonly)
{
    int rc = source < 0 || target < 0 ? -1 : bind_fd(source, target, readonly);
    int errnum = errno;

    if (source >= 0)
        close(source);
    if (target >= 0)
        close(target);
    errno = errnum;
    return rc;
}

static bool is_folder(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

static int make_file(int dir, const char *name)
{
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0444);

    if (fd < 0)
        return -1;
    close(fd);
    return 0;
}

/* Makes the folders that lead to a path. */
static int make_parents(int dir, const char *path)
{
    char part[PATH_MAX];

    for (const char *p = strchr(path, '/'); p; p = strchr(p + 1, '/')) {
        size_t len = (size_t)(p - path);

        if (len >= sizeof(part)) {
            errno = ENAMETOOLONG;
            return -1;
        }
        memcpy(part, path, len);
        part[len] = '\0';
        if (mkdirat(dir, part, 0755) < 0 && errno != EEXIST)
            return -1;
    }
    return 0;
}

static int bind_mount(int scratch, const struct jail_bind *b)
{
    int source = open_absolute(b->source), target = -1;

    if (source >= 0 && make_parents(scratch, b->target) == 0 &&
        (is_folder(source) ? mkdirat(scratch, b->target, 0755) : make_file(scratch, b->target)) ==
            0)
        target = open_inside(scratch, b->target);
    return bind_and_close(source, target, b->readonly);
}

static int bind_one(int tree, int scratch, const struct jail_bind *b)
{
    int parent = b->kind == JAIL_PIN_MOUNTED ? scratch : tree, target;

    if (b->kind == JAIL_MOUNT)
        return bind_mount(scratch, b);
    target = open_inside(parent, b->target);
    if (target < 0)
        return -1;
    if (b->kind != JAIL_MASK)
        return bind_and_close(open_inside(parent, b->target), target, b->readonly);
    return bind_and_close(open_inside(scratch, is_folder(target) ? EMPTY_FOLDER : EMPTY_FILE),
                          target, true);
}

static int open_scratch(const char *path)
{
    int fd;

    if (mount("agentvm", path, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, SCRATCH_OPTIONS) < 0)
        return -1;
    fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || mkdirat(fd, EMPTY_FOLDER, 0555) < 0 || make_file(fd, EMPTY_FILE) < 0)
        return -1;
    return fd;
}

/* ---- rights --------------------------------------------------------------------------------- */

static bool is_kept(int cap)
{
    for (size_t i = 0; i < ARRAY_LEN(root_keeps); i++)
        if (root_keeps[i] == cap)
            return true;
    return false;
}

/* Without what could undo the mounts, now and after the program was executed. */
static int drop_rights(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -1;
    for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
        if (!is_kept(cap) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
            return -1;
    for (size_t i = 0; geteuid() == 0 && i < ARRAY_LEN(root_keeps); i++)
        data[0].permitted |= 1u << root_keeps[i];
    data[0].effective = data[0].permitted;
    return (int)syscall(SYS_capset, &header, data);
}

/* ---- the whole ------------------------------------------------------------------------------ */

static int bind_all(const struct jail *j, int tree, int scratch, struct jail_failure *failure)
{
    failure->step = JAIL_BIND;
    for (failure->bind = 0; failure->bind < j->n; failure->bind++)
        if (bind_one(tree, scratch, &j->binds[failure->bind]) < 0)
            return -1;
    failure->step = JAIL_SCRATCH;
    return set_readonly(scratch, 0);
}

/* The tree as it is seen now in place of the descriptor that was opened before. */
static int replace_fd(int tree, int fd)
{
    struct stat seen, meant;

    if (fd <= 0)
        return 0;
    if (fstat(tree, &seen) < 0 || fstat(fd, &meant) < 0)
        return -1;
    if (seen.st_dev != meant.st_dev || seen.st_ino != meant.st_ino) {
        errno = ESTALE;
        return -1;
    }
    return dup2(tree, fd) < 0 ? -1 : 0;
}

int jail_enter(const struct jail *j, struct jail_failure *failure)
{
    int scratch, tree, rc;

    *failure = (struct jail_failure){.step = JAIL_NAMESPACE};
    if (enter_namespace() < 0)
        return -1;
    failure->step = JAIL_SCRATCH;
    scratch = open_scratch(j->scratch);
    if (scratch < 0)
        return -1;
    failure->step = JAIL_TREE;
    tree = open_absolute(j->tree);
    if (tree < 0 || replace_fd(tree, j->tree_fd) < 0)
        return -1;
    rc = bind_all(j, tree, scratch, failure);
    if (rc < 0)
        return -1;
    close(tree);
    close(scratch);
    failure->step = JAIL_RIGHTS;
    return drop_rights();
}

static const char *bind_deed(enum jail_kind kind)
{
    switch (kind) {
    case JAIL_PIN:
    case JAIL_PIN_MOUNTED:
        return "protect";
    case JAIL_MASK:
        return "hide";
    case JAIL_MOUNT:
        break;
    }
    return "mount";
}

static int explain_bind(const struct jail_bind *b, int errnum, struct err *e)
{
    const char *path = b->source ? b->source : b->target;
    auto_free char *shown = str_printable(path, strlen(path));

    err_errno(e, errnum, "cannot %s %s", bind_deed(b->kind), shown);
    if (errnum == ENOENT || errnum == ELOOP || errnum == ENOTDIR || errnum == EXDEV)
        return err_advise(e, "somebody changed it at this moment; try again");
    return errnum == ENOSYS ? err_advise(e, "Linux 5.12 or newer is needed") : -1;
}

int jail_explain(const struct jail *j, struct jail_failure failure, int errnum, struct err *e)
{
    auto_free char *shown = str_printable(j->tree, strlen(j->tree));

    if (failure.step == JAIL_BIND)
        return explain_bind(&j->binds[failure.bind], errnum, e);
    if (failure.step == JAIL_TREE) {
        err_errno(e, errnum, "cannot open %s", shown);
        return err_advise(e, "somebody changed it at this moment; try again");
    }
    err_errno(e, errnum, "cannot restrict what the VM sees of %s: %s", shown,
              failure.step == JAIL_NAMESPACE ? "this system refuses user namespaces"
              : failure.step == JAIL_SCRATCH ? "this system refuses mounts in user namespaces"
                                             : "rights cannot be given up");
    return err_advise(e, "agentvm doctor tells how to allow user namespaces; or run without "
                         "mounts, masks, kept [guest-local] folders and --git-readonly");
}
