#include "image/base_image.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "proc/spawn.h"

/* The hook that turns a fresh root into an image, compiled in: an installed agentvm is one file. */
__asm__(".section .rodata\n"
        "customize_script:\n"
        ".incbin \"core/image/customize.sh\"\n"
        ".byte 0\n"
        ".previous\n");
extern const char customize_script[];

#define SUITE "trixie"
#define WORK_PREFIX "agentvm-build."

/* Descriptors under which the hook finds its output files. In a user namespace it could not open
 * them by name: their folders are the user's alone. */
enum { FD_ROOTFS = 20, FD_KERNEL, FD_INITRD };

enum {
    WORK_REMOVE_MS = 60000,
};

static void add_packages(struct strv *list, const char *const *names)
{
    for (; names && *names; names++)
        if (!strv_has(list, *names))
            strv_push(list, *names);
}

static const char *kernel_package(void)
{
    struct utsname u;

    return uname(&u) == 0 && strcmp(u.machine, "aarch64") == 0 ? "linux-image-arm64"
                                                               : "linux-image-amd64";
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* All packages, sorted: the order they are named in makes no other image. */
static void all_packages(const struct base_request *r, struct strv *list)
{
    const char *kernel[] = {kernel_package(), NULL};

    add_packages(list, kernel);
    add_packages(list, base_system_packages);
    add_packages(list, (const char *const *)r->packages.v);
    qsort(list->v, list->n, sizeof(*list->v), compare);
}

static int digest_certificates(struct digest *d, struct err *e)
{
    struct dirent **names = NULL;
    int n = scandir(BASE_CA_FOLDER, &names, NULL, alphasort), rc = 0;

    for (int i = 0; i < n; i++) {
        auto_free char *path = mem_printf(BASE_CA_FOLDER "/%s", names[i]->d_name);

        if (rc == 0 && str_ends(path, ".crt"))
            rc = digest_file(d, "certificate", path, e);
        free(names[i]);
    }
    free(names);
    return rc;
}

int base_image_key(const struct base_request *r, char key[DIGEST_HEX + 1], struct err *e)
{
    auto_strv struct strv packages = STRV_INIT;
    auto_free char *ids = mem_printf("%u:%u:%d", r->user.uid, r->user.gid, BASE_GIB);
    struct digest *d = digest_new();

    all_packages(r, &packages);
    digest_str(d, "suite", SUITE);
    digest_str(d, "recipe", customize_script);
    for (size_t i = 0; i < packages.n; i++)
        digest_str(d, "package", packages.v[i]);
    digest_str(d, "user", r->user.name);
    digest_str(d, "group", r->user.group);
    digest_str(d, "home", r->user.home);
    digest_str(d, "shell", r->user.shell);
    digest_str(d, "ids", ids);
    if (digest_certificates(d, e) < 0) {
        digest_final(d, NULL);
        return -1;
    }
    digest_final(d, key);
    return 0;
}

/* How far the packages are, from the tools' own lines. */
struct build {
    const struct base_request *request;
    unsigned total, unpacked, set_up;
};

static void count_packages(struct build *b, const char *line)
{
    unsigned upgraded, newly;

    if (sscanf(line, "%u upgraded, %u newly installed", &upgraded, &newly) == 2)
        b->total += newly;
    else if (str_starts(line, "Unpacking "))
        b->unpacked++;
    else if (str_starts(line, "Setting up "))
        b->set_up++;
}

static void on_line(void *arg, const char *line)
{
    struct build *b = arg;
    const struct base_request *r = b->request;
    double fraction = -1;
    static const char phase[] = "agentvm: phase ";

    count_packages(b, line);
    if (b->total)
        fraction = (double)(b->unpacked + b->set_up) / (2.0 * b->total);
    if (fraction > 1)
        fraction = 1;
    if (str_starts(line, phase))
        r->progress(r->arg, line + strlen(phase), -1);
    else if (str_starts(line, "Get:"))
        r->progress(r->arg, "downloading packages", -1);
    else if (str_starts(line, "Unpacking ") || str_starts(line, "Setting up "))
        r->progress(r->arg, "installing packages", fraction);
}

static void build_argv(const struct base_request *r, struct strv *argv)
{
    static const char *const fixed[] = {
        "--variant=minbase",
        "--format=null",
        "--skip=cleanup", /* the hook cleans up before it makes the file system */
        "--verbose",
        "--aptopt=APT::Install-Recommends \"false\"",
        "--aptopt=Acquire::Languages \"none\"",
        "--dpkgopt=force-unsafe-io",
        "--dpkgopt=path-exclude=/usr/share/man/*",
        "--dpkgopt=path-exclude=/usr/share/locale/*",
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
    };
    auto_strv struct strv packages = STRV_INIT;
    auto_buf struct buf include = BUF_INIT;

    all_packages(r, &packages);
    for (size_t i = 0; i < packages.n; i++)
        buf_printf(&include, "%s%s", i ? "," : "", packages.v[i]);
    if (geteuid() == 0) { /* in namespaces of their own nothing outlives the first process */
        const char *const own[] = {"unshare",      "--mount",      "--pid",      "--fork",
                                   "--kill-child", "--mount-proc", "mmdebstrap", "--mode=root"};
        for (size_t i = 0; i < ARRAY_LEN(own); i++)
            strv_push(argv, own[i]);
    } else {
        strv_push(argv, "mmdebstrap");
        strv_push(argv, "--mode=unshare");
    }
    for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
        strv_push(argv, fixed[i]);
    strv_pushf(argv, "--include=%s", include.data);
    /* A fixed text for mmdebstrap's own shell; the script travels in the environment because the
     * namespace's root may not read our files. */
    strv_push(argv, "--customize-hook=eval \"$AGENTVM_CUSTOMIZE\"");
    strv_push(argv, SUITE);
    strv_push(argv, "/dev/null");
}

static void build_env(const struct base_request *r, const char *work, struct strv *env)
{
    static const char *const passed[] = {"http_proxy",  "https_proxy", "no_proxy", "HTTP_PROXY",
                                         "HTTPS_PROXY", "NO_PROXY",    "HOME",     "USER"};

    for (size_t i = 0; i < ARRAY_LEN(passed); i++)
        if (getenv(passed[i]))
            strv_setenv(env, passed[i], getenv(passed[i]));
    strv_push(env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    strv_push(env, "LC_ALL=C.UTF-8");
    strv_push(env, "DEBIAN_FRONTEND=noninteractive");
    strv_push(env, "INITRD=No"); /* the hook makes its own */
    strv_pushf(env, "TMPDIR=%s", work);
    strv_pushf(env, "AGENTVM_CUSTOMIZE=%s", customize_script);
    strv_pushf(env, "AV_USER=%s", r->user.name);
    strv_pushf(env, "AV_GROUP=%s", r->user.group);
    strv_pushf(env, "AV_HOME=%s", r->user.home);
    strv_pushf(env, "AV_SHELL=%s", r->user.shell);
    strv_pushf(env, "AV_UID=%u", r->user.uid);
    strv_pushf(env, "AV_GID=%u", r->user.gid);
    strv_pushf(env, "AV_SIZE=%dG", BASE_GIB);
    strv_pushf(env, "AV_FD_IMG=%d", FD_ROOTFS);
    strv_pushf(env, "AV_FD_KERNEL=%d", FD_KERNEL);
    strv_pushf(env, "AV_FD_INITRD=%d", FD_INITRD);
}

/* mmdebstrap's root folder: on a disk, below a folder that a user namespace may enter.  *lock is
 * held while it is in use. */
static char *make_work_folder(int *lock, struct err *e)
{
    char *work = mem_printf(BASE_BUILD_FOLDER "/" WORK_PREFIX "%u.XXXXXX", geteuid());

    if (!mkdtemp(work) || chmod(work, 01777) < 0 ||
        (*lock = open(work, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0 ||
        task_try_lock(*lock) < 0) {
        err_errno(e, errno, "cannot create folder %s", work);
        free(work);
        return NULL;
    }
    return work;
}

/* What a killed mmdebstrap leaves may belong to ids of the user's namespace: its own helper is
 * root there. */
static void remove_work_folder(const char *work)
{
    char *const argv[] = {"mmdebstrap",        "--unshare-helper", "rm", "-rf",
                          "--one-file-system", (char *)work,       NULL};
    struct exit_status status;

    if (file_remove_tree_at(AT_FDCWD, work, NULL) == 0)
        return;
    spawn_capture(argv, 0, WORK_REMOVE_MS, NULL, NULL, &status, NULL);
    rmdir(work);
}

void base_image_sweep(void)
{
    auto_free char *prefix = mem_printf(WORK_PREFIX "%u.", geteuid());
    DIR *dir = opendir(BASE_BUILD_FOLDER);
    struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        auto_free char *work = mem_printf(BASE_BUILD_FOLDER "/%s", entry->d_name);
        auto_close int lock = -1;

        if (!str_starts(entry->d_name, prefix))
            continue;
        lock = open(work, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (lock >= 0 && task_try_lock(lock) == 0)
            remove_work_folder(work);
    }
    if (dir)
        closedir(dir);
}

static int open_output(const struct layer_draft *d, const char *name, struct err *e)
{
    auto_free char *path = mem_printf("%s/%s", d->dir, name);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    /* The namespace's root reopens it through /proc as somebody else; the folder is ours alone. */
    if (fd >= 0 && fchmod(fd, 0666) == 0)
        return fd;
    close_fd(&fd);
    return err_errno(e, errno, "cannot create %s", path);
}

static int run_build(const struct base_request *r, struct task_env *t, const struct layer_draft *d,
                     const char *work, struct err *e)
{
    auto_close int rootfs = open_output(d, BASE_ROOTFS, e);
    auto_close int kernel = rootfs < 0 ? -1 : open_output(d, BASE_KERNEL, e);
    auto_close int initrd = kernel < 0 ? -1 : open_output(d, BASE_INITRD, e);
    auto_close int log = -1;
    auto_strv struct strv argv = STRV_INIT;
    auto_strv struct strv env = STRV_INIT;
    struct build build = {.request = r};
    struct task_output out = {.line = on_line, .arg = &build};
    struct spawn_request s = {.cwd = "/"};
    struct exit_status status;

    if (initrd < 0)
        return -1;
    log = open(r->log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_APPEND, 0600);
    if (log < 0)
        return err_errno(e, errno, "cannot create %s", r->log);
    build_argv(r, &argv);
    build_env(r, work, &env);
    s.argv = argv.v;
    s.env = env.v;
    spawn_pass_fd(&s, rootfs, FD_ROOTFS);
    spawn_pass_fd(&s, kernel, FD_KERNEL);
    spawn_pass_fd(&s, initrd, FD_INITRD);
    out.log_fd = log;
    if (task_run(t, &s, &out, &status, e) < 0)
        return -1;
    if (exit_status_code(status) != 0)
        return err_set(e, "mmdebstrap failed with exit code %d", exit_status_code(status));
    if (fchmod(rootfs, 0400) < 0 || fchmod(kernel, 0400) < 0 || fchmod(initrd, 0400) < 0)
        return err_errno(e, errno, "cannot seal the image");
    return 0;
}

int base_image_make(const struct base_request *r, struct task_env *t, const struct layer_draft *d,
                    struct err *e)
{
    auto_free char *work = NULL;
    auto_close int lock = -1;
    int rc;

    if (base_image_check(e) < 0 ||
        store_check_space(r->paths, (uint64_t)BASE_LAYER_GIB << 30, "the VM's image", e) < 0 ||
        file_check_space(BASE_BUILD_FOLDER, (uint64_t)BASE_BUILD_GIB << 30, "making the VM's image",
                         e) < 0)
        return -1;
    work = make_work_folder(&lock, e);
    if (!work)
        return -1;
    rc = run_build(r, t, d, work, e);
    remove_work_folder(work);
    return rc;
}
