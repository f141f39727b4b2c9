/* What a profile takes away from the VM or gives it of the host: [project], [mask], [mounts]. */
#include "profile_fixture.h"

/* A project may switch restrictions on, never off what the user switched on. */
static void test_restrictions(void **state)
{
    (void)state;
    assert_refused("[project]\nreadonly = yes\n",
                   "agent.ini:2: readonly: 'yes' is neither 'true' nor 'false'");
    apply_as(PROFILE_PROJECT, "[project]\nreadonly = false\n[network]\noffline = true\n");
    assert_int_equal(profile.project_widens.n, 0);
    assert_true(profile.offline);
    assert_false(profile.readonly);
    apply("[project]\nreadonly = true\n");
    apply_as(PROFILE_PROJECT, "[project]\nreadonly = false\n");
    assert_int_equal(profile.project_widens.n, 1);
    apply_as(PROFILE_PROJECT, "[git]\nidentity = false\n");
    assert_int_equal(profile.project_widens.n, 1);
    apply_as(PROFILE_PROJECT, "[git]\nidentity = true\n");
    assert_int_equal(profile.project_widens.n, 2);
    apply_as(PROFILE_PROJECT, "[ssh]\nagent = false\n");
    assert_int_equal(profile.project_widens.n, 2);
    apply_as(PROFILE_PROJECT, "[ssh]\nagent = true\n");
    assert_int_equal(profile.project_widens.n, 3);
    assert_string_equal(profile.project_widens.v[2],
                        "lets the VM sign with the keys of your ssh-agent: agent = true");
    assert_true(profile.ssh_agent);
    apply("[ssh]\nagent = true\n"); /* what the user grants, a project may take away */
    apply_as(PROFILE_PROJECT, "[ssh]\nagent = false\n");
    assert_int_equal(profile.project_widens.n, 3);
    assert_false(profile.ssh_agent);
}

/* Masks add up, a project's freely; mounts of a project need approval. */
static void test_paths(void **state)
{
    (void)state;
    apply("[mask]\npaths = .env 'a b/'\n  **/*.pem\n[mounts]\nreadonly = ~/x /opt/sdk/\n");
    apply_as(PROFILE_PROJECT, "[mask]\npaths = more .env\n");
    assert_int_equal(profile.project_widens.n, 0);
    assert_int_equal(profile.masks.n, 4);
    assert_string_equal(profile.masks.v[1], "a b");
    assert_string_equal(profile.masks.v[3], "more");
    assert_string_equal(profile.mounts_readonly.v[1], "/opt/sdk");
    apply_as(PROFILE_PROJECT, "[mounts]\nwritable = '/a b'\n  /c\n");
    assert_int_equal(profile.project_widens.n, 1);
    assert_string_equal(profile.project_widens.v[0], "lets the VM read and write '/a b' /c");
}

/* Folders on the VM's disk add up, a project's freely. */
static void test_locals(void **state)
{
    static const char *const bad[] = {"/x",       "..", "a/../b", "a//b", ".",      "''",
                                      "*/target", "a?", "[a]",    ".git", "a/.git", "a/.git/lfs"};

    (void)state;
    apply("[guest-local]\npaths = target/ 'a b/c'\n");
    apply_as(PROFILE_PROJECT, "[guest-local]\npaths = .venv target\n");
    assert_int_equal(profile.project_widens.n, 0);
    assert_int_equal(profile.locals.n, 3);
    assert_string_equal(profile.locals.v[0], "target");
    assert_string_equal(profile.locals.v[1], "a b/c");
    assert_string_equal(profile.locals.v[2], ".venv");
    apply_as(PROFILE_PROJECT, "[guest-local]\nkeep = false\n");
    assert_int_equal(profile.project_widens.n, 0);
    apply_as(PROFILE_PROJECT, "[guest-local]\nkeep = true\n");
    assert_int_equal(profile.project_widens.n, 1);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        auto_free char *text = mem_printf("[guest-local]\npaths = %s\n", bad[i]);

        assert_int_equal(profile_apply(&profile, PROFILE_USER, "x", text, strlen(text), NULL), -1);
    }
    assert_refused(
        "[guest-local]\npaths = **/target\n",
        "agent.ini:2: paths: '**/target' is not a path below the project folder, such as "
        "node_modules (patterns are not possible, and .git would be lost with the VM)");
}

static void test_bad_paths(void **state)
{
    static const char *const masks[] = {"/etc", "..", "a/../b", "./a", "a//b", "'", "''", "."};
    static const char *const mounts[] = {"a", "~", "~user/x", "/a/../b", "/", "~/../x", "/a//b"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(masks); i++) {
        auto_free char *text = mem_printf("[mask]\npaths = %s\n", masks[i]);

        assert_int_equal(profile_apply(&profile, PROFILE_USER, "x", text, strlen(text), NULL), -1);
    }
    for (size_t i = 0; i < ARRAY_LEN(mounts); i++) {
        auto_free char *text = mem_printf("[mounts]\nwritable = %s\n", mounts[i]);

        assert_int_equal(profile_apply(&profile, PROFILE_USER, "x", text, strlen(text), NULL), -1);
    }
    assert_refused("[mask]\npaths = /etc\n", "agent.ini:2: paths: '/etc' is not a path below the "
                                             "project folder, such as .env or **/.env");
    assert_refused("[mounts]\nreadonly = x\n", "agent.ini:2: readonly: 'x' is not a path that "
                                               "begins with / or ~/ and has no .. in it");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, profile_set_up, profile_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_restrictions),
        TEST(test_paths),
        TEST(test_locals),
        TEST(test_bad_paths),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
