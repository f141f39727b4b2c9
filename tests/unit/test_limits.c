/* Limits of control groups. */
#include "helpers.h"

#include <unistd.h>

#include "model/limits.h"

static char *root;

static int set_up(void **state)
{
    (void)state;
    root = scratch_make();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scratch_remove(root);
    return 0;
}

static void put(const char *name, const char *text)
{
    auto_free char *path = mem_printf("%s/%s", root, name);
    auto_free char *folder = mem_dup(path, (size_t)(strrchr(path, '/') - path));

    assert_int_equal(file_mkdirs(folder, 0700, NULL), 0);
    write_text(path, text);
}

static void assert_limits(const char *membership, unsigned cpus, uint64_t memory)
{
    struct limits l = {8, UINT64_C(1) << 34};

    limits_narrow(membership, root, &l);
    assert_int_equal(l.cpus, cpus);
    assert_true(l.memory == memory);
}

static void test_groups(void **state)
{
    (void)state;
    put("a/cpu.max", "max 100000\n");
    put("a/memory.max", "max\n");
    put("a/b/cpu.max", "250000 100000\n");
    put("a/b/memory.max", "1073741824\n");
    put("a/b/c/memory.max", "2147483648\n");
    put("low/cpu.max", "1000 100000\n");
    assert_limits("0::/a\n", 8, UINT64_C(1) << 34);
    assert_limits("0::/a/b\n", 3, 1 << 30);
    assert_limits("12:cpu:/x\n0::/a/b/c\n", 3, 1 << 30); /* a parent's limits count */
    assert_limits("0::/low\n", 1, UINT64_C(1) << 34);
    put("cpu.max", "600000 100000\n"); /* the root of a container */
    assert_limits("0::/\n", 6, UINT64_C(1) << 34);
    assert_limits("0::/a\n", 6, UINT64_C(1) << 34);
}

static void test_odd(void **state)
{
    (void)state;
    put("a/cpu.max", "");
    put("a/memory.max", "\xff");
    put("b/cpu.max", "0 0\n");
    put("c/cpu.max", "0 100000\n");
    put("d/cpu.max", "18446744073709551615 1\n");
    assert_limits("", 8, UINT64_C(1) << 34);
    assert_limits("1:cpu:/a\n", 8, UINT64_C(1) << 34);
    assert_limits("0::/a", 8, UINT64_C(1) << 34);
    assert_limits("0::/b\n", 8, UINT64_C(1) << 34);
    assert_limits("0::/c\n", 1, UINT64_C(1) << 34);
    assert_limits("0::/d\n", 8, UINT64_C(1) << 34);
    assert_limits("0::/no/such\n", 8, UINT64_C(1) << 34);
}

static void test_here(void **state)
{
    struct limits l;

    (void)state;
    limits_find(&l);
    assert_true(l.cpus >= 1 && (long)l.cpus <= sysconf(_SC_NPROCESSORS_ONLN));
    assert_true(l.memory > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_groups, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_odd, set_up, tear_down),
        cmocka_unit_test(test_here),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
