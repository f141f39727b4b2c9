/* state/local_image: what of a project's folders outlives its VMs. */
#include "helpers.h"

#include <stdlib.h>

#include "state/local_image.h"

#define SIZE ((uint64_t)10 << 30)

static char *dir, *project, *folder;
static struct paths paths;

static int setup(void **state)
{
    auto_free char *made = scratch_make();

    (void)state;
    dir = realpath(made, NULL);
    project = mem_printf("%s/project", dir);
    assert_int_equal(mkdir(project, 0755), 0);
    paths = (struct paths){.data = dir};
    folder = paths_local(&paths, project);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(folder);
    free(project);
    scratch_remove(dir);
    return 0;
}

static int take(bool anew, struct local_image *out)
{
    auto_err struct err e = ERR_INIT;
    int rc = local_image_take(&paths, project, SIZE, anew, out, &e);

    if (rc < 0)
        fail_msg("%s", err_msg(&e));
    return rc;
}

/* The file system's UUID, which is new in each. */
static void read_uuid(const char *path, char out[16])
{
    auto_close int fd = open(path, O_RDONLY);

    assert_int_equal(pread(fd, out, 16, 1024 + 0x68), 16);
}

static void test_take(void **state)
{
    struct local_image one, two;
    char first[16], now[16];
    struct stat st;

    (void)state;
    assert_int_equal(take(false, &one), 0);
    assert_int_equal(stat(one.path, &st), 0);
    assert_int_equal(st.st_size, SIZE);
    assert_true((uint64_t)st.st_blocks * 512 < SIZE / 100);
    assert_int_equal(st.st_mode & 07777, 0600);
    read_uuid(one.path, first);
    assert_int_equal(take(false, &two), 1);
    assert_null(two.path);
    local_image_free(&one);
    assert_int_equal(take(false, &one), 0);
    read_uuid(one.path, now);
    assert_memory_equal(first, now, 16);
    local_image_free(&one);
    assert_int_equal(take(true, &one), 0);
    read_uuid(one.path, now);
    assert_memory_not_equal(first, now, 16);
    local_image_free(&one);
}

/* The data folder may have been moved behind a symlink; what is mounted must be found without. */
static void test_moved(void **state)
{
    auto_free char *link = mem_printf("%s/link", dir);
    auto_free char *expected = mem_printf("%s/" PATHS_LOCAL_IMAGE, folder);
    struct local_image image;

    (void)state;
    assert_int_equal(symlink(dir, link), 0);
    paths.data = link;
    assert_int_equal(take(false, &image), 0);
    assert_string_equal(image.path, expected);
    local_image_free(&image);
}

/* One that was being made when it crashed is no image. */
static void test_crash(void **state)
{
    auto_free char *draft = NULL;
    struct local_image image;
    struct stat st;

    (void)state;
    assert_int_equal(take(false, &image), 0);
    draft = mem_printf("%s/" PATHS_LOCAL_NEW, folder);
    assert_int_equal(rename(image.path, draft), 0);
    local_image_free(&image);
    assert_int_equal(take(false, &image), 0);
    assert_int_equal(stat(draft, &st), -1);
    local_image_free(&image);
}

static struct prune_item prune(int64_t cutoff, bool dry_run)
{
    auto_prune_list struct prune_list list = {0};
    struct prune_item it = {0};

    local_image_prune(&paths, cutoff, dry_run, &list);
    if (list.n > 0)
        it = list.v[0];
    it.path = NULL;
    return it;
}

static void test_prune(void **state)
{
    struct local_image image;
    struct stat st;

    (void)state;
    assert_null(prune(PRUNE_ALL, false).label);
    assert_int_equal(take(false, &image), 0);
    assert_null(prune(PRUNE_ALL, false).label);
    assert_int_equal(rmdir(project), 0);
    assert_true(prune(PRUNE_ALL, false).in_use);
    local_image_free(&image);
    assert_false(prune(1000, false).done);
    assert_true(prune(PRUNE_ALL, true).done);
    assert_int_equal(stat(folder, &st), 0);
    assert_true(prune(PRUNE_ALL, false).size > 0);
    assert_int_equal(stat(folder, &st), -1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_take), TEST(test_moved), TEST(test_crash),
                                       TEST(test_prune)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
