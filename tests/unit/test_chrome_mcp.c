/* What the plugin chrome-mcp asks for. */
#include "hook_fixture.h"

static void test_provision(void **state)
{
    static const char *const npm[] = {"npm",
                                      "install",
                                      "--global",
                                      "--prefix",
                                      "/usr/local",
                                      "--ignore-scripts",
                                      "--no-audit",
                                      "--no-fund",
                                      "--loglevel=error",
                                      "chrome-devtools-mcp@1.11.0",
                                      NULL};
    auto_call struct call c = {0}, full = {.option = "browser", .value = "chromium"};

    (void)state;
    call_ok("chrome-mcp", PLAN_PROVISION, &c);
    find_step(&c.plan, PLAN_PACKAGE, "npm");
    find_step(&c.plan, PLAN_PACKAGE, "chromium-headless-shell");
    assert_argv(find_step(&c.plan, PLAN_RUN, "install Chrome DevTools MCP"), npm);
    assert_int_equal(find_step(&c.plan, PLAN_RUN, "install Chrome DevTools MCP")->user,
                     PLAN_AS_ROOT);
    assert_int_equal(find_step(&c.plan, PLAN_RUN, "try chrome-devtools-mcp")->user, PLAN_AS_USER);
    call_ok("chrome-mcp", PLAN_PROVISION, &full);
    find_step(&full.plan, PLAN_PACKAGE, "chromium");
}

static void test_offer(void **state)
{
    static const struct {
        struct call call;
        const char *argv[16];
    } cases[] = {
        {{.uid = 1000},
         {"chrome-devtools-mcp", "--headless", "--isolated", "--no-usage-statistics",
          "--no-performance-crux", "--executablePath=/usr/bin/chromium-headless-shell",
          "--workspace=/w", "--viewport=1280x800", "--chromeArg=--window-size=1280,800"}},
        {{.uid = 0, .workspace = "/a b", .option = "arguments", .value = " --slim  -x "},
         {"chrome-devtools-mcp", "--headless", "--isolated", "--no-usage-statistics",
          "--no-performance-crux", "--executablePath=/usr/bin/chromium-headless-shell",
          "--workspace=/a b", "--chromeArg=--no-sandbox", "--viewport=1280x800",
          "--chromeArg=--window-size=1280,800", "--slim", "-x"}},
        {{.uid = 1, .option = "viewport", .value = "3840x2160"},
         {"chrome-devtools-mcp", "--headless", "--isolated", "--no-usage-statistics",
          "--no-performance-crux", "--executablePath=/usr/bin/chromium-headless-shell",
          "--workspace=/w", "--viewport=3840x2160", "--chromeArg=--window-size=3840,2160"}},
        {{.uid = 1, .option = "browser", .value = "chromium"},
         {"chrome-devtools-mcp", "--headless", "--isolated", "--no-usage-statistics",
          "--no-performance-crux", "--executablePath=/usr/bin/chromium", "--workspace=/w",
          "--viewport=1280x800", "--chromeArg=--window-size=1280,800"}},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_call struct call c = cases[i].call;
        const struct plan_step *s;

        call_ok("chrome-mcp", PLAN_LAUNCH, &c);
        s = find_step(&c.plan, PLAN_OFFER_MCP, "chrome-devtools");
        assert_argv(s, cases[i].argv);
        assert_int_equal(s->env.n, 1);
        assert_string_equal(s->env.v[0], "CHROME_DEVTOOLS_MCP_NO_UPDATE_CHECKS=1");
    }
}

static void test_bad_options(void **state)
{
    static const char *const versions[] = {"", "latest", "1", "1.0 2", NULL};
    static const char *const browsers[] = {"", "firefox", "Chromium", "/bin/sh", NULL};
    static const char *const viewports[] = {
        "",       "1280",   "1280x",     "x800",       "0x0",       "1280x0",
        "01x1",   "1280X8", "1280x800x", "1280 x 800", " 1280x800", "-1x1",
        "3841x1", "1x2161", "1e3x1",     "+1x+1",      "1280,800",  "99999999999999999999x1",
        NULL};

    (void)state;
    assert_refused("chrome-mcp", PLAN_PROVISION, "version", versions,
                   "plugin chrome-mcp, hook provision: option version is not a version");
    assert_refused("chrome-mcp", PLAN_PROVISION, "browser", browsers,
                   "option browser is neither headless-shell nor chromium");
    assert_refused("chrome-mcp", PLAN_LAUNCH, "browser", browsers,
                   "option browser is neither headless-shell nor chromium");
    assert_refused("chrome-mcp", PLAN_LAUNCH, "viewport", viewports,
                   "plugin chrome-mcp, hook launch: option viewport is not WIDTHxHEIGHT");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_provision),
        cmocka_unit_test(test_offer),
        cmocka_unit_test(test_bad_options),
    };

    umask(022);
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
