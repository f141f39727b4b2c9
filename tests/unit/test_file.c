/* base/file: plain files, atomic writes, trees, locks. */
#include "helpers.h"

#include <errno.h>

static void test_read(void **state)
{
    auto_free char *path = mem_printf("%s/f", (char *)*state);
    auto_free char *link = mem_printf("%s/link", (char *)*state);
    auto_free char *fifo = mem_printf("%s/fifo", (char *)*state);
    auto_err struct err e = ERR_INIT;
    auto_buf struct buf b = BUF_INIT;

    assert_int_equal(file_read_at(AT_FDCWD, path, 10, &b, &e), 1);
    assert_null(e.msg);
    write_text(path, "0123456789");
    assert_int_equal(file_read_at(AT_FDCWD, path, 10, &b, &e), 0);
    assert_string_equal(b.data, "0123456789");
    assert_int_equal(file_read_at(AT_FDCWD, path, 9, &b, &e), -1);
    assert_non_null(strstr(e.msg, "larger than 9 bytes"));
    assert_non_null(strstr(e.msg, path));
    assert_int_equal(symlink(path, link), 0);
    assert_int_equal(file_read_at(AT_FDCWD, link, 10, &b, &e), -1);
    assert_non_null(strstr(e.msg, "symbolic link"));
    assert_int_equal(mkfifo(fifo, 0600), 0); /* must not wait for a writer */
    assert_int_equal(file_read_at(AT_FDCWD, fifo, 10, &b, &e), -1);
    assert_non_null(strstr(e.msg, "not a regular file"));
    assert_int_equal(file_read_at(AT_FDCWD, *state, 10, &b, &e), -1);
}

static void test_write(void **state)
{
    auto_free char *path = mem_printf("%s/f", (char *)*state);
    auto_free char *victim = mem_printf("%s/victim", (char *)*state);
    auto_free char *missing = mem_printf("%s/no/f", (char *)*state);
    auto_free char *text = NULL;
    auto_free char *kept = NULL;
    auto_err struct err e = ERR_INIT;
    auto_close int before = -1;
    struct stat st;
    char old[4] = {0};

    write_text(victim, "victim");
    assert_int_equal(symlink(victim, path), 0);
    ASSERT_OK(e, file_write_at(AT_FDCWD, path, "new", 3, 0640, &e)); /* replaces the link */
    text = read_text(path);
    assert_string_equal(text, "new");
    kept = read_text(victim);
    assert_string_equal(kept, "victim");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    before = open(path, O_RDONLY);
    ASSERT_OK(e, file_write_at(AT_FDCWD, path, "newer", 5, 0640, &e));
    assert_int_equal(read(before, old, 3), 3); /* who has the old file open keeps it whole */
    assert_string_equal(old, "new");
    assert_int_equal(file_write_at(AT_FDCWD, missing, "x", 1, 0600, &e), -1);
    assert_int_equal(count_entries(*state), 2);
}

static void test_write_failure(void **state)
{
    auto_free char *folder = mem_printf("%s/taken", (char *)*state);
    auto_err struct err e = ERR_INIT;

    assert_int_equal(mkdir(folder, 0700), 0);
    assert_int_equal(file_write_at(AT_FDCWD, folder, "x", 1, 0600, &e), -1);
    assert_non_null(strstr(e.msg, folder));
    assert_int_equal(count_entries(*state), 1); /* no temporary file stays */
}

static void test_read_tail(void **state)
{
    auto_free char *path = mem_printf("%s/log", (char *)*state);
    auto_buf struct buf b = BUF_INIT;

    write_text(path, "0123456789");
    file_read_tail(path, 4, &b);
    assert_string_equal(b.data, "6789");
    file_read_tail(path, 40, &b);
    assert_string_equal(b.data, "0123456789");
    file_read_tail("/nonexistent", 4, &b);
    assert_string_equal(b.data, "");
    file_read_tail(NULL, 4, &b);
    assert_int_equal(b.len, 0);
}

static void test_remove_tree(void **state)
{
    auto_free char *outside = mem_printf("%s/outside", (char *)*state);
    auto_free char *kept = mem_printf("%s/outside/kept", (char *)*state);
    auto_free char *deep = mem_printf("%s/tree/a/b/c", (char *)*state);
    auto_free char *file = mem_printf("%s/tree/a/f", (char *)*state);
    auto_free char *link = mem_printf("%s/tree/a/link", (char *)*state);
    auto_free char *tree = mem_printf("%s/tree", (char *)*state);
    auto_free char *top = mem_printf("%s/top", (char *)*state);
    auto_err struct err e = ERR_INIT;

    ASSERT_OK(e, file_mkdirs(deep, 0700, &e));
    ASSERT_OK(e, file_mkdirs(deep, 0700, &e)); /* again: fine */
    ASSERT_OK(e, file_mkdirs(outside, 0700, &e));
    write_text(kept, "kept");
    write_text(file, "f");
    assert_int_equal(symlink(outside, link), 0);
    assert_int_equal(symlink(outside, top), 0);
    ASSERT_OK(e, file_remove_tree_at(AT_FDCWD, tree, &e));
    ASSERT_OK(e, file_remove_tree_at(AT_FDCWD, top, &e));
    assert_int_equal(access(tree, F_OK), -1);
    assert_int_equal(access(kept, F_OK), 0);
    ASSERT_OK(e, file_remove_tree_at(AT_FDCWD, tree, &e)); /* absent: fine */
}

static void test_mkdirs_fails(void **state)
{
    auto_free char *file = mem_printf("%s/f", (char *)*state);
    auto_free char *below = mem_printf("%s/f/a/b", (char *)*state);
    auto_err struct err e = ERR_INIT;

    write_text(file, "");
    assert_int_equal(file_mkdirs(below, 0700, &e), -1);
    assert_non_null(strstr(e.msg, "/f/a"));
}

static void test_lock(void **state)
{
    auto_free char *path = mem_printf("%s/lock", (char *)*state);
    auto_err struct err e = ERR_INIT;
    int a = file_lock_at(AT_FDCWD, path, true, false, &e);
    int b = file_lock_at(AT_FDCWD, path, true, false, &e);

    assert_true(a >= 0 && b >= 0);
    assert_int_equal(file_lock_at(AT_FDCWD, path, false, false, &e), -1);
    assert_int_equal(errno, EWOULDBLOCK);
    assert_null(e.msg);
    close(a);
    close(b);
    a = file_lock_at(AT_FDCWD, path, false, false, &e);
    assert_true(a >= 0);
    assert_int_equal(file_lock_at(AT_FDCWD, path, true, false, &e), -1);
    close(a);
    assert_int_equal(file_lock_at(AT_FDCWD, "/nonexistent/lock", true, false, &e), -1);
    assert_non_null(e.msg);
}

static void test_memfd(void **state)
{
    auto_err struct err e = ERR_INIT;
    auto_buf struct buf b = BUF_INIT;
    auto_close int fd = file_memfd("secret", "in memory", 9, &e);

    (void)state;
    assert_true(fd >= 0);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    ASSERT_OK(e, file_read_fd(fd, 100, &b, &e));
    assert_string_equal(b.data, "in memory");
}

static void test_space(void **state)
{
    auto_err struct err e = ERR_INIT;

    (void)state;
    ASSERT_OK(e, file_check_space("/", 0, "nothing", &e));
    assert_int_equal(file_check_space("/", (uint64_t)1 << 60, "the image", &e), -1);
    assert_non_null(strstr(e.msg, "the image needs 1073741824.0 GiB"));
}

static int set_up(void **state)
{
    *state = scratch_make();
    return 0;
}

static int tear_down(void **state)
{
    scratch_remove(*state);
    return 0;
}

#define WITH_SCRATCH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SCRATCH(test_read),          WITH_SCRATCH(test_write),
        WITH_SCRATCH(test_write_failure), WITH_SCRATCH(test_read_tail),
        WITH_SCRATCH(test_remove_tree),   WITH_SCRATCH(test_mkdirs_fails),
        WITH_SCRATCH(test_lock),          cmocka_unit_test(test_memfd),
        cmocka_unit_test(test_space),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
