#include <fcntl.h>
#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "model/paths.h"
#include "proc/spawn.h"

/* Each test has its own home below one temporary folder. */
static char root[64];

static char *at(const char *name)
{
    return mem_printf("%s/%s", root, name);
}

static void make(const char *name, mode_t mode)
{
    auto_free char *path = at(name);

    assert_int_equal(file_mkdirs(path, 0700, NULL), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static void set(const char *variable, const char *name)
{
    auto_free char *path = at(name);

    setenv(variable, path, 1);
}

static int setup(void **state)
{
    (void)state;
    snprintf(root, sizeof(root), "/tmp/paths.XXXXXX");
    if (!mkdtemp(root))
        return -1;
    make("home", 0700);
    make("run", 0700);
    set("HOME", "home");
    set("XDG_RUNTIME_DIR", "run");
    unsetenv("XDG_DATA_HOME");
    unsetenv("XDG_CACHE_HOME");
    unsetenv("XDG_CONFIG_HOME");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return chdir("/") < 0 ? -1 : file_remove_tree_at(AT_FDCWD, root, NULL);
}

static void assert_path(const char *path, const char *name)
{
    auto_free char *expected = at(name);

    assert_string_equal(path, expected);
}

static void assert_says(const struct err *e, const char *text)
{
    if (!strstr(err_msg(e), text))
        fail_msg("'%s' lacks '%s'", err_msg(e), text);
}

static void assert_init_fails(const char *message, const char *advice)
{
    auto_err struct err e = ERR_INIT;
    struct paths p;

    assert_int_equal(paths_init(&p, &e), -1);
    assert_says(&e, message);
    assert_non_null(e.advice);
    if (!strstr(e.advice, advice))
        fail_msg("'%s' lacks '%s'", e.advice, advice);
}

static void test_defaults(void **state)
{
    struct paths p;
    struct stat st;

    (void)state;
    assert_int_equal(paths_init(&p, NULL), 0);
    assert_path(p.home, "home");
    assert_path(p.data, "home/.local/share/agentvm");
    assert_path(p.layers, "home/.local/share/agentvm/layers");
    assert_path(p.cache, "home/.cache/agentvm");
    assert_path(p.config, "home/.config/agentvm");
    assert_path(p.plugins_user, "home/.config/agentvm/plugins");
    assert_path(p.run, "run/agentvm");
    for (size_t i = 0; i < 8; i++) {
        const char *made[] = {p.data, p.layers, p.vms, p.trust, p.logins, p.logs, p.cache, p.run};

        assert_int_equal(stat(made[i], &st), 0);
        assert_int_equal(st.st_mode & 07777, 0700);
    }
    assert_int_equal(access(p.config, F_OK), -1);
    paths_free(&p);
    assert_int_equal(paths_init(&p, NULL), 0); /* they may exist */
    paths_free(&p);
}

static void test_variables(void **state)
{
    struct paths p;
    auto_free char *file = NULL;

    (void)state;
    set("XDG_DATA_HOME", "elsewhere/");
    setenv("XDG_CACHE_HOME", "relative/cache", 1);
    setenv("XDG_CONFIG_HOME", "", 1);
    assert_int_equal(paths_init(&p, NULL), 0);
    assert_path(p.data, "elsewhere/agentvm");
    assert_path(p.cache, "home/.cache/agentvm");
    assert_path(p.config, "home/.config/agentvm");
    file = paths_vm(&p, "0123abcd", PATHS_VM_SOCK);
    assert_path(file, "run/agentvm/0123abcd/sock");
    free(file);
    file = paths_vm_disk(&p, "0123abcd", PATHS_VM_OVERLAY);
    assert_path(file, "elsewhere/agentvm/vms/0123abcd/overlay.qcow2");
    paths_free(&p);
}

/* HOME that is not a folder of the user's does not count. */
static void test_foreign_home(void **state)
{
    const struct passwd *pw = getpwuid(geteuid());
    struct paths p;

    (void)state;
    if (!pw)
        skip();
    setenv("HOME", geteuid() ? "/root" : "/nonexistent", 1);
    set("XDG_DATA_HOME", "data");
    set("XDG_CACHE_HOME", "cache");
    set("XDG_CONFIG_HOME", "config");
    assert_int_equal(paths_init(&p, NULL), 0);
    assert_string_equal(p.home, pw->pw_dir);
    paths_free(&p);
}

static void test_data_folder_faults(void **state)
{
    auto_free char *data = at("data"), *home = at("home");

    (void)state;
    set("XDG_DATA_HOME", "data");
    make("data/agentvm", 0777);
    assert_init_fails("can be written by other users (mode 0777)", "chmod go-w");
    assert_int_equal(file_remove_tree_at(AT_FDCWD, data, NULL), 0);
    assert_int_equal(file_write_at(AT_FDCWD, data, "", 0, 0600, NULL), 0);
    assert_init_fails("cannot create data folder", "XDG_DATA_HOME");
    setenv("XDG_DATA_HOME", "/proc", 1);
    assert_init_fails("cannot create data folder /proc/agentvm", "XDG_DATA_HOME");
    if (geteuid() == 0)
        return; /* root may write everywhere */
    setenv("XDG_DATA_HOME", home, 1);
    make("home/agentvm", 0500);
    assert_init_fails("cannot write in data folder", "XDG_DATA_HOME");
}

/* Large images may be moved to another disk, with a symlink left behind. */
static void test_data_symlink(void **state)
{
    auto_free char *big = at("big"), *data = at("data/agentvm");
    struct paths p;

    (void)state;
    make("big", 0700);
    make("data", 0700);
    set("XDG_DATA_HOME", "data");
    assert_int_equal(symlink(big, data), 0);
    assert_int_equal(paths_init(&p, NULL), 0);
    paths_free(&p);
}

static void test_config_faults(void **state)
{
    (void)state;
    make("home/.config/agentvm", 0770);
    assert_init_fails("configuration folder", "chmod go-w");
}

static void test_run_symlink(void **state)
{
    auto_free char *target = at("target"), *run = at("run/agentvm");

    (void)state;
    make("target", 0700);
    assert_int_equal(symlink(target, run), 0);
    assert_init_fails("is not a folder", "XDG_RUNTIME_DIR");
}

/* A fallback folder that somebody else could have made first. */
static void test_run_fallback(void **state)
{
    auto_free char *expected = mem_printf("/tmp/agentvm-%lu", (unsigned long)geteuid());
    struct paths p;

    (void)state;
    make("run", 0777);
    assert_int_equal(paths_init(&p, NULL), 0);
    assert_string_equal(p.run, expected);
    paths_free(&p);
    unsetenv("XDG_RUNTIME_DIR");
    assert_int_equal(paths_init(&p, NULL), 0);
    assert_string_equal(p.run, expected);
    paths_free(&p);
    rmdir(expected); /* stays if a VM of this user's runs */
}

static void test_socket_length(void **state)
{
    char name[128];
    struct paths p;
    size_t fits = 108 - 1 - strlen("/agentvm/01234567/sock") - strlen(root) - 1;

    (void)state;
    memset(name, 'x', sizeof(name));
    name[fits] = '\0';
    make(name, 0700);
    set("XDG_RUNTIME_DIR", name);
    assert_int_equal(paths_init(&p, NULL), 0);
    paths_free(&p);
    name[fits] = 'x';
    name[fits + 1] = '\0';
    make(name, 0700);
    set("XDG_RUNTIME_DIR", name);
    assert_init_fails("too long for a socket's path", "XDG_RUNTIME_DIR");
}

static void assert_allowed(const struct paths *p, const char *name)
{
    auto_free char *path = at(name), *out = NULL;
    auto_err struct err e = ERR_INIT;

    make(name, 0700);
    if (paths_project(p, path, &out, &e) < 0)
        fail_msg("%s", err_msg(&e));
    assert_string_equal(out, path);
}

static void assert_refused(const struct paths *p, const char *path, const char *why)
{
    auto_err struct err e = ERR_INIT;
    char *out = NULL;

    if (paths_project(p, path, &out, &e) == 0)
        fail_msg("%s is allowed", path);
    assert_null(out);
    assert_says(&e, why);
}

static void assert_refused_at(const struct paths *p, const char *name, const char *why)
{
    auto_free char *path = at(name);

    assert_refused(p, path, why);
}

static void test_project_names(void **state)
{
    static const char *const names[] = {"home/src/a",
                                        "plain",
                                        "with space",
                                        "a,b=c",
                                        "-dash",
                                        "quo'te\"s",
                                        "line\nend",
                                        "\xc3\xa9t\xc3\xa9",
                                        "bad\xff",
                                        "home/.dotfiles",
                                        "home/.config-of-mine",
                                        "home/.sshx"};
    struct paths p;

    (void)state;
    assert_int_equal(paths_init(&p, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        assert_allowed(&p, names[i]);
    paths_free(&p);
}

static void test_project_is_canonical(void **state)
{
    auto_free char *real = at("real"), *link = at("link"), *dots = at("real/../real/"), *out = NULL;
    struct paths p;
    int fd;

    (void)state;
    assert_int_equal(paths_init(&p, NULL), 0);
    make("real", 0700);
    assert_int_equal(symlink(real, link), 0);
    assert_int_equal(paths_project(&p, link, &out, NULL), 0);
    assert_string_equal(out, real);
    free(out);
    assert_int_equal(paths_project(&p, dots, &out, NULL), 0);
    assert_string_equal(out, real);
    free(out);
    assert_int_equal(chdir(real), 0);
    assert_int_equal(paths_project(&p, NULL, &out, NULL), 0);
    assert_int_equal(paths_open_project(NULL, out, &fd, NULL), 0);
    close(fd);
    assert_int_equal(paths_open_project(NULL, "/tmp", &fd, NULL), -1); /* it was swapped */
    assert_int_equal(paths_open_project(link, out, &fd, NULL), 0);
    close(fd);
    assert_string_equal(out, real);
    paths_free(&p);
}

static void test_project_not_a_folder(void **state)
{
    auto_free char *file = at("file");
    struct paths p;

    (void)state;
    assert_int_equal(paths_init(&p, NULL), 0);
    assert_int_equal(file_write_at(AT_FDCWD, file, "", 0, 0600, NULL), 0);
    assert_refused(&p, file, "is not a folder");
    assert_refused_at(&p, "nothing", "does not exist");
    assert_refused_at(&p, "new\nline", "new\\nline does not exist");
    make("gone", 0700);
    file[strlen(file) - 4] = '\0';
    assert_int_equal(chdir(file), 0);
    assert_int_equal(chdir("gone"), 0);
    assert_int_equal(rmdir("../gone"), 0);
    assert_refused(&p, NULL, "the working directory does not exist");
    paths_free(&p);
}

static void test_project_system(void **state)
{
    static const char *const folders[] = {
        "/etc",          "/usr", "/usr/bin", "/usr/share/doc", "/var",
        "/var/lib/dpkg", "/bin", "/dev",     "/proc/self",     "/run"};
    const struct passwd *pw = getpwuid(geteuid());
    struct paths p;

    (void)state;
    assert_int_equal(paths_init(&p, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(folders); i++)
        assert_refused(&p, folders[i], "folder of the system");
    assert_refused(&p, "/", "whole system");
    assert_refused(&p, "/tmp", "temporary files");
    assert_refused(&p, "/home", "home folders");
    if (pw && access(pw->pw_dir, R_OK | X_OK) == 0)
        assert_refused(&p, pw->pw_dir, "home folder");
    paths_free(&p);
}

static void test_project_private(void **state)
{
    auto_free char *keys = at("home/.ssh"), *link = at("link");
    struct paths p;

    (void)state;
    set("XDG_DATA_HOME", "x/data");
    set("XDG_CACHE_HOME", "x/cache");
    set("XDG_CONFIG_HOME", "x/config");
    assert_int_equal(paths_init(&p, NULL), 0);
    make("home/.ssh/deep", 0700);
    make("home/.config/gcloud", 0700);
    assert_refused_at(&p, "home", "it is your home folder");
    assert_refused_at(&p, "", "it contains your home folder");
    assert_refused(&p, keys, "~/.ssh is there");
    assert_refused_at(&p, "home/.ssh/deep", "~/.ssh is there");
    assert_refused_at(&p, "home/.config", "~/.config/gcloud is there");
    assert_int_equal(symlink(keys, link), 0);
    assert_refused(&p, link, "~/.ssh is there");
    paths_free(&p);
}

/* The guest could change what agentvm does on the host. */
static void test_project_own(void **state)
{
    struct paths p;

    (void)state;
    set("XDG_DATA_HOME", "x/data");
    set("XDG_CACHE_HOME", "y/cache");
    set("XDG_CONFIG_HOME", "z/config"); /* need not exist yet */
    assert_int_equal(paths_init(&p, NULL), 0);
    make("z", 0700);
    assert_refused_at(&p, "x", "agentvm's own folder");
    assert_refused_at(&p, "x/data/agentvm/layers", "agentvm's own folder");
    assert_refused_at(&p, "y", "agentvm's own folder");
    assert_refused_at(&p, "z", "agentvm's own folder");
    assert_refused_at(&p, "run", "agentvm's own folder");
    free(p.plugins_system);
    p.plugins_system = at("w/build/plugins");
    make("w/build", 0700);
    assert_refused_at(&p, "w", "has its plugins there");
    assert_allowed(&p, "w2");
    paths_free(&p);
}

/* Runs a copy of this program in a made-up installation and returns what it prints. */
static char *programs_of(const char *copy)
{
    auto_free char *path = at(copy);
    char *argv[] = {path, "--programs", NULL};
    struct buf self = BUF_INIT, out = BUF_INIT;
    struct exit_status status;
    auto_err struct err e = ERR_INIT;
    auto_close int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

    assert_int_equal(file_read_fd(fd, 1 << 28, &self, NULL), 0);
    assert_int_equal(file_write_at(AT_FDCWD, path, self.data, self.len, 0700, NULL), 0);
    buf_free(&self);
    if (spawn_capture(argv, 4096, 10000, &out, NULL, &status, &e) < 0)
        fail_msg("%s", err_msg(&e));
    assert_int_equal(status.code, 0);
    return buf_steal(&out);
}

static void assert_programs(const char *copy, const char *lib)
{
    auto_free char *got = programs_of(copy);
    auto_free char *expected = mem_printf("%s/plugins %s/agentvm-guestd", lib, lib);

    assert_string_equal(got, expected);
}

static void test_programs(void **state)
{
    auto_free char *build = at("build"), *daemon = at("build/agentvm-guestd");
    auto_free char *lib = at("prefix/lib/agentvm");

    (void)state;
    make("build", 0700);
    make("prefix/bin", 0700);
    assert_programs("prefix/bin/agentvm", AGENTVM_LIBDIR);
    make("prefix/lib/agentvm", 0700);
    assert_programs("prefix/bin/agentvm", lib);
    assert_int_equal(file_write_at(AT_FDCWD, daemon, "", 0, 0700, NULL), 0);
    assert_programs("build/agentvm", build);
}

static int print_programs(void)
{
    struct paths p;

    if (paths_init(&p, NULL) < 0)
        return 1;
    printf("%s %s", p.plugins_system, p.guestd);
    paths_free(&p);
    return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(test_defaults),
        TEST(test_variables),
        TEST(test_foreign_home),
        TEST(test_data_folder_faults),
        TEST(test_data_symlink),
        TEST(test_config_faults),
        TEST(test_run_symlink),
        TEST(test_run_fallback),
        TEST(test_socket_length),
        TEST(test_project_names),
        TEST(test_project_is_canonical),
        TEST(test_project_not_a_folder),
        TEST(test_project_system),
        TEST(test_project_private),
        TEST(test_project_own),
        TEST(test_programs),
    };

    if (argc == 2 && strcmp(argv[1], "--programs") == 0)
        return print_programs();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
