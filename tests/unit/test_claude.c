/* What the plugins that come with agentvm ask for: Claude Code, and the example of the SDK. */
#include "plugin_fixture.h"

#include <cjson/cJSON.h>
#include <string.h>
#include <sys/utsname.h>

enum { ENV_MAX = 8 };

/* One call, filled in by the tests; freed by call_free. */
struct call {
    const char *option, *value; /* one setting of the plugin */
    const char *env[ENV_MAX];   /* of the host */
    const char *login;          /* content of ~/.claude/.credentials.json */
    const char *args[ENV_MAX];  /* the user's */
    const struct plan *offers;
    struct plan plan;
    struct err err;
};

static void call_free(struct call *c)
{
    plan_free(&c->plan);
    err_clear(&c->err);
}
#define auto_call __attribute__((cleanup(call_free)))

static int call_plugin(const char *name, enum plan_phase phase, struct call *c)
{
    bool claude = strcmp(name, "claude") == 0;
    auto_free char *built = mem_printf(claude ? "../plugins/%s.so" : "../sdk/%s.so", name);
    auto_free char *file = mem_printf("%s.so", name);
    auto_free char *path = fixture_install(built, USER_FOLDER, file);
    auto_free char *home = mem_printf("%s/home", fixture_root);
    auto_free char *folder = mem_printf("%s/.claude", home);
    struct plugin_setting setting = {.plugin = (char *)(uintptr_t)name,
                                     .key = (char *)(uintptr_t)c->option,
                                     .value = (char *)(uintptr_t)c->value};
    struct profile profile = {.settings = &setting, .nsettings = c->option ? 1 : 0};
    struct plugin_context ctx = {.user = "u",
                                 .uid = 1000,
                                 .home = home,
                                 .workspace = "/w",
                                 .guest_host = "10.0.2.2",
                                 .args = (char *const *)(uintptr_t)c->args,
                                 .host_env = (char *const *)(uintptr_t)c->env,
                                 .profile = &profile,
                                 .offers = c->offers};
    struct plugin pl;
    int rc;

    file_remove_tree_at(AT_FDCWD, home, NULL);
    assert_ok(file_mkdirs(folder, 0700, &c->err), &c->err);
    if (c->login)
        free(fixture_write("home/.claude/.credentials.json", c->login, strlen(c->login), 0600));
    assert_ok(plugin_inspect(path, &pl, &c->err), &c->err);
    rc = plugin_call(&pl, phase, &ctx, &c->plan, &c->err);
    plugin_free(&pl);
    return rc;
}

static void call_ok(const char *name, enum plan_phase phase, struct call *c)
{
    assert_ok(call_plugin(name, phase, c), &c->err);
}

static void assert_argv(const struct plan_step *s, const char *const *argv)
{
    size_t n = 0;

    for (; argv[n]; n++) {
        assert_true(n < s->argv.n);
        assert_string_equal(s->argv.v[n], argv[n]);
    }
    assert_int_equal(s->argv.n, n);
}

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
    static const char *const bad[] = {"",         "latest",        "1", "^2.1.0", "2.1.330 || 1",
                                      "1.0@evil", "http://x/y.tgz"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        auto_call struct call c = {.option = "version", .value = bad[i]};

        assert_int_equal(call_plugin("claude", PLAN_PROVISION, &c), -1);
        assert_message(&c.err, "plugin claude, hook provision: option version is not a version");
    }
}

/* All secret variables of the plan, in the form "NAME=value NAME=value". */
static char *secrets_of(const struct plan *p)
{
    struct buf b = BUF_INIT;

    for (size_t i = 0; i < p->n; i++)
        if (p->steps[i].op == PLAN_SECRET_ENV)
            buf_printf(&b, "%s%s=%s", b.len ? " " : "", p->steps[i].name, p->steps[i].data.data);
        else if (p->steps[i].op == PLAN_SECRET_FILE)
            buf_printf(&b, "%s%s", b.len ? " " : "", p->steps[i].path);
    return buf_steal(&b);
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
        /* A subscription goes before what is metered ... */
        {{.env = {KEY, TOKEN, OAUTH}, .login = LOGIN}, OAUTH},
        {{.env = {KEY, TOKEN}, .login = LOGIN}, LOGIN_PATH},
        {{.env = {KEY, TOKEN}}, TOKEN},
        /* ... but is not sent to a gateway that has a key of its own, and the login never. */
        {{.env = {KEY, URL, OAUTH}, .login = LOGIN}, KEY " ~/.claude.json"},
        {{.env = {KEY, URL, TOKEN}, .login = LOGIN}, TOKEN},
        {{.env = {OAUTH, URL}, .login = LOGIN}, OAUTH},
        /* The option decides. */
        {{.option = "credential", .value = "api-key", .env = {KEY, OAUTH}}, KEY " ~/.claude.json"},
        {{.option = "credential", .value = "file", .env = {KEY, URL}, .login = LOGIN}, LOGIN_PATH},
        {{.option = "credential", .value = "auth-token", .env = {KEY, TOKEN}}, TOKEN},
        {{.option = "credential", .value = "oauth-token", .env = {KEY, OAUTH}}, OAUTH},
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

static void test_no_credential(void **state)
{
    static const struct {
        struct call call;
        const char *why;
    } cases[] = {
        {{.env = {NULL}}, "no credential for Claude Code"},
        {{.env = {"ANTHROPIC_API_KEY="}}, "no credential for Claude Code"},
        {{.env = {URL}, .login = LOGIN}, "no credential for Claude Code"},
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
                        "set CLAUDE_CODE_OAUTH_TOKEN (from: claude setup-token), ANTHROPIC_API_KEY "
                        "or ANTHROPIC_AUTH_TOKEN, or log in with claude on this host "
                        "(~/.claude/.credentials.json)");
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
    assert_int_equal(c.plan.n, ARRAY_LEN(names) + 1);
}

static void test_offers(void **state)
{
    auto_free char *path = fixture_install("plugins/offers.so", USER_FOLDER, "offers.so");
    struct plugin_context ctx = {.user = "u", .home = "/home/u"};
    auto_plan struct plan offers = PLAN_INIT;
    auto_call struct call c = {.offers = &offers, .args = {"prompt"}};
    auto_free char *file = mem_printf("%s/home/.claude/agentvm-mcp.json", fixture_root);
    const char *const argv[] = {
        "claude", "--mcp-config", file, "--dangerously-skip-permissions", "prompt", NULL};
    struct plugin tool;

    (void)state;
    assert_ok(plugin_inspect(path, &tool, &c.err), &c.err);
    assert_ok(plugin_call(&tool, PLAN_LAUNCH, &ctx, &offers, &c.err), &c.err);
    plugin_free(&tool);
    call_ok("claude", PLAN_LAUNCH, &c);
    assert_argv(find_step(&c.plan, PLAN_EXEC, NULL), argv);
    assert_string_equal(
        find_step(&c.plan, PLAN_FILE, "~/.claude/agentvm-mcp.json")->data.data,
        "{\"mcpServers\": {\"first\": {\"type\": \"stdio\", \"command\": \"server\", \"args\": "
        "[\"--say\", \"\\\"hi\\\"\\u000a\"], \"env\": {\"KEY\": \"value=1\"}}, \"second\": "
        "{\"type\": \"stdio\", \"command\": \"\\\"hi\\\"\\u000a\", \"args\": [], \"env\": {}}}}\n");
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
        cmocka_unit_test(test_provision),
        cmocka_unit_test(test_version_option),
        cmocka_unit_test(test_credentials),
        cmocka_unit_test(test_no_credential),
        cmocka_unit_test(test_no_credential_advice),
        cmocka_unit_test(test_login),
        cmocka_unit_test(test_key_approval),
        cmocka_unit_test(test_base_url),
        cmocka_unit_test(test_launch),
        cmocka_unit_test(test_offers),
        cmocka_unit_test(test_hello),
    };

    umask(022);
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
