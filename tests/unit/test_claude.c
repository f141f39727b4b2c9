/* What the plugins that come with agentvm ask for: Claude Code, and the example of the SDK. */
#include "hook_fixture.h"

#include <cjson/cJSON.h>
#include <string.h>
#include <sys/utsname.h>

static void test_provision(void **state)
{
    auto_call struct call c = {0}, again = {.option = "version", .value = "3.0.1"};
    auto_free char *package = NULL, *target = NULL;
    struct utsname host;

    (void)state;
    uname(&host);
    package = mem_printf("@anthropic-ai/claude-code-linux-%s",
                         strcmp(host.machine, "x86_64") == 0 ? "x64" : "arm64");
    target = mem_printf("../lib/node_modules/%s/claude", package);
    call_ok("claude", PLAN_PROVISION, &c);
    find_step(&c.plan, PLAN_PACKAGE, "npm");
    {
        auto_free char *spec = mem_printf("%s@2.1.330", package);
        const char *const npm[] = {"npm",        "install",    "--global",
                                   "--prefix",   "/usr/local", "--ignore-scripts",
                                   "--no-audit", "--no-fund",  "--loglevel=error",
                                   spec,         NULL};
        const char *const link_[] = {"ln", "-sfn", target, "/usr/local/bin/claude", NULL};

        assert_argv(find_step(&c.plan, PLAN_RUN, "install Claude Code"), npm);
        assert_argv(find_step(&c.plan, PLAN_RUN, "link claude"), link_);
    }
    assert_int_equal(find_step(&c.plan, PLAN_RUN, "install Claude Code")->user, PLAN_AS_ROOT);
    assert_string_equal(find_step(&c.plan, PLAN_FILE, "~/.claude.json")->data.data,
                        "{\"hasCompletedOnboarding\": true}\n");
    assert_int_equal(find_step(&c.plan, PLAN_FILE, "~/.claude.json")->mode, 0600);
    find_step(&c.plan, PLAN_FILE, "~/.claude/settings.json");
    call_ok("claude", PLAN_PROVISION, &again);
    assert_non_null(strstr(find_step(&again.plan, PLAN_RUN, NULL)->argv.v[9], "@3.0.1"));
}

static void test_version_option(void **state)
{
    static const char *const bad[] = {"",         "latest",         "1", "^2.1.0", "2.1.330 || 1",
                                      "1.0@evil", "http://x/y.tgz", NULL};

    (void)state;
    assert_refused("claude", PLAN_PROVISION, "version", bad,
                   "plugin claude, hook provision: option version is not a version");
}

#define KEY "ANTHROPIC_API_KEY=sk-ant-api03-aaaaaaaaaaaaaaaaaaaaaaaaa"
#define TOKEN "ANTHROPIC_AUTH_TOKEN=tok"
#define OAUTH "CLAUDE_CODE_OAUTH_TOKEN=sk-ant-oat01-b"
#define URL "ANTHROPIC_BASE_URL=https://gateway.example/v1"
#define LOGIN                                                                                \
    "{\"mcpOAuth\": {\"x\": {\"accessToken\": \"mcp-secret\"}}, \"claudeAiOauth\": {"        \
    "\"accessToken\":\"at-1\", \"refreshToken\" : \"rt-1\", \"expiresAt\": 33333333333000, " \
    "\"scopes\": [\"user:inference\", \"a]\\\"}\"], \"subscriptionType\":\"max\"}}"
#define LOGIN_PATH "~/.claude/.credentials.json"
#define KEPT "sk-ant-oat01-kept"
#define GIVES_KEPT "CLAUDE_CODE_OAUTH_TOKEN=" KEPT

static void test_credentials(void **state)
{
    static const struct {
        struct call call;
        const char *secrets;
    } cases[] = {
        {{.env = {KEY}}, KEY " ~/.claude.json"},
        {{.env = {TOKEN}}, TOKEN},
        {{.env = {OAUTH}}, OAUTH},
        {{.login = LOGIN}, LOGIN_PATH},
        {{.kept = KEPT}, GIVES_KEPT},
        /* A subscription goes before what is metered ... */
        {{.env = {KEY, TOKEN, OAUTH}, .login = LOGIN}, OAUTH},
        {{.env = {KEY, TOKEN}, .login = LOGIN}, LOGIN_PATH},
        {{.env = {KEY, TOKEN}}, TOKEN},
        {{.env = {OAUTH}, .kept = KEPT}, OAUTH},
        {{.env = {KEY, TOKEN}, .login = LOGIN, .kept = KEPT}, GIVES_KEPT},
        /* ... but is not sent to a gateway that has a key of its own, and a login never. */
        {{.env = {KEY, URL, OAUTH}, .login = LOGIN}, KEY " ~/.claude.json"},
        {{.env = {KEY, URL, TOKEN}, .login = LOGIN}, TOKEN},
        {{.env = {OAUTH, URL}, .login = LOGIN, .kept = KEPT}, OAUTH},
        /* The option decides. */
        {{.option = "credential", .value = "api-key", .env = {KEY, OAUTH}}, KEY " ~/.claude.json"},
        {{.option = "credential", .value = "file", .env = {KEY, URL}, .login = LOGIN}, LOGIN_PATH},
        {{.option = "credential", .value = "auth-token", .env = {KEY, TOKEN}}, TOKEN},
        {{.option = "credential", .value = "oauth-token", .env = {KEY, OAUTH}}, OAUTH},
        {{.option = "credential", .value = "login", .env = {OAUTH, URL}, .kept = KEPT}, GIVES_KEPT},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_call struct call c = cases[i].call;
        auto_free char *secrets = NULL;

        call_ok("claude", PLAN_AUTH, &c);
        secrets = secrets_of(&c.plan);
        assert_string_equal(secrets, cases[i].secrets);
    }
}

static void test_accounts(void **state)
{
    static const struct {
        struct call call;
        const char *accounts;
    } cases[] = {
        {{.env = {KEY}}, "ANTHROPIC_API_KEY (metered API)"},
        {{.env = {KEY, URL}}, "ANTHROPIC_API_KEY (gateway)"},
        {{.env = {KEY, TOKEN, OAUTH}, .login = LOGIN, .kept = KEPT},
         "CLAUDE_CODE_OAUTH_TOKEN (subscription), agentvm login (subscription), " LOGIN_PATH
         " (subscription), ANTHROPIC_AUTH_TOKEN (gateway), ANTHROPIC_API_KEY (metered API)"},
        {{.option = "credential", .value = "api-key", .env = {KEY, OAUTH}},
         "ANTHROPIC_API_KEY (metered API), CLAUDE_CODE_OAUTH_TOKEN (subscription)"},
        {{.option = "credential", .value = "file", .env = {OAUTH}, .login = LOGIN},
         LOGIN_PATH " (subscription), CLAUDE_CODE_OAUTH_TOKEN (subscription)"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_call struct call c = cases[i].call;
        auto_free char *accounts = NULL;

        call_ok("claude", PLAN_AUTH, &c);
        accounts = accounts_of(&c.plan);
        assert_string_equal(accounts, cases[i].accounts);
    }
}

/* Whatever else there is: a credential that others can read is not passed over in silence. */
static void test_readable_login(void **state)
{
    auto_call struct call c = {.env = {OAUTH}, .login = LOGIN, .login_mode = 0644};

    (void)state;
    assert_int_equal(call_plugin("claude", PLAN_AUTH, &c), -1);
    assert_non_null(strstr(c.err.advice, "chmod 600"));
    assert_non_null(strstr(c.err.msg, LOGIN_PATH));
    assert_message(&c.err, "can be read or written by others (mode 0644)");
}

static void test_login_hook(void **state)
{
    static const char *const argv[] = {"claude", "setup-token", NULL};
    auto_call struct call c = {0};

    (void)state;
    call_ok("claude", PLAN_LOGIN, &c);
    find_step(&c.plan, PLAN_ASK, "OAuth token");
    find_step(&c.plan, PLAN_ENV, "DISABLE_AUTOUPDATER");
    assert_argv(find_step(&c.plan, PLAN_EXEC, NULL), argv);
}

static void test_no_credential(void **state)
{
    static const struct {
        struct call call;
        const char *why;
    } cases[] = {
        {{.env = {NULL}}, "no credential for Claude Code"},
        {{.env = {"ANTHROPIC_API_KEY="}}, "no credential for Claude Code"},
        {{.env = {URL}, .login = LOGIN}, "no credential for Claude Code"},
        {{.env = {URL}, .kept = KEPT}, "no credential for Claude Code"},
        {{.login = "{}"}, "no credential for Claude Code"},
        {{.login = "{\"claudeAiOauth\": {\"accessToken\": \"\"}}"}, "no credential"},
        {{.login = "{\"claudeAiOauth\": {\"accessToken\": \"cut"}, "no credential"},
        {{.login = "{\"claudeAiOauth\": {\"accessToken\": \"a\", \"expiresAt\": 1000}}"},
         "the login in ~/.claude/.credentials.json has expired"},
        {{.env = {KEY "\n"}}, "ANTHROPIC_API_KEY contains a space, a line end"},
        {{.option = "credential", .value = "api-key", .env = {OAUTH}},
         "option credential is api-key, but there is no ANTHROPIC_API_KEY"},
        {{.option = "credential", .value = "file", .env = {OAUTH}},
         "option credential is file, but there is no login in ~/.claude"},
        {{.option = "credential", .value = "login", .env = {OAUTH}},
         "option credential is login, but there is no agentvm login"},
        {{.option = "credential", .value = "both"}, "option credential is none of auto"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_call struct call c = cases[i].call;

        assert_int_equal(call_plugin("claude", PLAN_AUTH, &c), -1);
        assert_non_null(c.err.advice);
        assert_message(&c.err, cases[i].why);
    }
}

static void test_no_credential_advice(void **state)
{
    auto_call struct call c = {0};

    (void)state;
    assert_int_equal(call_plugin("claude", PLAN_AUTH, &c), -1);
    assert_string_equal(c.err.advice,
                        "run agentvm login claude; or set CLAUDE_CODE_OAUTH_TOKEN (from: claude "
                        "setup-token), ANTHROPIC_API_KEY or ANTHROPIC_AUTH_TOKEN; or log in with "
                        "claude on this host (~/.claude/.credentials.json)");
}

/* Neither the refresh token nor other servers' tokens leave the host. */
static void test_login(void **state)
{
    auto_call struct call c = {.login = LOGIN};
    const struct plan_step *s;

    (void)state;
    call_ok("claude", PLAN_AUTH, &c);
    s = find_step(&c.plan, PLAN_SECRET_FILE, LOGIN_PATH);
    assert_string_equal(s->data.data,
                        "{\"claudeAiOauth\": {\"accessToken\": \"at-1\", \"expiresAt\": "
                        "33333333333000, \"scopes\": [\"user:inference\", \"a]\\\"}\"], "
                        "\"subscriptionType\": \"max\"}}\n");
    assert_int_equal(s->mode, 0600);
}

static void test_key_approval(void **state)
{
    auto_call struct call c = {.env = {"ANTHROPIC_API_KEY=sk-ant-0123456789\"12345678\\"}};
    cJSON *o, *approved;

    (void)state;
    call_ok("claude", PLAN_AUTH, &c);
    o = cJSON_Parse(find_step(&c.plan, PLAN_SECRET_FILE, "~/.claude.json")->data.data);
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(o, "hasCompletedOnboarding")));
    approved = cJSON_GetObjectItem(cJSON_GetObjectItem(o, "customApiKeyResponses"), "approved");
    assert_string_equal(cJSON_GetArrayItem(approved, 0)->valuestring, "0123456789\"12345678\\");
    cJSON_Delete(o);
}

static void test_base_url(void **state)
{
    auto_call struct call c = {.env = {TOKEN, "ANTHROPIC_BASE_URL=http://127.0.0.1:8080"}};
    auto_call struct call d = {.env = {TOKEN, "ANTHROPIC_BASE_URL=http://a:b@localhost"}};

    (void)state;
    call_ok("claude", PLAN_AUTH, &c);
    assert_string_equal(find_step(&c.plan, PLAN_ENV, "ANTHROPIC_BASE_URL")->data.data,
                        "http://10.0.2.2:8080");
    call_ok("claude", PLAN_AUTH, &d);
    assert_string_equal(find_step(&d.plan, PLAN_SECRET_ENV, "ANTHROPIC_BASE_URL")->data.data,
                        "http://a:b@10.0.2.2");
}

static void test_launch(void **state)
{
    static const char *const names[] = {
        "IS_SANDBOX", "CLAUDE_CODE_SANDBOXED", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC",
        "CLAUDE_CODE_DISABLE_OFFICIAL_MARKETPLACE_AUTOINSTALL", "DISABLE_AUTOUPDATER"};
    static const char *const argv[] = {"claude", "--dangerously-skip-permissions", "-p", "hi there",
                                       NULL};
    auto_call struct call c = {.args = {"-p", "hi there"}};

    (void)state;
    call_ok("claude", PLAN_LAUNCH, &c);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        assert_string_equal(find_step(&c.plan, PLAN_ENV, names[i])->data.data, "1");
    assert_argv(find_step(&c.plan, PLAN_EXEC, NULL), argv);
    assert_non_null(find_step(&c.plan, PLAN_KEEP, "~/.claude/projects"));
    assert_non_null(find_step(&c.plan, PLAN_KEEP_FILE, "~/.claude/history.jsonl"));
    assert_int_equal(c.plan.n, ARRAY_LEN(names) + 3);
}

static void test_offers(void **state)
{
    auto_plan struct plan offers = PLAN_INIT;
    auto_call struct call c = {.offers = &offers, .args = {"prompt"}};
    auto_free char *file = mem_printf("%s/home/.claude/agentvm-mcp.json", fixture_root);
    const char *const argv[] = {
        "claude", "--mcp-config", file, "--dangerously-skip-permissions", "prompt", NULL};

    (void)state;
    make_offers(&offers);
    call_ok("claude", PLAN_LAUNCH, &c);
    assert_string_equal(find_step(&c.plan, PLAN_ENV, "ENABLE_TOOL_SEARCH")->data.data, "false");
    assert_string_equal(find_step(&c.plan, PLAN_ENV, "MCP_TIMEOUT")->data.data, "120000");
    assert_argv(find_step(&c.plan, PLAN_EXEC, NULL), argv);
    assert_string_equal(
        find_step(&c.plan, PLAN_FILE, "~/.claude/agentvm-mcp.json")->data.data,
        "{\"mcpServers\": {\"first\": {\"type\": \"stdio\", \"command\": \"server\", \"args\": "
        "[\"--say\", \"\\\"hi\\\"\\u000a\"], \"env\": {\"KEY\": \"value=1\"}}, \"second\": "
        "{\"type\": \"stdio\", \"command\": \"\\\"hi\\\"\\u000a\", \"args\": [], \"env\": {}}}}\n");
}

static void test_options(void **state)
{
    static const struct {
        const char *option, *value;
        const char *argv[8];
    } cases[] = {
        {"model", "opus", {"claude", "--model", "opus", "--dangerously-skip-permissions", "hi"}},
        {"model", "", {"claude", "--dangerously-skip-permissions", "hi"}},
        {"arguments",
         "  --verbose\t--add-dir  /x ",
         {"claude", "--verbose", "--add-dir", "/x", "--dangerously-skip-permissions", "hi"}},
        {"settings",
         " {\"env\": {\"A\": \"}\"}} ",
         {"claude", "--settings", " {\"env\": {\"A\": \"}\"}} ", "--dangerously-skip-permissions",
          "hi"}},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_call struct call c = {
            .option = cases[i].option, .value = cases[i].value, .args = {"hi"}};

        call_ok("claude", PLAN_LAUNCH, &c);
        assert_argv(find_step(&c.plan, PLAN_EXEC, NULL), cases[i].argv);
    }
}

static void test_settings_option(void **state)
{
    static const char *const bad[] = {"[]",     "settings.json", "{\"a\": 1", "{} {}",
                                      "\"{}\"", "{\"a}",         NULL};

    (void)state;
    assert_refused("claude", PLAN_LAUNCH, "settings", bad, "option settings is not a JSON object");
}

static void test_hello(void **state)
{
    static const char *const argv[] = {"hello-agent", "there", NULL};
    auto_call struct call c = {0}, d = {.args = {"there"}, .option = "greeting", .value = "Hi"};

    (void)state;
    call_ok("hello", PLAN_PROVISION, &c);
    assert_int_equal(find_step(&c.plan, PLAN_FILE, "/usr/local/bin/hello-agent")->mode, 0755);
    call_ok("hello", PLAN_LAUNCH, &d);
    assert_string_equal(find_step(&d.plan, PLAN_ENV, "GREETING")->data.data, "Hi");
    assert_argv(find_step(&d.plan, PLAN_EXEC, NULL), argv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_provision),       cmocka_unit_test(test_version_option),
        cmocka_unit_test(test_credentials),     cmocka_unit_test(test_accounts),
        cmocka_unit_test(test_readable_login),  cmocka_unit_test(test_login_hook),
        cmocka_unit_test(test_no_credential),   cmocka_unit_test(test_no_credential_advice),
        cmocka_unit_test(test_login),           cmocka_unit_test(test_key_approval),
        cmocka_unit_test(test_base_url),        cmocka_unit_test(test_launch),
        cmocka_unit_test(test_offers),          cmocka_unit_test(test_options),
        cmocka_unit_test(test_settings_option), cmocka_unit_test(test_hello),
    };

    umask(022);
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
