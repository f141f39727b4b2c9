/* state/local: folders that a VM has on its own disk, and what of them is made on the host. */
#include "helpers.h"

#include <signal.h>
#include <stdlib.h>

#include "state/local.h"
#include "state/vms.h"

static char *dir, *project;
static struct paths paths;
static struct strv wanted, found;

static char *make_dir(const char *parent, const char *name)
{
    char *path = mem_printf("%s/%s", parent, name);

    assert_int_equal(mkdir(path, 0755), 0);
    return path;
}

static int setup(void **state)
{
    auto_free char *made = scratch_make();

    (void)state;
    dir = realpath(made, NULL);
    project = make_dir(dir, "project");
    paths = (struct paths){.vms = make_dir(dir, "vms"), .run = make_dir(dir, "run")};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    strv_free(&wanted);
    strv_free(&found);
    free(paths.vms);
    free(paths.run);
    free(project);
    scratch_remove(dir);
    return 0;
}

static bool exists(const char *below)
{
    auto_free char *path = mem_printf("%s/%s", project, below);
    struct stat st;

    return lstat(path, &st) == 0;
}

static void put(const char *below)
{
    auto_free char *path = mem_printf("%s/%s", project, below);

    write_text(path, "x");
}

/* A VM that lives as long as its lock is open. */
static int start(char id[9])
{
    auto_err struct err e = ERR_INIT;
    int lock;

    id[0] = '\0';
    ASSERT_OK(e, vms_reserve(&paths, id, &lock, &e));
    return lock;
}

static void make(const char *id)
{
    auto_err struct err e = ERR_INIT;

    ASSERT_OK(e, local_make(&paths, id, project, 0, wanted.v, &e));
}

static void sweep(void)
{
    local_sweep(&paths);
    vms_sweep(&paths);
}

static bool has_folder(const char *id)
{
    auto_free char *path = mem_printf("%s/%s", paths.vms, id);
    struct stat st;

    return lstat(path, &st) == 0;
}

static void assert_no_find(const char *path, const char *part)
{
    auto_err struct err e = ERR_INIT;

    strv_free(&wanted);
    strv_free(&found);
    strv_push(&wanted, path);
    assert_int_equal(local_find(&wanted, project, &found, &e), -1);
    if (!strstr(err_msg(&e), part))
        fail_msg("%s", err_msg(&e));
    assert_non_null(e.advice);
}

static void test_find(void **state)
{
    auto_err struct err e = ERR_INIT;
    auto_free char *sub = make_dir(project, "sub"), *link = mem_printf("%s/link", project);

    (void)state;
    strv_split(&wanted, "a/b sub/x a/b/c sub-2 missing/x/y a/bc");
    ASSERT_OK(e, local_find(&wanted, project, &found, &e));
    assert_int_equal(found.n, 5);
    assert_string_equal(found.v[2], "sub-2");
    assert_false(exists("a"));
    put("file");
    assert_int_equal(symlink("sub", link), 0);
    assert_no_find("file", "file, or what it is in, is a file or a symbolic link");
    assert_no_find("file/x", "file/x, or what it is in");
    assert_no_find("link", "link, or what it is in");
    assert_no_find("link/x", "link/x, or what it is in");
}

/* What was there stays, and so does what something was put into. */
static void test_life(void **state)
{
    auto_free char *sub = make_dir(project, "sub"), *old = make_dir(sub, "old");
    char id[9];
    auto_close int lock = start(id);

    (void)state;
    make(id);
    strv_split(&wanted, "sub/old sub/new a/b/c d/e");
    make(id);
    assert_true(exists("sub/new") && exists("a/b/c") && exists("d/e"));
    put("d/file");
    local_remove(&paths, id, 0);
    assert_false(exists("sub/new") || exists("a") || exists("d/e"));
    assert_true(exists("sub/old") && exists("d/file"));
    local_remove(&paths, id, 0);
    assert_true(exists("sub/old"));
}

/* The last VM of a folder removes what the first one made. */
static void test_two(void **state)
{
    char one[9], two[9];
    auto_close int lock = start(one), other = start(two);

    (void)state;
    strv_split(&wanted, "a/b c");
    make(one);
    make(two);
    local_remove(&paths, one, 0);
    assert_true(exists("a/b") && exists("c"));
    local_remove(&paths, two, 0);
    assert_false(exists("a") || exists("c"));
}

/* After a crash the sweep removes them, unless a VM has them that lives; whatever was put in their
 * place stays. */
static void test_sweep(void **state)
{
    auto_free char *outside = make_dir(dir, "outside"), *inner = make_dir(outside, "b");
    auto_free char *a = mem_printf("%s/a", project), *c = mem_printf("%s/c", project);
    char one[9], two[9];
    int lock = start(one), other = start(two);

    (void)state;
    strv_split(&wanted, "a/b c d");
    make(one);
    make(two);
    close(lock);
    sweep();
    assert_true(exists("a/b") && exists("c") && exists("d"));
    assert_int_equal(file_remove_tree_at(AT_FDCWD, a, NULL), 0);
    assert_int_equal(symlink(outside, a), 0);
    assert_int_equal(rmdir(c), 0);
    put("c");
    close(other);
    sweep();
    assert_false(exists("d"));
    assert_true(exists("c"));
    assert_int_equal(rmdir(inner), 0);
}

/* A project whose file system does not answer would hold up whoever waits for the lock of all VMs:
 * nothing is done in a project with that held, and what is to be done there is not forgotten. */
static void test_locks(void **state)
{
    auto_err struct err e = ERR_INIT;
    char one[9], two[9];
    int lock = start(one), other = start(two);
    int vms = vms_lock(&paths, &e);

    (void)state;
    alarm(20); /* for who waits for it */
    strv_split(&wanted, "a/b");
    make(one);
    local_remove(&paths, one, 0);
    assert_false(exists("a"));
    make(one);
    make(two);
    close(lock);
    local_sweep(&paths);
    assert_true(exists("a/b"));
    close(other);
    close(vms);
    vms_sweep(&paths);
    assert_true(exists("a/b") && !has_folder(one) && has_folder(two));
    vms = vms_lock(&paths, &e);
    local_sweep(&paths);
    assert_false(exists("a"));
    close(vms);
    vms_sweep(&paths);
    assert_false(has_folder(two));
    alarm(0);
}

/* What a VM made that was killed is the next one's, too, as long as nobody has swept. */
static void test_handed_over(void **state)
{
    char one[9], two[9];
    int lock = start(one);
    auto_close int other = start(two);

    (void)state;
    strv_split(&wanted, "a");
    make(one);
    close(lock);
    make(two);
    sweep();
    assert_true(exists("a") && !has_folder(one));
    local_remove_dead(&paths, two);
    assert_true(exists("a"));
    local_remove(&paths, two, 0);
    assert_false(exists("a"));
}

/* A tree that changes between the check and the making. */
static void test_hostile(void **state)
{
    auto_free char *outside = make_dir(dir, "outside"), *a = mem_printf("%s/a", project);
    auto_err struct err e = ERR_INIT;
    struct stat st;
    char id[9];
    auto_close int lock = start(id);
    auto_free char *inner = mem_printf("%s/b", outside);

    (void)state;
    strv_split(&wanted, "a/b");
    ASSERT_OK(e, local_find(&wanted, project, &found, &e));
    assert_int_equal(symlink(outside, a), 0);
    assert_int_equal(local_make(&paths, id, project, 0, wanted.v, &e), -1);
    assert_int_equal(lstat(inner, &st), -1);
}

/* Another VM, which has the folder above, puts a symlink in the place of the project: what has that
 * folder open gets it, and nobody else what the link leads to. */
static void test_replaced(void **state)
{
    auto_free char *outside = make_dir(dir, "outside"), *above = make_dir(dir, "above");
    auto_free char *moved = mem_printf("%s/moved", dir), *made = mem_printf("%s/moved/p/a", dir);
    auto_free char *lured = make_dir(outside, "p"), *wrong = mem_printf("%s/a", lured);
    auto_close int fd = -1;
    auto_err struct err e = ERR_INIT;
    struct stat st;
    char id[9];
    auto_close int lock = start(id);

    (void)state;
    free(project);
    project = make_dir(above, "p");
    fd = open(project, O_PATH | O_DIRECTORY | O_CLOEXEC);
    strv_push(&wanted, "a");
    assert_int_equal(rename(above, moved), 0);
    assert_int_equal(symlink(outside, above), 0);
    assert_int_equal(local_find(&wanted, project, &found, &e), -1);
    err_clear(&e);
    assert_int_equal(local_make(&paths, id, project, 0, wanted.v, &e), -1);
    err_clear(&e);
    assert_int_equal(lstat(wrong, &st), -1);
    ASSERT_OK(e, local_make(&paths, id, project, fd, wanted.v, &e));
    assert_int_equal(lstat(wrong, &st), -1);
    assert_int_equal(lstat(made, &st), 0);
    assert_int_equal(mkdir(wrong, 0700), 0);
    local_remove(&paths, id, fd);
    assert_int_equal(lstat(made, &st), -1);
    ASSERT_OK(e, local_make(&paths, id, project, fd, wanted.v, &e));
    close_fd(&lock);
    sweep();
    assert_int_equal(lstat(wrong, &st), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_find),    TEST(test_life),  TEST(test_two),         TEST(test_sweep),
        TEST(test_hostile), TEST(test_locks), TEST(test_handed_over), TEST(test_replaced),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
