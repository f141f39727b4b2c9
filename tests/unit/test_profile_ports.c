/* [ports] of a profile, and the policy that comes of it. */
#include "profile_fixture.h"

static unsigned host_of(unsigned guest, bool private)
{
    struct port_policy policy;

    profile_port_policy(&profile, &policy);
    return port_policy_host(&policy, guest, private);
}

static bool is_active(void)
{
    struct port_policy policy;

    profile_port_policy(&profile, &policy);
    return port_policy_is_active(&policy);
}

static void test_default(void **state)
{
    (void)state;
    assert_true(is_active());
    assert_int_equal(host_of(1, false), 1);
    assert_int_equal(host_of(65535, false), 65535);
    assert_int_equal(host_of(3000, true), 0);
}

static void test_lists(void **state)
{
    (void)state;
    apply_as(PROFILE_USER, "[ports]\nallow = 80, 3000-3002\n  9000\ndeny = 3001\n");
    assert_int_equal(host_of(80, false), 80);
    assert_int_equal(host_of(3000, false), 3000);
    assert_int_equal(host_of(3001, false), 0);
    assert_int_equal(host_of(3002, false), 3002);
    assert_int_equal(host_of(3003, false), 0);
    assert_int_equal(host_of(9000, false), 9000);
    apply_as(PROFILE_PROJECT, "[ports]\ndeny = 80\n");
    assert_int_equal(host_of(80, false), 0);
    assert_int_equal(host_of(3001, false), 0); /* both lists hold */
}

static void test_fixed(void **state)
{
    (void)state;
    apply_as(PROFILE_USER, "[ports]\nauto = off\n8080 = 80\n3000 = 4000\n");
    assert_true(is_active());
    assert_int_equal(host_of(80, true), 8080);
    assert_int_equal(host_of(4000, false), 3000);
    assert_int_equal(host_of(3000, false), 0);
    apply_as(PROFILE_USER, "[ports]\n8081 = 80\n");
    assert_int_equal(host_of(80, false), 8081); /* the last one counts */
    assert_int_equal(profile.ports_fixed.n, 2);
    apply_as(PROFILE_USER, "[ports]\ndeny = 80 4000\n");
    assert_int_equal(host_of(80, false), 0);
}

static void test_off(void **state)
{
    (void)state;
    apply_as(PROFILE_PROJECT, "[ports]\nauto = off\n");
    assert_false(is_active());
    assert_int_equal(host_of(3000, false), 0);
    assert_int_equal(profile.project_widens.n, 0);
}

/* What a project may narrow, and what it has to ask for. */
static void test_project(void **state)
{
    (void)state;
    apply_as(PROFILE_PROJECT, "[ports]\nauto = on\nallow = 3000\ndeny = 4000\n");
    apply_as(PROFILE_PROJECT, "[ports]\nallow =\n");
    assert_int_equal(profile.project_widens.n, 0);
    apply_as(PROFILE_USER, "[ports]\nauto = off\nallow = 3000-3009\n");
    apply_as(PROFILE_PROJECT, "[ports]\nauto = on\nallow = 3005-3010 80\n8080 = 80\n");
    assert_int_equal(profile.project_widens.n, 3);
    assert_string_equal(profile.project_widens.v[0], "turns automatic port forwarding on");
    assert_string_equal(profile.project_widens.v[1], "lets appear on the host ports 3005-3010 80");
    assert_string_equal(profile.project_widens.v[2],
                        "forwards port 8080 of the host to port 80 of the VM");
}

static void test_refused(void **state)
{
    auto_buf struct buf many = BUF_INIT;

    (void)state;
    assert_refused("[ports]\nauto = yes\n", "agent.ini:2: auto: 'yes' is neither 'on' nor 'off'");
    assert_refused(
        "[ports]\nallow = 0\n",
        "agent.ini:2: allow: '0' is not a port or a range of ports from 1 to 65535, such "
        "as 3000 or 8000-8099");
    for (const char *const *bad =
             (const char *const[]){"65536", "1-", "-1", "9-8", "a", "1-2-3", "080", "+80", NULL};
         *bad; bad++) {
        auto_free char *text = mem_printf("[ports]\ndeny = 5 %s\n", *bad);
        auto_err struct err e = ERR_INIT;

        assert_int_equal(profile_apply(&profile, PROFILE_USER, "f", text, strlen(text), &e), -1);
        profile_tear_down(NULL);
        profile_set_up(NULL);
    }
    assert_refused(
        "[ports]\nalow = 1\n",
        "agent.ini:2: 'alow' in [ports] is neither auto, allow or deny nor a port of the "
        "host from 1 to 65535");
    assert_refused("[ports]\n80 = http\n",
                   "agent.ini:2: 80: 'http' is not a port of the VM from 1 to 65535");
    assert_refused("[ports]\n80 = 0\n",
                   "agent.ini:2: 80: '0' is not a port of the VM from 1 to 65535");
    buf_puts(&many, "[ports]\n");
    for (int i = 1; i <= PORT_FIXED_MAX + 1; i++)
        buf_printf(&many, "%d = %d\n", i, i);
    assert_refused(many.data, "agent.ini:66: 65: '65' is one fixed port too many; 64 may be set");
}

static void test_described(void **state)
{
    auto_free char *text = NULL;

    (void)state;
    apply_as(PROFILE_USER, "[ports]\ndeny = 5\n8080 = 80\n");
    text = profile_describe(&profile);
    assert_non_null(strstr(text, "ports.auto = on  (built-in)\n"));
    assert_non_null(strstr(text, "ports.allow = 1-65535  (built-in)\n"));
    assert_non_null(strstr(text, "ports.deny = 5  (user agent.ini:2)\n"));
    assert_non_null(strstr(text, "ports.8080 = 80  (user agent.ini:3)\n"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, profile_set_up, profile_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_default), TEST(test_lists),   TEST(test_fixed),     TEST(test_off),
        TEST(test_project), TEST(test_refused), TEST(test_described),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
