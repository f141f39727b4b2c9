/* Plugins that were compiled against each released header of the interface still work. */
#include "plugin_fixture.h"

#include <dirent.h>
#include <string.h>

/* Installs one that was built for a version, and describes it. */
static void load(const char *version, const char *name, struct plugin *out)
{
    auto_free char *built = mem_printf("abi/%s/%s.so", version, name);
    auto_free char *file = mem_printf("%s.so", name);
    auto_free char *path = fixture_install(built, USER_FOLDER, file);
    auto_free char *abi = NULL;
    auto_err struct err e = ERR_INIT;

    assert_ok(plugin_inspect(path, out, &e), &e);
    abi = mem_printf("%u.%u", out->abi_major, out->abi_minor);
    assert_string_equal(abi, version);
    assert_string_equal(out->name, name);
}

static void call(const struct plugin *pl, enum plan_phase phase, const struct plugin_context *ctx,
                 struct plan *out)
{
    auto_err struct err e = ERR_INIT;

    assert_ok(plugin_call(pl, phase, ctx, out, &e), &e);
}

static void check_agent(const struct plugin *pl, struct plugin_context *ctx)
{
    auto_plan struct plan provision = PLAN_INIT, auth = PLAN_INIT, launch = PLAN_INIT;

    call(pl, PLAN_PROVISION, ctx, &provision);
    assert_string_equal(find_step(&provision, PLAN_RUN, "install")->argv.v[1], "yes");
    assert_int_equal(find_step(&provision, PLAN_FILE, "/etc/greeting")->user, PLAN_AS_ROOT);
    find_step(&provision, PLAN_PACKAGE, "hello");
    call(pl, PLAN_AUTH, ctx, &auth);
    assert_string_equal(find_step(&auth, PLAN_SECRET_ENV, "KEY")->data.data, "secret");
    assert_string_equal(find_step(&auth, PLAN_SECRET_FILE, "~/login")->data.data, "me");
    assert_string_equal(find_step(&auth, PLAN_ENV, "URL")->data.data, "http://10.0.2.2:1/");
    call(pl, PLAN_LAUNCH, ctx, &launch);
    assert_string_equal(find_step(&launch, PLAN_FILE, "~/server")->data.data, "server");
    assert_string_equal(find_step(&launch, PLAN_ENV, "TTY")->data.data, "1");
    assert_string_equal(find_step(&launch, PLAN_EXEC, NULL)->argv.v[1], "-p");
}

static void check_version(const char *version)
{
    char *args[] = {(char *)"-p", NULL}, *env[] = {(char *)"KEY=secret", NULL};
    auto_free char *login = fixture_write("login", "me", 2, 0600);
    auto_plan struct plan offers = PLAN_INIT;
    struct plugin_context ctx = {.user = "u",
                                 .uid = 1000,
                                 .home = fixture_root,
                                 .workspace = "/w",
                                 .guest_host = "10.0.2.2",
                                 .tty = true,
                                 .args = args,
                                 .host_env = env};
    struct plugin tool, agent;

    load(version, "tool", &tool);
    call(&tool, PLAN_LAUNCH, &ctx, &offers);
    assert_string_equal(find_step(&offers, PLAN_OFFER_MCP, "server")->env.v[0], "A=b");
    plugin_free(&tool);
    ctx.offers = &offers;
    load(version, "agent", &agent);
    assert_int_equal(agent.noptions, 2);
    check_agent(&agent, &ctx);
    plugin_free(&agent);
}

static void test_every_version(void **state)
{
    auto_free char *folder = mem_printf("%s/abi", fixture_built);
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    int versions = 0;

    (void)state;
    assert_non_null(dir);
    while ((entry = readdir(dir)))
        if (entry->d_name[0] != '.') {
            check_version(entry->d_name);
            versions++;
        }
    closedir(dir);
    assert_true(versions > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_every_version, fixture_empty),
    };

    umask(022);
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
