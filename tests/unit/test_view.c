/* session/view and the walk below it: what of a folder is protected and hidden, what is mounted. */
#include "helpers.h"

#include <stdlib.h>

#include "session/tree.h"
#include "session/view.h"

static char *dir, *project;
static struct profile profile;
static struct paths paths;
static struct kept kept;
static struct view view;

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
    profile_free(&profile);
    free(paths.home);
    free(paths.data);
    free(project);
    scratch_remove(dir);
    return 0;
}

/* What is found, one a line: "- " before what is pinned, "x " before a mask. */
static char *finds(struct err *e)
{
    struct view_finds f = {0};
    struct buf out = BUF_INIT;
    int rc = view_find(&profile, project, &f, e);

    buf_puts(&out, "");
    for (size_t i = 0; i < f.git.n; i++)
        buf_printf(&out, "- %s\n", f.git.v[i]);
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
    assert_finds("- .git\n");
    make_file("a/b/.git/config", "");
    assert_finds("- .git\n- a\n- a/b\n- a/b/.git\n");
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
    assert_finds("- .git\n- m\n- m/.git\n");
    make_folder("evil");
    make_file("m/.git", "gitdir: ../evil");
    assert_fails("cannot protect evil, where a .git");
    make_file("m/.git", absolute);
    assert_fails("cannot protect evil, where a .git");
    make_file("m/.git", "gitdir: /nowhere\n"); /* nor does the guest see it */
    assert_finds("- .git\n- m\n- m/.git\n");
    make_file("m/.git", "gitdir: ../.git/../evil\n");
    assert_fails("cannot protect evil, where a .git");
    make_file("m/.git", "gitdir: ../evil\r\n\n\n");
    assert_fails("cannot protect evil, where a .git");
    make_file("m/.git", "gitdir:  ../evil\n"); /* a folder " .." */
    assert_fails("cannot protect m/ ../evil, where a .git");
    make_file("m/.git", "");
    assert_finds("- .git\n- m\n- m/.git\n");
    make_file("m/.git", "gitdir: ../not/there\n"); /* the guest could make it */
    assert_fails("cannot protect not/there, where a .git");
}

/* Parts of .git that lie where the guest can write. */
static void test_git_links(void **state)
{
    auto_free char *hooks = at(".git/hooks"), *common = at(".git/commondir");

    (void)state;
    profile.git_readonly = true;
    make_link("../githooks", ".git/hooks");
    assert_fails("cannot protect githooks, where a .git");
    make_folder("githooks");
    assert_fails("cannot protect githooks, where a .git");
    assert_int_equal(unlink(hooks), 0);
    make_link("modules/hooks", ".git/hooks"); /* read-only, as all of it */
    make_file(".git/commondir", "../githooks\n");
    assert_fails("cannot protect githooks, where a .git");
    assert_int_equal(unlink(common), 0);
    assert_int_equal(unlink(hooks), 0);
    make_link("/etc/hooks", ".git/hooks");
    assert_finds("- .git\n");
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

/* Deeper than anyone has, as a guest could make it. */
static void test_bounds(void **state)
{
    int fd = open(project, O_RDONLY | O_DIRECTORY);

    (void)state;
    profile.git_readonly = true;
    for (int i = 0; i < 300; i++) {
        int next;

        assert_int_equal(mkdirat(fd, "d", 0755), 0);
        next = openat(fd, "d", O_RDONLY | O_DIRECTORY);
        close(fd);
        fd = next;
    }
    close(fd);
    assert_fails("more than 200 folders are in each other");
}

static void prepare(void)
{
    auto_err struct err e = ERR_INIT;

    view_free(&view);
    ASSERT_OK(e, view_prepare(&paths, &profile, project, &kept, &view, &e));
}

static void assert_no_mount(const char *path, const char *part)
{
    auto_err struct err e = ERR_INIT;

    view_free(&view);
    strv_push(&profile.mounts_writable, path);
    assert_int_equal(view_prepare(&paths, &profile, project, &kept, &view, &e), -1);
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
}

static void test_bad_mounts(void **state)
{
    auto_free char *fifo = mem_printf("%s/fifo", dir), *inside = at("x");
    auto_free char *one = mem_printf("%s/one", dir), *two = mem_printf("%s/one/two", dir);

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
    strv_push(&profile.mounts_readonly, two);
    assert_no_mount(one, "it overlaps another mount");
    strv_free(&profile.mounts_readonly);
    strv_push(&profile.mounts_readonly, "/etc/ssl");
    prepare();
    assert_int_equal(view.nbinds, 1);
    strv_free(&profile.mounts_readonly);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_nothing_asked),       TEST(test_git),    TEST(test_gitfile),
        TEST(test_git_links),           TEST(test_no_git), TEST(test_masks),
        TEST(test_masks_through_links), TEST(test_bounds), TEST(test_mounts),
        TEST(test_bad_mounts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
