#include "model/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/file.h"
#include "base/mem.h"
#include "model/show.h"

enum { VM_ID_LENGTH = 8 };

/* Who may own a folder, and whether we must be able to write in it. */
struct place {
    const char *what;     /* "data folder" */
    const char *variable; /* moves it */
    bool follow;          /* its last component may be a symlink (the user moved it elsewhere) */
    bool system_too;      /* may also belong to root, and need not be writable */
};

static const struct place place_data = {"data folder", "XDG_DATA_HOME", .follow = true};
static const struct place place_cache = {"cache folder", "XDG_CACHE_HOME", .follow = true};
static const struct place place_config = {"configuration folder", "XDG_CONFIG_HOME", .follow = true,
                                          .system_too = true};
/* May lie in /tmp, where others can put symlinks. */
static const struct place place_run = {"run folder", "XDG_RUNTIME_DIR"};

/* Without trailing slashes; "/" stays. */
static char *trimmed(const char *path)
{
    size_t len = strlen(path);

    while (len > 1 && path[len - 1] == '/')
        len--;
    return mem_dup(path, len);
}

static const char *absolute_env(const char *name)
{
    const char *value = getenv(name);

    return value && value[0] == '/' ? value : NULL;
}

static bool is_own_folder(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid();
}

/* HOME wins over the password database so that a test or a container can move it; but not where
 * it is somebody else's, as after sudo. */
static int find_home(char **out, struct err *e)
{
    const char *home = absolute_env("HOME");
    const struct passwd *pw;

    if (!home || !is_own_folder(home)) {
        pw = getpwuid(geteuid());
        home = pw && pw->pw_dir && pw->pw_dir[0] == '/' ? pw->pw_dir : NULL;
    }
    if (!home) {
        err_set(e, "user %lu has no home folder in the password database",
                (unsigned long)geteuid());
        return err_advise(e, "set HOME to a folder that belongs to you");
    }
    *out = trimmed(home);
    return 0;
}

static char *below_home(const struct paths *p, const char *name)
{
    return mem_printf("%s/%s", strcmp(p->home, "/") == 0 ? "" : p->home, name);
}

/* $VARIABLE/agentvm, or ~/fallback/agentvm. */
static char *place_path(const struct paths *p, const struct place *place, const char *fallback)
{
    const char *value = absolute_env(place->variable);
    auto_free char *base = value ? trimmed(value) : below_home(p, fallback);

    return mem_printf("%s/agentvm", strcmp(base, "/") == 0 ? "" : base);
}

static int advise_move(const struct place *place, struct err *e)
{
    return err_advise(e, "set %s to a folder that belongs to you and that you can write",
                      place->variable);
}

static int check_stat(const struct place *place, const char *path, const struct stat *st,
                      struct err *e)
{
    auto_free char *shown = show_text(path, 0), *quoted = NULL;

    if (!S_ISDIR(st->st_mode)) {
        err_set(e, "%s %s is not a folder", place->what, shown);
        return advise_move(place, e);
    }
    if (st->st_uid != geteuid() && !(place->system_too && st->st_uid == 0)) {
        err_set(e, "%s %s belongs to user %lu, not to you (user %lu)", place->what, shown,
                (unsigned long)st->st_uid, (unsigned long)geteuid());
        return advise_move(place, e);
    }
    if (st->st_mode & (S_IWGRP | S_IWOTH)) {
        err_set(e, "%s %s can be written by other users (mode %04o)", place->what, shown,
                (unsigned)st->st_mode & 07777);
        quoted = str_quote(path);
        return err_advise(e, "run: chmod go-w %s", quoted);
    }
    return 0;
}

/* Checks an existing folder of ours. */
static int check_folder(const struct place *place, const char *path, struct err *e)
{
    auto_close int fd = open(path, O_PATH | O_CLOEXEC | (place->follow ? 0 : O_NOFOLLOW));
    auto_free char *shown = show_text(path, 0);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0) {
        err_errno(e, errno, "cannot open %s %s", place->what, shown);
        return advise_move(place, e);
    }
    if (check_stat(place, path, &st, e) < 0)
        return -1;
    if (!place->system_too && faccessat(AT_FDCWD, path, R_OK | W_OK | X_OK, AT_EACCESS) < 0) {
        err_errno(e, errno, "cannot write in %s %s", place->what, shown);
        return advise_move(place, e);
    }
    return 0;
}

static int make_folder(const struct place *place, const char *path, struct err *e)
{
    auto_err struct err cause = ERR_INIT;

    if (file_mkdirs(path, 0700, &cause) < 0) {
        auto_free char *shown = show_text(path, 0);

        err_set(e, "cannot create %s %s: %s", place->what, shown, err_msg(&cause));
        return advise_move(place, e);
    }
    return check_folder(place, path, e);
}

static int make_data(struct paths *p, struct err *e)
{
    p->data = place_path(p, &place_data, ".local/share");
    p->layers = mem_printf("%s/layers", p->data);
    p->vms = mem_printf("%s/vms", p->data);
    p->trust = mem_printf("%s/trust", p->data);
    p->sessions = mem_printf("%s/sessions", p->data);
    p->logins = mem_printf("%s/logins", p->data);
    p->logs = mem_printf("%s/logs", p->data);
    if (make_folder(&place_data, p->data, e) < 0 || make_folder(&place_data, p->layers, e) < 0 ||
        make_folder(&place_data, p->vms, e) < 0 || make_folder(&place_data, p->trust, e) < 0 ||
        make_folder(&place_data, p->sessions, e) < 0 ||
        make_folder(&place_data, p->logins, e) < 0 || make_folder(&place_data, p->logs, e) < 0)
        return -1;
    return 0;
}

static int find_config(struct paths *p, struct err *e)
{
    struct stat st;

    p->config = place_path(p, &place_config, ".config");
    p->plugins_user = mem_printf("%s/plugins", p->config);
    if (stat(p->config, &st) < 0 && (errno == ENOENT || errno == ENOTDIR))
        return 0;
    return check_folder(&place_config, p->config, e);
}

/* After su or sudo the variable may still name the other user's folder. */
static bool is_usable_runtime(const char *path)
{
    struct stat st;

    return path && is_own_folder(path) && stat(path, &st) == 0 &&
           !(st.st_mode & (S_IWGRP | S_IWOTH)) &&
           faccessat(AT_FDCWD, path, W_OK | X_OK, AT_EACCESS) == 0;
}

static int make_run(struct paths *p, struct err *e)
{
    const char *base = absolute_env(place_run.variable);
    auto_free char *base_trimmed = base ? trimmed(base) : NULL;
    size_t length;

    if (is_usable_runtime(base_trimmed))
        p->run = mem_printf("%s/agentvm", base_trimmed);
    else
        p->run = mem_printf("/tmp/agentvm-%lu", (unsigned long)geteuid());
    length = strlen(p->run) + strlen("/") + VM_ID_LENGTH + strlen("/" PATHS_VM_SOCK);
    if (length + 1 > sizeof(((struct sockaddr_un *)NULL)->sun_path)) {
        auto_free char *shown = show_text(p->run, 0);

        err_set(e, "run folder %s is too long for a socket's path: %zu bytes, at most %zu fit",
                shown, length, sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1);
        return err_advise(e, "set XDG_RUNTIME_DIR to a folder with a shorter name");
    }
    return make_folder(&place_run, p->run, e);
}

/* The folder of the running program; NULL where /proc cannot tell. */
static char *program_folder(void)
{
    auto_free char *path = realpath("/proc/self/exe", NULL);
    char link[4096];
    ssize_t n;

    if (!path) { /* replaced on disk: the link then ends in " (deleted)", its folder is right */
        n = readlink("/proc/self/exe", link, sizeof(link));
        if (n <= 0 || (size_t)n >= sizeof(link))
            return NULL;
        path = mem_dup(link, (size_t)n);
    }
    if (path[0] != '/')
        return NULL;
    *strrchr(path, '/') = '\0';
    return steal_ptr(&path);
}

static void find_programs(struct paths *p)
{
    auto_free char *folder = program_folder();
    auto_free char *lib = NULL;
    auto_free char *daemon = folder ? mem_printf("%s/agentvm-guestd", folder) : NULL;

    if (daemon && access(daemon, F_OK) == 0) { /* the build tree */
        lib = steal_ptr(&folder);
    } else if (folder && strrchr(folder, '/')) { /* PREFIX/bin beside PREFIX/lib */
        *strrchr(folder, '/') = '\0';
        lib = mem_printf("%s/lib/agentvm", folder);
    }
    if (!lib || access(lib, F_OK) < 0) {
        free(lib);
        lib = mem_strdup(AGENTVM_LIBDIR);
    }
    p->plugins_system = mem_printf("%s/plugins", lib);
    p->guestd = mem_printf("%s/agentvm-guestd", lib);
}

static int make_cache(struct paths *p, struct err *e)
{
    p->cache = place_path(p, &place_cache, ".cache");
    return make_folder(&place_cache, p->cache, e);
}

static const struct step {
    const struct place *place;
    size_t member; /* of struct paths */
    int (*make)(struct paths *p, struct err *e);
} steps[] = {
    {&place_data, offsetof(struct paths, data), make_data},
    {&place_cache, offsetof(struct paths, cache), make_cache},
    {&place_config, offsetof(struct paths, config), find_config},
    {&place_run, offsetof(struct paths, run), make_run},
};

int paths_init(struct paths *p, struct err *e)
{
    *p = (struct paths){0};
    if (find_home(&p->home, e) < 0)
        return -1;
    find_programs(p);
    for (size_t i = 0; i < ARRAY_LEN(steps); i++)
        if (steps[i].make(p, e) < 0) {
            paths_free(p);
            return -1;
        }
    return 0;
}

/* ---- for agentvm doctor --------------------------------------------------------------------- */

/* Whether the run folder is where the user wants it, rather than in /tmp. */
static bool is_run_moved(const char *run)
{
    const char *base = absolute_env(place_run.variable);
    auto_free char *base_trimmed = base ? trimmed(base) : NULL;
    auto_free char *wanted = mem_printf("%s/agentvm", base ? base_trimmed : "");

    return strcmp(run, wanted) == 0;
}

/* The command that makes a folder usable, where there is one. */
static char *find_fix(const struct place *place, const char *path)
{
    auto_free char *quoted = str_quote(path);
    struct stat st;

    if (place == &place_run && is_run_moved(path))
        return mem_printf("unset %s", place->variable);
    if (stat(path, &st) < 0)
        return NULL;
    if (!S_ISDIR(st.st_mode))
        return mem_printf("mv %s %s.old", quoted, quoted);
    if (place == &place_run) /* nobody else has any business there */
        return mem_printf("sudo rm -r %s", quoted);
    if (st.st_uid != geteuid())
        return mem_printf("sudo chown -R %lu %s", (unsigned long)geteuid(), quoted);
    return mem_printf("chmod -R u+rwX,go-w %s", quoted);
}

static void examine_step(const struct step *step, struct paths *p, struct findings *f)
{
    auto_err struct err e = ERR_INIT;
    int rc = step->make(p, &e);
    const char *path = *(char **)((char *)p + step->member);
    auto_free char *fix = rc < 0 ? find_fix(step->place, path) : NULL;

    if (rc < 0)
        finding_error(f, FINDING_PROBLEM, fix, &e);
    else
        finding_ok(f, "%s %s", step->place->what, path);
}

void paths_examine(struct paths *p, struct findings *f)
{
    auto_err struct err e = ERR_INIT;
    const char *run = getenv(place_run.variable);

    *p = (struct paths){0};
    if (find_home(&p->home, &e) < 0) {
        finding_error(f, FINDING_PROBLEM, NULL, &e);
        return;
    }
    find_programs(p);
    for (size_t i = 0; i < ARRAY_LEN(steps); i++)
        examine_step(&steps[i], p, f);
    if (run && *run && !is_run_moved(p->run))
        finding_add(f, FINDING_WARNING, "unset XDG_RUNTIME_DIR",
                    "%s is %s, which is no folder that only you can write; another is used",
                    place_run.variable, run);
    if (access(p->guestd, R_OK) < 0)
        finding_add(f, FINDING_PROBLEM, NULL,
                    "cannot find the guest daemon %s: %s; reinstall agentvm, its parts belong "
                    "together",
                    p->guestd, strerror(errno));
}

void paths_free(struct paths *p)
{
    char *const members[] = {p->home,     p->data,         p->layers,         p->vms,   p->trust,
                             p->sessions, p->logins,       p->logs,           p->cache, p->config,
                             p->run,      p->plugins_user, p->plugins_system, p->guestd};

    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        free(members[i]);
    *p = (struct paths){0};
}

char *paths_vm(const struct paths *p, const char *id, const char *name)
{
    return mem_printf("%s/%s/%s", p->run, id, name);
}

char *paths_sessions(const struct paths *p, const char *project, const char *agent)
{
    char key[DIGEST_HEX + 1];

    digest_bytes(project, strlen(project), key);
    return mem_printf("%s/%s/%s", p->sessions, key, agent);
}

char *paths_local(const struct paths *p, const char *project)
{
    char key[DIGEST_HEX + 1];

    digest_bytes(project, strlen(project), key);
    return *project ? mem_printf("%s/guest-local/%s", p->data, key)
                    : mem_printf("%s/guest-local", p->data);
}

char *paths_vm_disk(const struct paths *p, const char *id, const char *name)
{
    return mem_printf("%s/%s/%s", p->vms, id, name);
}

char *paths_kept_vm(const struct paths *p, const char *project, const char *name)
{
    char key[DIGEST_HEX + 1];

    digest_bytes(project, strlen(project), key);
    return *name ? mem_printf("%s/%s/%s", p->vms, key, name) : mem_printf("%s/%s", p->vms, key);
}
