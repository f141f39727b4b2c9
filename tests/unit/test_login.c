/* What `agentvm login` keeps: only what can be a credential, in a file of the user's alone. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "model/login.h"
#include "model/plan.h"

static char root[64];
static struct paths paths; /* only its folder of logins is used */

static int setup(void **state)
{
    (void)state;
    snprintf(root, sizeof(root), "/tmp/login.XXXXXX");
    paths.logins = mkdtemp(root);
    return paths.logins ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return file_remove_tree_at(AT_FDCWD, root, NULL);
}

static void assert_kept(const char *secret)
{
    auto_err struct err e = ERR_INIT;
    auto_free char *found = NULL;

    assert_int_equal(login_read(&paths, "a", &found, &e), 0);
    if (secret)
        assert_string_equal(found, secret);
    else
        assert_null(found);
}

/* Fails unless reading is refused with why, and the advice names the file. */
static void assert_unreadable(const char *why)
{
    auto_free char *advice = mem_printf("chmod 600 %s/a;", root);
    auto_err struct err e = ERR_INIT;
    auto_free char *found = NULL;

    assert_int_equal(login_read(&paths, "a", &found, &e), -1);
    assert_null(found);
    if (!strstr(err_msg(&e), why) || !strstr(err_msg(&e), root))
        fail_msg("\"%s\" instead of \"%s\"", err_msg(&e), why);
    assert_non_null(strstr(e.advice, advice));
}

static void test_life(void **state)
{
    auto_free char *file = mem_printf("%s/a", root);
    struct stat st;

    (void)state;
    assert_kept(NULL);
    assert_int_equal(login_remove(&paths, "a", NULL), 1);
    assert_int_equal(login_write(&paths, "a", "one", NULL), 0);
    assert_int_equal(login_write(&paths, "a", "two", NULL), 0);
    assert_kept("two");
    assert_int_equal(lstat(file, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(login_remove(&paths, "a", NULL), 0);
    assert_kept(NULL);
}

static void test_bad_file(void **state)
{
    static const mode_t modes[] = {0640, 0604, 0620, 0602, 0601};
    auto_free char *file = mem_printf("%s/a", root);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        assert_int_equal(file_write_at(AT_FDCWD, file, "x", 1, modes[i], NULL), 0);
        assert_unreadable("can be read or written by others");
    }
    assert_int_equal(file_write_at(AT_FDCWD, file, " x\n", 3, 0600, NULL), 0);
    assert_kept("x"); /* an editor ends it with a line end */
    assert_int_equal(file_write_at(AT_FDCWD, file, "\n", 1, 0600, NULL), 0);
    assert_unreadable("no credential was given");
    assert_int_equal(file_write_at(AT_FDCWD, file, "a\0b", 3, 0600, NULL), 0);
    assert_unreadable("odd character");
    unlink(file);
    assert_int_equal(symlink("/dev/null", file), 0);
    assert_unreadable("symbolic link");
    assert_int_equal(login_write(&paths, "a", "y", NULL), 0); /* in place of the link */
    assert_kept("y");
}

static void test_trim(void **state)
{
    static const struct {
        const char *text, *wanted; /* NULL: refused */
    } cases[] = {{"key", "key"},     {" \t\r\n key~!\r\n\n", "key~!"},
                 {"", NULL},         {" \n", NULL},
                 {"a b", NULL},      {"a\nb", NULL},
                 {"a\177", NULL},    {"\033[200~a", NULL},
                 {"k\303\244", NULL}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_buf struct buf text = BUF_INIT;
        auto_err struct err e = ERR_INIT;

        buf_puts(&text, cases[i].text);
        assert_int_equal(login_trim(&text, "key", &e), cases[i].wanted ? 0 : -1);
        if (cases[i].wanted)
            assert_string_equal(text.data, cases[i].wanted);
        else
            assert_non_null(strstr(err_msg(&e), "key"));
    }
}

static void test_length(void **state)
{
    auto_buf struct buf text = BUF_INIT;

    (void)state;
    while (text.len < LOGIN_MAX)
        buf_puts(&text, "x");
    assert_int_equal(login_trim(&text, "key", NULL), 0);
    buf_puts(&text, "x");
    assert_int_equal(login_trim(&text, "key", NULL), -1);
}

/* The first account of each plugin is the one that is used. */
static void test_used_account(void **state)
{
    static const char *const plugins[] = {"tool", "agent", "tool", "agent"};
    auto_plan struct plan p = PLAN_INIT;

    (void)state;
    plan_add(&p, PLAN_ENV, "agent");
    for (size_t i = 0; i < ARRAY_LEN(plugins); i++)
        plan_add(&p, PLAN_ACCOUNT, plugins[i]);
    for (size_t i = 0; i < p.n; i++)
        assert_int_equal(plan_is_used_account(&p, &p.steps[i]), i == 1 || i == 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_life, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_file, setup, teardown),
        cmocka_unit_test(test_trim),
        cmocka_unit_test(test_length),
        cmocka_unit_test(test_used_account),
    };

    umask(022);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
