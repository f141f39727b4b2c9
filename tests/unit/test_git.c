/* session/git: what is taken from git, and how the guest gets it. */
#include "helpers.h"

#include "session/git.h"

static struct git_identity id;

static int teardown(void **state)
{
    (void)state;
    git_identity_free(&id);
    return 0;
}

#define PARSE(text) git_identity_parse(text, sizeof(text) - 1, &id)

static void test_parse(void **state)
{
    (void)state;
    PARSE("user.name\nA\0user.email\na@b\0user.name\nJane \"J\" Doe\\\0");
    assert_string_equal(id.name, "Jane \"J\" Doe\\");
    assert_string_equal(id.email, "a@b");
}

/* A project's configuration is not the user's. */
static void test_hostile(void **state)
{
    char long_name[400] = "user.name\n";

    (void)state;
    PARSE("user.name\nA\0user.name\nx\ny\0user.name\n\0user.name\n\x1b[2J\0user.name\0user."
          "email\ncut off");
    assert_string_equal(id.name, "A");
    assert_null(id.email);
    memset(long_name + strlen(long_name), 'x', 300);
    git_identity_parse(long_name, strlen(long_name) + 1, &id);
    assert_string_equal(id.name, "A");
    git_identity_parse("", 0, &id);
}

static void test_config(void **state)
{
    auto_free char *text = NULL;

    (void)state;
    assert_null(git_guest_config(&id));
    PARSE("user.name\nJane \"J\" Doe\\\0");
    text = git_guest_config(&id);
    assert_string_equal(text, "[user]\n\tname = \"Jane \\\"J\\\" Doe\\\\\"\n"
                              "[include]\n\tpath = /etc/gitconfig\n");
}

#define TEST(f) cmocka_unit_test_teardown(f, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_parse),
        TEST(test_hostile),
        TEST(test_config),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
