#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/digest.h"
#include "base/file.h"
#include "base/mem.h"
#include "model/trust.h"

static char root[64];
static char *project, *store;
static struct paths paths; /* only its trust folder is used */

static int setup(void **state)
{
    char hex[DIGEST_HEX + 1];

    (void)state;
    snprintf(root, sizeof(root), "/tmp/trust.XXXXXX");
    if (!mkdtemp(root))
        return -1;
    project = mem_printf("%s/a \"project\"\n\xff", root);
    paths.trust = mem_printf("%s/trust", root);
    digest_bytes(project, strlen(project), hex);
    store = mem_printf("%s/%s", paths.trust, hex);
    return mkdir(project, 0700) < 0 || mkdir(paths.trust, 0700) < 0 ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    free(project);
    free(store);
    free(paths.trust);
    return file_remove_tree_at(AT_FDCWD, root, NULL);
}

static char *inside(const char *name)
{
    return mem_printf("%s/%s", project, name);
}

static void put(const char *name, const char *text)
{
    auto_free char *path = inside(name);

    assert_int_equal(file_write_at(AT_FDCWD, path, text, strlen(text), 0600, NULL), 0);
}

static struct trust_file get(const char *name)
{
    struct trust_file f;
    auto_err struct err e = ERR_INIT;

    if (trust_read(project, name, &f, &e) < 0)
        fail_msg("%s", err_msg(&e));
    return f;
}

static enum trust_state state_of(const char *name)
{
    struct trust_file f = get(name);
    enum trust_state state = TRUST_UNKNOWN;

    assert_int_equal(trust_state(&paths, project, &f, &state, NULL), 0);
    trust_file_free(&f);
    return state;
}

static bool approved(const char *name)
{
    return state_of(name) == TRUST_APPROVED;
}

static void approve(const char *name)
{
    struct trust_file f = get(name);
    auto_err struct err e = ERR_INIT;

    if (trust_approve(&paths, project, &f, &e) < 0)
        fail_msg("%s", err_msg(&e));
    trust_file_free(&f);
}

static void test_exact_bytes(void **state)
{
    (void)state;
    put(PATHS_PROJECT_INI, "[vm]\n");
    put(PATHS_PROJECT_RUNTIME, "[vm]\n");
    assert_false(approved(PATHS_PROJECT_INI));
    approve(PATHS_PROJECT_INI);
    assert_true(approved(PATHS_PROJECT_INI));
    assert_false(approved(PATHS_PROJECT_RUNTIME)); /* same bytes, other name */
    approve(PATHS_PROJECT_RUNTIME);
    assert_true(approved(PATHS_PROJECT_INI));
    put(PATHS_PROJECT_INI, "[vm]\n ");
    assert_false(approved(PATHS_PROJECT_INI));
    assert_true(approved(PATHS_PROJECT_RUNTIME));
    approve(PATHS_PROJECT_INI);
    put(PATHS_PROJECT_INI, "[vm]\n");
    assert_false(approved(PATHS_PROJECT_INI)); /* replaced, not added */
    put(PATHS_PROJECT_INI, "");
    assert_false(approved(PATHS_PROJECT_INI));
}

static void test_absent(void **state)
{
    (void)state;
    assert_true(approved(PATHS_PROJECT_INI));
    put(PATHS_PROJECT_INI, "x");
    approve(PATHS_PROJECT_INI);
    auto_free char *path = inside(PATHS_PROJECT_INI);
    assert_int_equal(unlink(path), 0);
    approve(PATHS_PROJECT_INI);
    put(PATHS_PROJECT_INI, "x");
    assert_false(approved(PATHS_PROJECT_INI));
}

static void test_other_project(void **state)
{
    struct trust_file f;
    enum trust_state known = TRUST_APPROVED;

    (void)state;
    put(PATHS_PROJECT_INI, "x");
    approve(PATHS_PROJECT_INI);
    f = get(PATHS_PROJECT_INI);
    assert_int_equal(trust_state(&paths, root, &f, &known, NULL), 0);
    assert_int_equal(known, TRUST_UNKNOWN);
    trust_file_free(&f);
}

/* Who approved other bytes is told that they changed. */
static void test_changed(void **state)
{
    (void)state;
    put(PATHS_PROJECT_INI, "x");
    assert_int_equal(state_of(PATHS_PROJECT_INI), TRUST_UNKNOWN);
    approve(PATHS_PROJECT_INI);
    put(PATHS_PROJECT_INI, "y");
    assert_int_equal(state_of(PATHS_PROJECT_INI), TRUST_CHANGED);
    put(PATHS_PROJECT_RUNTIME, "y");
    assert_int_equal(state_of(PATHS_PROJECT_RUNTIME), TRUST_UNKNOWN);
}

static void test_revoke(void **state)
{
    (void)state;
    assert_int_equal(trust_revoke(&paths, project, NULL), 0);
    put(PATHS_PROJECT_INI, "x");
    approve(PATHS_PROJECT_INI);
    assert_int_equal(trust_revoke(&paths, project, NULL), 0);
    assert_false(approved(PATHS_PROJECT_INI));
}

static void test_store_is_private(void **state)
{
    struct stat st;

    (void)state;
    put(PATHS_PROJECT_INI, "x");
    approve(PATHS_PROJECT_INI);
    assert_int_equal(stat(store, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

/* Damage approves nothing and does not last. */
static void test_damaged_store(void **state)
{
    static const char *const damage[] = {"",
                                         "{",
                                         "null",
                                         "[]",
                                         "{\"project\": 1, \"files\": {}}",
                                         "{\"project\": \"/\", \"files\": {\"agent.ini\": \"x\"}}",
                                         "[[[[[[[[[[[[[[[[[[[["};

    (void)state;
    put(PATHS_PROJECT_INI, "x");
    for (size_t i = 0; i < ARRAY_LEN(damage); i++) {
        assert_int_equal(file_write_at(AT_FDCWD, store, damage[i], strlen(damage[i]), 0600, NULL),
                         0);
        assert_false(approved(PATHS_PROJECT_INI));
        approve(PATHS_PROJECT_INI);
        assert_true(approved(PATHS_PROJECT_INI));
    }
    assert_int_equal(unlink(store), 0);
    assert_int_equal(mkdir(store, 0700), 0);
    assert_false(approved(PATHS_PROJECT_INI));
    approve(PATHS_PROJECT_INI);
    assert_true(approved(PATHS_PROJECT_INI));
}

/* An approval is bound to the project that the store names, whatever its file is called. */
static void test_moved_store(void **state)
{
    static const char other[] = "{\"project\": \"/other\", \"files\": {\"agent.ini\": "
                                "\"2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a48"
                                "81\"}}"; /* of "x" */

    (void)state;
    put(PATHS_PROJECT_INI, "x");
    assert_int_equal(file_write_at(AT_FDCWD, store, other, strlen(other), 0600, NULL), 0);
    assert_false(approved(PATHS_PROJECT_INI));
}

static void assert_unreadable(const char *why)
{
    auto_err struct err e = ERR_INIT;
    struct trust_file f;

    assert_int_equal(trust_read(project, PATHS_PROJECT_INI, &f, &e), -1);
    if (!strstr(err_msg(&e), why) || strchr(err_msg(&e), '\n'))
        fail_msg("'%s'", err_msg(&e));
    assert_non_null(e.advice);
}

static void test_read_refuses(void **state)
{
    auto_free char *path = inside(PATHS_PROJECT_INI);
    auto_free char *large = mem_zalloc(1, TRUST_FILE_MAX + 2);
    struct trust_file f;

    (void)state;
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_unreadable("symbolic link");
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_unreadable("not a regular file");
    rmdir(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_unreadable("not a regular file");
    unlink(path);
    memset(large, '#', TRUST_FILE_MAX + 1);
    put(PATHS_PROJECT_INI, large);
    assert_unreadable("larger than");
    large[TRUST_FILE_MAX] = '\0';
    put(PATHS_PROJECT_INI, large);
    f = get(PATHS_PROJECT_INI);
    assert_true(f.present);
    assert_int_equal(f.bytes.len, TRUST_FILE_MAX);
    trust_file_free(&f);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_exact_bytes),   TEST(test_absent),      TEST(test_other_project),
        TEST(test_changed),       TEST(test_revoke),      TEST(test_store_is_private),
        TEST(test_damaged_store), TEST(test_moved_store), TEST(test_read_refuses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
