/* What the plugin codex asks for. */
#include "hook_fixture.h"

#include <sys/utsname.h>

#define CONFIG "/etc/codex/config.toml"
#define PROVIDER "~/.codex/config.toml"

static void test_provision(void **state)
{
    auto_call struct call c = {0}, again = {.option = "version", .value = "1.2.3-alpha.4"};
    auto_free char *package = NULL, *program = NULL;
    struct utsname host;
    bool x64;

    (void)state;
    uname(&host);
    x64 = strcmp(host.machine, "x86_64") == 0;
    package = mem_printf("codex-native@npm:@openai/codex@0.169.0-linux-%s", x64 ? "x64" : "arm64");
    program = mem_printf("../lib/node_modules/codex-native/vendor/%s-unknown-linux-musl/bin/codex",
                         x64 ? "x86_64" : "aarch64");
    call_ok("codex", PLAN_PROVISION, &c);
    find_step(&c.plan, PLAN_PACKAGE, "npm");
    {
        const char *const npm[] = {"npm",        "install",    "--global",
                                   "--prefix",   "/usr/local", "--ignore-scripts",
                                   "--no-audit", "--no-fund",  "--loglevel=error",
                                   package,      NULL};
        const char *const link_[] = {"ln", "-sfn", program, "/usr/local/bin/codex", NULL};
        const char *const try_[] = {"codex", "--version", NULL};

        assert_argv(find_step(&c.plan, PLAN_RUN, "install Codex"), npm);
        assert_argv(find_step(&c.plan, PLAN_RUN, "link codex"), link_);
        assert_argv(find_step(&c.plan, PLAN_RUN, "try codex"), try_);
    }
    assert_int_equal(find_step(&c.plan, PLAN_RUN, "install Codex")->user, PLAN_AS_ROOT);
    assert_int_equal(find_step(&c.plan, PLAN_RUN, "try codex")->user, PLAN_AS_USER);
    call_ok("codex", PLAN_PROVISION, &again);
    assert_non_null(strstr(find_step(&again.plan, PLAN_RUN, NULL)->argv.v[9], "@1.2.3-alpha.4-"));
}

static void test_bad_options(void **state)
{
    static const char *const versions[] = {"", "latest", "1", "0.169.0 x", "file:/x", NULL};
    static const char *const credentials[] = {"", "both", "OPENAI_API_KEY", NULL};

    (void)state;
    assert_refused("codex", PLAN_PROVISION, "version", versions,
                   "plugin codex, hook provision: option version is not a version");
    assert_refused("codex", PLAN_AUTH, "credential", credentials,
                   "option credential is none of auto, codex-key, login, openai-key");
}

#define OPENAI "OPENAI_API_KEY=sk-openai"
#define CODEX "CODEX_API_KEY=sk-codex"
#define URL "OPENAI_BASE_URL=https://gateway.example/v1"

#define KEPT "sk-kept"

static void test_credentials(void **state)
{
    static const struct {
        struct call call;
        const char *key;
    } cases[] = {
        {{.env = {OPENAI}}, "sk-openai"},
        {{.env = {CODEX}}, "sk-codex"},
        {{.env = {OPENAI, CODEX}}, "sk-codex"},
        {{.env = {OPENAI, "CODEX_API_KEY="}}, "sk-openai"},
        /* The key beside the URL belongs to it. */
        {{.env = {OPENAI, CODEX, URL}}, "sk-openai"},
        {{.env = {CODEX, URL}}, "sk-codex"},
        {{.option = "credential", .value = "openai-key", .env = {OPENAI, CODEX}}, "sk-openai"},
        {{.option = "credential", .value = "codex-key", .env = {OPENAI, CODEX, URL}}, "sk-codex"},
        /* What was given for Codex goes before what is there for all, and not to a gateway. */
        {{.kept = KEPT}, KEPT},
        {{.env = {OPENAI}, .kept = KEPT}, KEPT},
        {{.env = {OPENAI, CODEX}, .kept = KEPT}, "sk-codex"},
        {{.env = {OPENAI, URL}, .kept = KEPT}, "sk-openai"},
        {{.option = "credential", .value = "login", .env = {CODEX, URL}, .kept = KEPT}, KEPT},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_call struct call c = cases[i].call;
        auto_free char *secrets = NULL, *wanted = NULL;

        call_ok("codex", PLAN_AUTH, &c);
        secrets = secrets_of(&c.plan);
        wanted = mem_printf(PROVIDER " AGENTVM_OPENAI_KEY=%s", cases[i].key);
        assert_string_equal(secrets, wanted);
        assert_int_equal(find_step(&c.plan, PLAN_SECRET_FILE, PROVIDER)->mode, 0600);
    }
}

static void test_no_credential(void **state)
{
    static const struct {
        struct call call;
        const char *why, *advice;
    } cases[] = {
        {{.env = {NULL}}, "no credential for Codex", "OPENAI_API_KEY, or CODEX_API_KEY"},
        {{.env = {NULL}}, "no credential for Codex", "agentvm login codex"},
        {{.env = {"OPENAI_API_KEY=", URL}, .kept = KEPT}, "no credential for Codex", "OPENAI_API"},
        {{.option = "credential", .value = "login", .env = {CODEX}},
         "option credential is login, but there is no agentvm login",
         "run agentvm login codex"},
        {{.env = {OPENAI "\n"}}, "OPENAI_API_KEY contains a space, a line end", "bare key"},
        {{.option = "credential", .value = "codex-key", .env = {OPENAI}},
         "option credential is codex-key, but there is no CODEX_API_KEY",
         "choose another"},
        {{.env = {OPENAI, "OPENAI_BASE_URL=localhost:8080"}},
         "OPENAI_BASE_URL is not a URL",
         "unset it"},
        {{.env = {OPENAI, "OPENAI_BASE_URL=http://x/ v1"}},
         "OPENAI_BASE_URL is not a URL",
         "unset it"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_call struct call c = cases[i].call;

        assert_int_equal(call_plugin("codex", PLAN_AUTH, &c), -1);
        assert_non_null(strstr(c.err.advice, cases[i].advice));
        assert_message(&c.err, cases[i].why);
    }
}

static void test_accounts(void **state)
{
    auto_call struct call c = {.env = {OPENAI, CODEX}, .kept = KEPT}, d = {.env = {OPENAI, URL}};
    auto_free char *all = NULL, *gateway = NULL;

    (void)state;
    call_ok("codex", PLAN_AUTH, &c);
    all = accounts_of(&c.plan);
    assert_string_equal(all, "CODEX_API_KEY (metered API), agentvm login (metered API), "
                             "OPENAI_API_KEY (metered API)");
    call_ok("codex", PLAN_AUTH, &d);
    gateway = accounts_of(&d.plan);
    assert_string_equal(gateway, "OPENAI_API_KEY (gateway)");
}

static void test_provider(void **state)
{
    static const struct {
        const char *variable, *url;
    } cases[] = {
        {NULL, "https://api.openai.com/v1"},
        {"OPENAI_BASE_URL=http://127.0.0.1:8080/v1", "http://10.0.2.2:8080/v1"},
        {"OPENAI_BASE_URL=http://a:p\"w@localhost/v1", "http://a:p\\\"w@10.0.2.2/v1"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_call struct call c = {.env = {OPENAI, cases[i].variable}};
        auto_free char *wanted = mem_printf("[model_providers.agentvm]\n"
                                            "name = \"agentvm\"\n"
                                            "base_url = \"%s\"\n"
                                            "env_key = \"AGENTVM_OPENAI_KEY\"\n"
                                            "wire_api = \"responses\"\n",
                                            cases[i].url);

        call_ok("codex", PLAN_AUTH, &c);
        assert_string_equal(find_step(&c.plan, PLAN_SECRET_FILE, PROVIDER)->data.data, wanted);
    }
}

#define BYPASS "--dangerously-bypass-approvals-and-sandbox"

static void test_arguments(void **state)
{
    static const struct {
        const char *args[8], *argv[12];
    } cases[] = {
        {{NULL}, {"codex", BYPASS, "--no-daemon"}},
        {{"fix it"}, {"codex", BYPASS, "--no-daemon", "fix it"}},
        {{"exec", "fix it"},
         {"codex", BYPASS, "--no-daemon", "exec", "--skip-git-repo-check", "fix it"}},
        {{"e", "x"}, {"codex", BYPASS, "--no-daemon", "e", "--skip-git-repo-check", "x"}},
        {{"exec", "resume", "--last"},
         {"codex", BYPASS, "--no-daemon", "exec", "--skip-git-repo-check", "resume", "--last"}},
        /* an option's value is no sub-command ... */
        {{"-m", "exec", "hi"}, {"codex", BYPASS, "--no-daemon", "-m", "exec", "hi"}},
        {{"-m", "o", "--search", "exec"},
         {"codex", BYPASS, "--no-daemon", "-m", "o", "--search", "exec", "--skip-git-repo-check"}},
        /* ... nor a later word, nor one behind "--" */
        {{"resume", "exec"}, {"codex", BYPASS, "--no-daemon", "resume", "exec"}},
        {{"--", "exec"}, {"codex", BYPASS, "--no-daemon", "--", "exec"}},
        {{"login", "status"}, {"codex", BYPASS, "--no-daemon", "login", "status"}},
        {{"-m"}, {"codex", BYPASS, "--no-daemon", "-m"}},
        /* what the user says is not said twice */
        {{"exec", "--skip-git-repo-check", "x"},
         {"codex", BYPASS, "--no-daemon", "exec", "--skip-git-repo-check", "x"}},
        {{"--no-daemon", BYPASS}, {"codex", "--no-daemon", BYPASS}},
        {{"--yolo", "x"}, {"codex", "--no-daemon", "--yolo", "x"}},
        {{"exec", "--", "--yolo"},
         {"codex", BYPASS, "--no-daemon", "exec", "--skip-git-repo-check", "--", "--yolo"}},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_call struct call c = {0};

        memcpy(c.args, cases[i].args, sizeof(c.args));
        call_ok("codex", PLAN_LAUNCH, &c);
        assert_argv(find_step(&c.plan, PLAN_EXEC, NULL), cases[i].argv);
    }
}

static void test_arguments_option(void **state)
{
    static const char *const argv[] = {
        "codex", BYPASS, "--no-daemon", "-c", "a=1", "exec", "--skip-git-repo-check", "hi", NULL};
    auto_call struct call c = {.option = "arguments", .value = " -c  a=1 ", .args = {"exec", "hi"}};

    (void)state;
    call_ok("codex", PLAN_LAUNCH, &c);
    assert_argv(find_step(&c.plan, PLAN_EXEC, NULL), argv);
}

#define FIXED                                 \
    "model_provider = \"agentvm\"\n"          \
    "approval_policy = \"never\"\n"           \
    "sandbox_mode = \"danger-full-access\"\n" \
    "check_for_update_on_startup = false\n"
#define TABLES                         \
    "\n[analytics]\nenabled = false\n" \
    "\n[features]\nplugins = false\n"  \
    "daemon_auto_start = false\n"      \
    "unbounded_connection_retries = false\n"

static void test_config(void **state)
{
    auto_call struct call c = {0}, model = {.option = "model", .value = "a\"b"};
    const struct plan_step *s;

    (void)state;
    call_ok("codex", PLAN_LAUNCH, &c);
    s = find_step(&c.plan, PLAN_FILE, CONFIG);
    assert_string_equal(s->data.data,
                        FIXED TABLES "\n[projects.\"/w\"]\ntrust_level = \"trusted\"\n");
    assert_int_equal(s->mode, 0644);
    assert_int_equal(s->user, PLAN_AS_ROOT);
    call_ok("codex", PLAN_LAUNCH, &model);
    assert_string_equal(find_step(&model.plan, PLAN_FILE, CONFIG)->data.data,
                        FIXED "model = \"a\\\"b\"\n" TABLES
                              "\n[projects.\"/w\"]\ntrust_level = \"trusted\"\n");
}

static void test_escapes(void **state)
{
    auto_call struct call c = {.workspace =
                                   "/a \"b\"\\c\n\t\x1b\x7f/gr\xc3\xbc\xc3\x9f-\xf0\x9f\x98\x80"};

    (void)state;
    call_ok("codex", PLAN_LAUNCH, &c);
    assert_non_null(strstr(find_step(&c.plan, PLAN_FILE, CONFIG)->data.data,
                           "\n[projects.\"/a \\\"b\\\"\\\\c\\u000a\\u0009\\u001b\\u007f/"
                           "gr\xc3\xbc\xc3\x9f-\xf0\x9f\x98\x80\"]\n"));
}

static void test_not_utf8(void **state)
{
    static const char *const bad[] = {"/\xff",
                                      "/\xc3",
                                      "/\xc0\xaf",
                                      "/\xe2\x82",
                                      "/\xed\xa0\x80",
                                      "/\xf5\x80\x80\x80",
                                      "/\xf4\x90\x80\x80",
                                      "/\xe0\x80\x80",
                                      "/\x80",
                                      "/\xc3x"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        auto_call struct call c = {.workspace = bad[i]};

        assert_int_equal(call_plugin("codex", PLAN_LAUNCH, &c), -1);
        assert_string_equal(c.err.advice, "rename the folder");
        assert_message(&c.err, "must be UTF-8");
    }
}

static void test_offers(void **state)
{
    auto_plan struct plan offers = PLAN_INIT;
    auto_call struct call c = {.offers = &offers};

    (void)state;
    make_offers(&offers);
    call_ok("codex", PLAN_LAUNCH, &c);
    assert_string_equal(find_step(&c.plan, PLAN_FILE, CONFIG)->data.data,
                        FIXED TABLES "\n[projects.\"/w\"]\ntrust_level = \"trusted\"\n"
                                     "\n[mcp_servers.first]\n"
                                     "command = \"server\"\n"
                                     "args = [\"--say\", \"\\\"hi\\\"\\u000a\"]\n"
                                     "env = {\"KEY\" = \"value=1\"}\n"
                                     "required = true\n"
                                     "startup_timeout_sec = 120\n"
                                     "\n[mcp_servers.second]\n"
                                     "command = \"\\\"hi\\\"\\u000a\"\n"
                                     "args = []\n"
                                     "env = {}\n"
                                     "required = true\n"
                                     "startup_timeout_sec = 120\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_provision),   cmocka_unit_test(test_bad_options),
        cmocka_unit_test(test_credentials), cmocka_unit_test(test_no_credential),
        cmocka_unit_test(test_accounts),    cmocka_unit_test(test_provider),
        cmocka_unit_test(test_arguments),   cmocka_unit_test(test_arguments_option),
        cmocka_unit_test(test_config),      cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_not_utf8),    cmocka_unit_test(test_offers),
    };

    umask(022);
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
