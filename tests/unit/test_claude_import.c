/* What plugin claude takes of the user's own ~/.claude. */
#include "hook_fixture.h"

#include <cjson/cJSON.h>
#include <string.h>

#define SETTINGS "~/.claude/settings.json"
#define OWN "\"skipDangerousModePermissionPrompt\": true}\n"

/* The plan's imports, in the form "source>path source>path". */
static char *imports_of(const struct plan *p)
{
    struct buf b = BUF_INIT;

    for (size_t i = 0; i < p->n; i++)
        if (p->steps[i].op == PLAN_IMPORT)
            buf_printf(&b, "%s%s>%s", b.len ? " " : "", p->steps[i].name, p->steps[i].path);
    return buf_steal(&b);
}

#define SAME(path) path ">~/" path

static void test_parts(void **state)
{
    static const struct {
        const char *value, *imports;
        bool settings;
    } cases[] = {
        {NULL, "", false},
        {"none", "", false},
        {"", "", false},
        {"memory", SAME(".claude/CLAUDE.md"), false},
        {" agents\tcommands ", SAME(".claude/agents") " " SAME(".claude/commands"), false},
        {"output-styles settings", SAME(".claude/output-styles"), true},
        {"all",
         SAME(".claude/CLAUDE.md") " " SAME(".claude/skills") " " SAME(".claude/commands") " " SAME(
             ".claude/agents") " " SAME(".claude/output-styles"),
         true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_call struct call c = {.option = cases[i].value ? "import" : NULL,
                                   .value = cases[i].value,
                                   .settings = "{\"language\": \"de\"}"};
        auto_free char *imports = NULL;

        call_ok("claude", PLAN_LAUNCH, &c);
        imports = imports_of(&c.plan);
        assert_string_equal(imports, cases[i].imports);
        assert_int_equal(plan_count(&c.plan, PLAN_FILE), cases[i].settings);
    }
}

static void test_words(void **state)
{
    static const char *const bad[] = {"skill",  "all memory",        "none skills", "skills,agents",
                                      "SKILLS", ".credentials.json", "../x",        NULL};

    (void)state;
    assert_refused("claude", PLAN_LAUNCH, "import", bad, "option import has the word \"");
}

/* What would run, hand something over or name something of the host stays there. */
static void test_settings(void **state)
{
    static const struct {
        const char *user, *guest;
    } cases[] = {
        {"{}", "{\"theme\": \"dark\", " OWN},
        {" {\"theme\":\"light\"} ", "{\"theme\": \"light\", " OWN},
        {"{\"model\": \"opus\", \"language\" : \"a\\\"}\", \"alwaysThinkingEnabled\":false}",
         "{\"alwaysThinkingEnabled\": false, \"language\": \"a\\\"}\", \"model\": \"opus\", "
         "\"theme\": \"dark\", " OWN},
        {"{\"attribution\": {\"commit\": \"\", \"pr\": \"\"}}",
         "{\"attribution\": {\"commit\": \"\", \"pr\": \"\"}, \"theme\": \"dark\", " OWN},
        {"{\"apiKeyHelper\": \"/bin/key\", \"env\": {\"model\": \"x\", \"theme\": \"y\"}, "
         "\"hooks\": {\"Stop\": [{\"model\": \"x\"}]}, \"statusLine\": {\"command\": \"x\"}, "
         "\"skipDangerousModePermissionPrompt\": false, \"permissions\": {\"deny\": [\"x\"]}, "
         "\"mcpServers\": {\"a\": {}}, \"awsAuthRefresh\": \"x\", \"otelHeadersHelper\": \"x\"}",
         "{\"theme\": \"dark\", " OWN},
        {"{\"attribution\": {\"commit\": {\"hooks\": 1}}, \"model\": [\"x\"], \"theme\": "
         "\"light\"}",
         "{\"theme\": \"light\", " OWN},
        {"{\"x\": \"\\\"theme\\\": \\\"y\\\"\", \"themes\": 1, \"the\": 2, \"\": 3}",
         "{\"theme\": \"dark\", " OWN},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_call struct call c = {
            .option = "import", .value = "settings", .settings = cases[i].user};
        const struct plan_step *s;
        cJSON *o;

        call_ok("claude", PLAN_LAUNCH, &c);
        s = find_step(&c.plan, PLAN_FILE, SETTINGS);
        assert_string_equal(s->data.data, cases[i].guest);
        assert_int_equal(s->mode, 0600);
        o = cJSON_Parse(s->data.data);
        assert_true(cJSON_IsTrue(cJSON_GetObjectItem(o, "skipDangerousModePermissionPrompt")));
        cJSON_Delete(o);
    }
}

static void test_bad_settings(void **state)
{
    static const char *const bad[] = {"", "[]", "x", "{\"theme\": \"light\"", "{} {}"};
    auto_call struct call none = {.option = "import", .value = "settings"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        auto_call struct call c = {.option = "import", .value = "settings", .settings = bad[i]};

        assert_int_equal(call_plugin("claude", PLAN_LAUNCH, &c), -1);
        assert_non_null(strstr(c.err.advice, "[plugin.claude] import"));
        assert_message(&c.err, "~/.claude/settings.json is not a JSON object");
    }
    call_ok("claude", PLAN_LAUNCH, &none); /* those of the template are good */
    assert_int_equal(plan_count(&none.plan, PLAN_FILE), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_bad_settings),
    };

    umask(022);
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
