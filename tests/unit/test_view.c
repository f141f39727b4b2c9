/* session/view and the walk below it: what of a folder is protected and hidden, what is mounted. */
#include "helpers.h"

#include <stdlib.h>

#include "proc/spawn.h"
#include "session/tree.h"
#include "session/view.h"

static char *dir, *project;
static struct profile profile;
static struct paths paths;
static struct kept kept;
static struct view view;
static struct strv writable; /* mounts */

static char *at(const char *below)
{
    return mem_printf("%s/%s", project, below);
}

static void make_file(const char *below, const char *text)
{
    auto_free char *path = at(below);
    auto_free char *parent = mem_dup(path, (size_t)(strrchr(path, '/') - path));

    assert_int_equal(file_mkdirs(parent, 0755, NULL), 0);
    write_text(path, text);
}

static void make_folder(const char *below)
{
    auto_free char *path = at(below);

    assert_int_equal(file_mkdirs(path, 0755, NULL), 0);
}

static void make_link(const char *target, const char *below)
{
    auto_free char *path = at(below);

    assert_int_equal(symlink(target, path), 0);
}

static int setup(void **state)
{
    auto_free char *made = scratch_make();

    (void)state;
    dir = realpath(made, NULL);
    project = mem_printf("%s/project", dir);
    profile_defaults(&profile);
    paths = (struct paths){.home = mem_printf("%s/home", dir)};
    paths.data = mem_printf("%s/own", dir);
    paths.cache = paths.config = paths.run = paths.plugins_system = paths.data;
    assert_int_equal(mkdir(paths.home, 0755), 0);
    make_file(".git/config", "");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    view_free(&view);
    strv_free(&writable);
    profile_free(&profile);
    free(paths.home);
    free(paths.data);
    free(project);
    scratch_remove(dir);
    return 0;
}

static const char *shown(const char *path)
{
    return file_is_inside(path, dir) ? path + strlen(dir) + 1 : path;
}

/* What is found, one a line: "/ " before a folder that is pinned, "- " before what cannot be
 * written, "x " before a mask. */
static char *finds(struct err *e)
{
    struct view_finds f = {0};
    struct buf out = BUF_INIT;
    int rc = view_find(&profile, paths.home, project, &writable, &f, e);

    buf_puts(&out, "");
    for (size_t i = 0; i < f.folders.n; i++)
        buf_printf(&out, "/ %s\n", shown(f.folders.v[i]));
    for (size_t i = 0; i < f.git.n; i++)
        buf_printf(&out, "- %s\n", shown(f.git.v[i]));
    for (size_t i = 0; i < f.masks.n; i++)
        buf_printf(&out, "x %s\n", f.masks.v[i]);
    view_finds_free(&f);
    if (rc == 0)
        return buf_steal(&out);
    buf_free(&out);
    return NULL;
}

static void assert_finds(const char *want)
{
    auto_err struct err e = ERR_INIT;
    auto_free char *text = finds(&e);

    if (!text)
        fail_msg("%s", err_msg(&e));
    assert_string_equal(text, want);
}

static void assert_fails(const char *part)
{
    auto_err struct err e = ERR_INIT;
    auto_free char *text = finds(&e);

    assert_null(text);
    if (!strstr(err_msg(&e), part))
        fail_msg("%s", err_msg(&e));
}

static void test_nothing_asked(void **state)
{
    (void)state;
    make_link("x", "sub");
    assert_finds("");
}

static void test_git(void **state)
{
    (void)state;
    profile.git_readonly = true;
    assert_finds("- project/.git\n");
    make_file("a/b/.git/config", "");
    assert_finds("/ project/a\n/ project/a/b\n- project/.git\n- project/a/b/.git\n");
    make_file("a/c/.git", "gitdir: ../../.git/modules/c\n");
    make_folder(".git/modules/c");
    make_file(".git/modules/c/.git/never", ""); /* is read-only with what it is in */
    profile.readonly = true;
    assert_finds("");
}

static void test_gitfile(void **state)
{
    auto_free char *inside = at("evil");
    auto_free char *absolute = mem_printf("gitdir: %s\n", inside);

    (void)state;
    profile.git_readonly = true;
    make_file("m/.git", "gitdir: ../.git/modules/m\n");
    make_folder(".git/modules/m");
    assert_finds("/ project/m\n- project/.git\n- project/m/.git\n");
    make_folder("evil");
    make_file("m/.git", "gitdir: ../evil");
    assert_fails("cannot protect evil, where a .git");
    make_file("m/.git", absolute);
    assert_fails("cannot protect evil, where a .git");
    make_file("m/.git", "gitdir: /nowhere\n"); /* nor does the guest see it */
    assert_finds("/ project/m\n- project/.git\n- project/m/.git\n");
    make_file("m/.git", "gitdir: ../.git/../evil\n");
    assert_fails("cannot protect evil, where a .git");
    make_file("m/.git", "gitdir: ../evil\r\n\n\n");
    assert_fails("cannot protect evil, where a .git");
    make_file("m/.git", "gitdir:  ../evil\n"); /* a folder " .." */
    assert_fails("cannot protect m/ ../evil, where a .git");
    make_file("m/.git", "");
    assert_finds("/ project/m\n- project/.git\n- project/m/.git\n");
    make_file("m/.git", "gitdir: ../not/there\n"); /* the guest could make it */
    assert_fails("cannot protect not/there, where a .git");
}

static void remove_file(const char *below)
{
    auto_free char *path = at(below);

    assert_int_equal(unlink(path), 0);
}

/* Parts of .git that lie where the guest can write. */
static void test_git_links(void **state)
{
    (void)state;
    profile.git_readonly = true;
    make_link("../githooks", ".git/hooks");
    assert_fails("cannot protect githooks, which a link of git's leads to: it is not there");
    make_folder("githooks");
    assert_finds("- project/.git\n- project/githooks\n");
    make_link("../tool/real", "githooks/pre-push"); /* a hook in it */
    assert_fails("cannot protect tool/real, which a link of git's leads to: it is not there");
    make_file("tool/real", "");
    assert_finds("/ project/tool\n- project/.git\n- project/githooks\n- project/tool/real\n");
    remove_file(".git/hooks");
    make_link("modules/hooks", ".git/hooks"); /* read-only, as all of it */
    make_file(".git/commondir", "../githooks\n");
    assert_fails("cannot protect githooks, where a .git");
    remove_file(".git/commondir");
    remove_file(".git/hooks");
    make_link("/etc/hooks", ".git/hooks");
    make_link("loop", ".git/loop");
    assert_finds("- project/.git\n");
}

static void test_hook_links(void **state)
{
    auto_free char *script = at("scripts/one");

    (void)state;
    profile.git_readonly = true;
    make_file("scripts/one", "");
    make_folder(".git/modules/m/hooks");
    make_folder(".git/hooks");
    make_link("../../scripts/one", ".git/hooks/pre-commit");
    make_link(script, ".git/modules/m/hooks/pre-push");
    make_link("pre-commit", ".git/hooks/pre-push");
    assert_finds("/ project/scripts\n- project/.git\n- project/scripts/one\n");
    make_link("../../through/one", ".git/hooks/update"); /* the guest could replace the way */
    make_link("scripts", "through");
    assert_fails("cannot protect through, which a link of git's leads to: it is a symbolic link");
    remove_file(".git/hooks/update");
    make_link("../..", ".git/hooks/update");
    assert_fails("it is all that the VM can write");
    remove_file(".git/hooks/update");
    strv_push(&profile.masks, "scripts"); /* the guest sees nothing there */
    assert_finds("- project/.git\nx scripts\n");
}

static void make_repository(const char *below)
{
    auto_free char *path = at(below);
    char *const argv[] = {"git", "init", "-q", path, NULL};
    auto_err struct err e = ERR_INIT;
    struct exit_status status;

    ASSERT_OK(e, spawn_capture(argv, 1, TEST_DEADLINE_MS, NULL, NULL, &status, &e));
    assert_int_equal(exit_status_code(status), 0);
}

/* What git's settings name; conditional ones whether or not they hold now, and in turn. */
static void test_settings(void **state)
{
    (void)state;
    profile.git_readonly = true;
    make_repository(".");
    make_repository("sub");
    make_file(".git/config", "[core]\n\thooksPath = .githooks\n\tfsmonitor = x/y\n");
    assert_fails("cannot protect .githooks, which core.hooksPath in .git/config names");
    make_file(".githooks/pre-commit", "");
    assert_finds("/ project/sub\n- project/.git\n- project/.githooks\n- project/sub/.git\n");
    make_file(".git/config", "[includeIf \"onbranch:x\"]\n\tpath = ../conf/a\n"
                             "[include]\n\tpath = ../conf/b\n");
    make_file("conf/a",
              "[core]\n\thooksPath = later\n[include]\n\tpath = ../later/d\n\tpath = a\n");
    make_file("later/d", "[includeIf \"onbranch:y\"]\n\tpath = ../broken\n");
    make_file("conf/b", "[core]\n\thooksPath = lib/not/there\n[include]\n\tpath = ../c\n");
    make_folder("lib"); /* so that the guest cannot make the rest; git follows no link in it */
    make_link("../nowhere", "lib/x");
    assert_fails("cannot protect c, which conf/b includes for git: it is not there");
    make_file("broken", "[broken"); /* is not to be read before its time */
    make_file("c", "[core]\n\thooksPath = ~/hooks\n[core]\n\thooksPath\n");
    assert_finds("/ project/conf\n/ project/sub\n- project/.git\n- project/broken\n- project/c\n- "
                 "project/conf/a\n- project/conf/b\n- project/later\n- project/lib\n"
                 "- project/sub/.git\n");
    make_file("c", "[broken");
    assert_fails("cannot read git's settings for .git");
}

/* What the VM can write besides the project. */
static void test_writable_mounts(void **state)
{
    auto_free char *mount = mem_printf("%s/more", dir), *link = mem_printf("%s/more/hook", dir);

    (void)state;
    profile.git_readonly = true;
    make_file("../more/lib/.git/config", "");
    make_file("../more/hook", "");
    make_link(link, ".git/hook");
    assert_finds("- project/.git\n");
    strv_push(&writable, mount);
    assert_finds("/ more/lib\n- more/hook\n- more/lib/.git\n- project/.git\n");
    profile.readonly = true;
    assert_finds("/ more/lib\n- more/lib/.git\n");
}

static void test_no_git(void **state)
{
    auto_free char *git = at(".git"), *moved = at("git");

    (void)state;
    profile.git_readonly = true;
    assert_int_equal(rename(git, moved), 0);
    assert_fails("has no .git to protect");
    make_link("git", ".git");
    assert_fails("cannot protect .git: it is a symbolic link");
}

static void test_masks(void **state)
{
    (void)state;
    make_file(".env", "");
    make_file("a/.env", "");
    make_file("a/b/key.pem", "");
    make_file("a/b/.pem", "");
    make_file("c/x.pem", "");
    strv_push(&profile.masks, ".env");
    strv_push(&profile.masks, "a/missing");
    assert_finds("x .env\n");
    strv_push(&profile.masks, "c/*.pem");
    strv_push(&profile.masks, "**/b");
    strv_push(&profile.masks, "a/b/key.pem"); /* in a folder that is hidden */
    strv_push(&profile.masks, "*/.env");
    assert_finds("x .env\nx a/.env\nx a/b\nx c/x.pem\n");
}

static void test_masks_through_links(void **state)
{
    (void)state;
    make_file("real/secret", "");
    make_link("real/secret", "link");
    make_link("real", "folder");
    make_link("../outside", "out");
    make_link("/etc/passwd", "absolute");
    make_link("loop", "loop");
    make_link(".", "whole");
    strv_push(&profile.masks, "link");
    strv_push(&profile.masks, "out");
    strv_push(&profile.masks, "absolute");
    strv_push(&profile.masks, "loop");
    assert_finds("x real/secret\n");
    strv_push(&profile.masks, "folder/secret");
    strv_push(&profile.masks, "l*");
    assert_finds("x real/secret\n");
    strv_push(&profile.masks, "whole");
    assert_fails("cannot hide whole: it leads to the project folder itself");
}

static void make_deep(int name, int depth, const char *last)
{
    auto_buf struct buf below = BUF_INIT;

    while (depth-- > 0)
        buf_printf(&below, "%d/", name);
    buf_puts(&below, last);
    make_folder(below.data);
}

/* Deeper, and more, than anyone has, as a guest could make it. */
static void test_bounds(void **state)
{
    (void)state;
    profile.git_readonly = true;
    make_folder(".git");
    for (int i = 0; i < 30; i++)
        make_deep(i, 180, ".git");
    assert_fails("more than 5000 folders lead to what is git's");
    make_deep(0, 300, "d");
    assert_fails("more than 200 folders are in each other");
}

static void prepare(void)
{
    auto_err struct err e = ERR_INIT;

    view_free(&view);
    ASSERT_OK(e, view_prepare(&paths, &profile, project, &kept, NULL, &view, &e));
}

static void assert_no_mount(const char *path, const char *part)
{
    auto_err struct err e = ERR_INIT;

    view_free(&view);
    strv_push(&profile.mounts_writable, path);
    assert_int_equal(view_prepare(&paths, &profile, project, &kept, NULL, &view, &e), -1);
    if (!strstr(err_msg(&e), part))
        fail_msg("%s", err_msg(&e));
    strv_free(&profile.mounts_writable);
}

static void test_mounts(void **state)
{
    auto_free char *folder = mem_printf("%s/home/x", dir), *file = mem_printf("%s/file", dir);
    auto_free char *link = mem_printf("%s/link", dir), *store = mem_printf("%s/store", dir);
    struct guest_keep items[] = {{(char[]){"s"}, (char[]){"~/s"}, true}};

    (void)state;
    assert_int_equal(mkdir(folder, 0755), 0);
    write_text(file, "");
    assert_int_equal(symlink("file", link), 0);
    prepare();
    assert_int_equal(view.nbinds, 0);
    strv_push(&profile.mounts_readonly, link);
    strv_push(&profile.mounts_writable, "~/x");
    kept = (struct kept){.dir = store, .items = items, .n = 1};
    prepare();
    kept = (struct kept){0};
    assert_int_equal(view.nbinds, 3);
    assert_string_equal(view.binds[0].source, store);
    assert_false(view.binds[0].readonly);
    assert_string_equal(view.binds[1].source, file);
    assert_true(view.binds[1].readonly);
    assert_string_equal(view.binds[2].source, folder);
    assert_string_equal(view.items[0].source, "kept/s");
    assert_true(view.items[0].file);
    assert_string_equal(view.items[1].source, "mounts/0");
    assert_string_equal(view.items[1].path, link);
    assert_string_equal(view.items[2].path, folder);
    strv_free(&profile.mounts_readonly);
    make_file("../home/x/a/.git/config", "");
    profile.git_readonly = true;
    prepare();
    assert_int_equal(view.nbinds, 4);
    assert_string_equal(view.binds[1].target, "mounts/0/a");
    assert_false(view.binds[1].readonly);
    assert_string_equal(view.binds[2].target, "mounts/0/a/.git");
    assert_int_equal(view.binds[2].kind, JAIL_PIN_MOUNTED);
    assert_true(view.binds[2].readonly);
    assert_string_equal(view.binds[3].target, ".git");
}

static void test_bad_mounts(void **state)
{
    auto_free char *fifo = mem_printf("%s/fifo", dir), *inside = at("x");
    auto_free char *one = mem_printf("%s/one", dir), *two = mem_printf("%s/one/two", dir);
    auto_free char *hooks = mem_printf("%s/one/.git/hooks", dir);

    (void)state;
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(mkdir(one, 0755), 0);
    assert_int_equal(mkdir(two, 0755), 0);
    make_folder("x");
    assert_no_mount("/nowhere/at/all", "[mounts] writable: cannot mount /nowhere/at/all: there is "
                                       "no such file or folder");
    assert_no_mount(fifo, "neither a file nor a folder");
    assert_no_mount(project, "it is the project folder");
    assert_no_mount(inside, "it is the project folder");
    assert_no_mount("/etc/ssl", "it is a folder of the system");
    assert_no_mount(paths.home, "it is your home folder");
    make_folder("../one/.git/hooks");
    profile.git_readonly = true;
    assert_no_mount(hooks, "it is git's, which the VM is not to write");
    profile.git_readonly = false;
    strv_push(&profile.mounts_readonly, two);
    assert_no_mount(one, "it overlaps another mount");
    strv_free(&profile.mounts_readonly);
    strv_push(&profile.mounts_readonly, "/etc/ssl");
    prepare();
    assert_int_equal(view.nbinds, 1);
    strv_free(&profile.mounts_readonly);
}

/* What is kept of folders on the VM's disk travels in the second share, too. */
static void test_image(void **state)
{
    auto_free char *store = mem_printf("%s/store", dir);
    struct guest_keep items[] = {{(char[]){"s"}, (char[]){"~/s"}, false}};
    auto_err struct err e = ERR_INIT;

    (void)state;
    kept = (struct kept){.dir = store, .items = items, .n = 1};
    ASSERT_OK(e, view_prepare(&paths, &profile, project, &kept, "/some/disk.img", &view, &e));
    kept = (struct kept){0};
    assert_int_equal(view.nbinds, 2);
    assert_string_equal(view.binds[0].source, store);
    assert_string_equal(view.binds[1].source, "/some/disk.img");
    assert_string_equal(view.binds[1].target, view.image);
    assert_false(view.binds[1].readonly);
    assert_string_equal(view.items[0].source, "kept/s");
}

/* What a mask hides cannot be on the VM's disk; what is in the latter may be hidden. */
static void test_locals(void **state)
{
    auto_err struct err e = ERR_INIT;

    (void)state;
    make_folder("a/b");
    make_folder("node_modules/x");
    strv_split(&profile.masks, "a node_modules/x");
    strv_split(&profile.locals, "node_modules ab");
    prepare();
    assert_int_equal(view.locals.n, 2);
    strv_push(&profile.locals, "a/b");
    view_free(&view);
    assert_int_equal(view_prepare(&paths, &profile, project, &kept, NULL, &view, &e), -1);
    assert_string_equal(err_msg(&e), "[guest-local] paths: [mask] hides a/b");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_nothing_asked),       TEST(test_git),        TEST(test_gitfile),
        TEST(test_git_links),           TEST(test_hook_links), TEST(test_settings),
        TEST(test_writable_mounts),     TEST(test_no_git),     TEST(test_masks),
        TEST(test_masks_through_links), TEST(test_bounds),     TEST(test_mounts),
        TEST(test_bad_mounts),          TEST(test_locals),     TEST(test_image),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
