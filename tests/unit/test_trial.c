/* The plugins that come along, and the examples: whichever of its service calls fails, a hook
 * returns.  Under ASan the plugins are sanitized, too, and whatever ASan finds ends the hook. */
#include "plugin_fixture.h"

#include <string.h>

#define SHIPPED "../plugins/claude.so", "../sdk/hello.so", "../sdk/qwen.so"

static const enum plan_phase phases[] = {PLAN_PROVISION, PLAN_AUTH, PLAN_LAUNCH};

static void load(const char *built, struct plugin *out)
{
    auto_free char *path = fixture_install(built, USER_FOLDER, "x.so");
    auto_err struct err e = ERR_INIT;

    assert_ok(plugin_inspect(path, out, &e), &e);
}

/* Servers with all that JSON must escape. */
static void make_offers(struct plan *offers)
{
    struct plan_step *s = plan_add(offers, PLAN_OFFER_MCP, "tool");

    s->name = mem_strdup("first");
    strv_push(&s->argv, "server");
    strv_push(&s->argv, "\"\\\n\x01");
    strv_push(&s->env, "KEY=\"=\"");
    strv_push(&s->env, "EMPTY=");
    s = plan_add(offers, PLAN_OFFER_MCP, "tool");
    s->name = mem_strdup("second");
    strv_push(&s->argv, "bare");
}

/* Returns the number of service calls. */
static unsigned fail_each(const char *built, enum plan_phase phase,
                          const struct plugin_context *ctx)
{
    auto_err struct err e = ERR_INIT;
    struct plugin pl;
    unsigned calls = 0;

    load(built, &pl);
    assert_ok(plugin_try_each(&pl, phase, ctx, &calls, &e), &e);
    plugin_free(&pl);
    return calls;
}

static void test_shipped(void **state)
{
    static const char login[] = "{\"claudeAiOauth\": {\"accessToken\": \"a\"}}";
    static const char *const built[] = {SHIPPED};
    char *keys[] = {(char *)"ANTHROPIC_API_KEY=k", (char *)"OPENAI_API_KEY=k",
                    (char *)"OPENAI_MODEL=m",      (char *)"ANTHROPIC_BASE_URL=http://localhost",
                    (char *)"OPENAI_BASE_URL=x",   NULL};
    char *args[] = {(char *)"-p", (char *)"hi", NULL};
    auto_plan struct plan offers = PLAN_INIT;
    auto_free char *folder = mem_printf("%s/.claude", fixture_root);
    struct plugin_context ctx = {.user = "u", .uid = 1000, .home = fixture_root, .workspace = "/w"};

    (void)state;
    make_offers(&offers);
    mkdir(folder, 0700);
    free(fixture_write(".claude/.credentials.json", login, strlen(login), 0600));
    for (size_t i = 0; i < ARRAY_LEN(built); i++)
        for (size_t j = 0; j < ARRAY_LEN(phases); j++) {
            struct plugin_context more = ctx;

            fail_each(built[i], phases[j], &ctx);
            more.host_env = keys;
            more.args = args;
            more.offers = &offers;
            more.guest_host = "10.0.2.2";
            fail_each(built[i], phases[j], &more);
        }
    assert_true(fail_each(built[0], PLAN_LAUNCH, &ctx) > 5);
}

static void test_provision_again(void **state)
{
    static const char *const built[] = {SHIPPED};
    struct plugin_context ctx = {.user = "u", .uid = 1000, .home = "/home/u"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(built); i++) {
        auto_plan struct plan first = PLAN_INIT;
        auto_err struct err e = ERR_INIT;
        struct plugin pl;

        load(built[i], &pl);
        assert_ok(plugin_call(&pl, PLAN_PROVISION, &ctx, &first, &e), &e);
        assert_ok(plugin_try_again(&pl, PLAN_PROVISION, &ctx, &first, &e), &e);
        plugin_free(&pl);
    }
}

/* The trials find what they look for. */
static void test_careless(void **state)
{
    struct plugin_context ctx = {.user = "u", .uid = 1000, .home = "/home/u"};
    auto_plan struct plan first = PLAN_INIT;
    auto_err struct err e = ERR_INIT;
    struct plugin pl;
    unsigned calls;

    (void)state;
    load("plugins/careless.so", &pl);
    assert_int_equal(plugin_try_each(&pl, PLAN_LAUNCH, &ctx, &calls, &e), -1);
    assert_message(&e, "when its service call number 2 fails: plugin careless, hook launch: "
                       "crashed with SIG");
    assert_int_equal(calls, 1);
    assert_ok(plugin_try_each(&pl, PLAN_PROVISION, &ctx, &calls, &e), &e);
    assert_int_equal(calls, 1);
    assert_ok(plugin_call(&pl, PLAN_PROVISION, &ctx, &first, &e), &e);
    assert_int_equal(plugin_try_again(&pl, PLAN_PROVISION, &ctx, &first, &e), -1);
    assert_message(&e, "plugin careless, hook provision: makes another plan");
    plugin_free(&pl);
}

static void test_outcomes(void **state)
{
    struct plugin_context ctx = {.user = "u", .uid = 1000, .home = "/home/u"};
    auto_buf struct buf printed = BUF_INIT;
    struct plugin_trial trial = {.deadline_ms = PLUGIN_DEADLINE_MS, .printed = &printed};
    auto_err struct err e = ERR_INIT;
    struct plan p;
    struct plugin pl;

    (void)state;
    load("plugins/careless.so", &pl);
    assert_int_equal(plugin_try(&pl, PLAN_AUTH, &ctx, &trial, &p, &e), -1);
    assert_true(trial.refused);
    assert_string_equal(printed.data, "about to refuse\n");
    assert_message(&e, "plugin careless, hook auth: not me");
    plugin_free(&pl);
    load("../plugins/claude.so", &pl);
    trial.fail_nth = 1;
    assert_ok(plugin_try(&pl, PLAN_LAUNCH, &ctx, &trial, &p, &e), &e);
    assert_true(trial.reached);
    trial.fail_nth = 1000;
    assert_ok(plugin_try(&pl, PLAN_LAUNCH, &ctx, &trial, &p, &e), &e);
    assert_false(trial.reached);
    plugin_free(&pl);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_shipped, fixture_empty),
        cmocka_unit_test_setup(test_provision_again, fixture_empty),
        cmocka_unit_test_setup(test_careless, fixture_empty),
        cmocka_unit_test_setup(test_outcomes, fixture_empty),
    };

    umask(022);
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
