/* Plugins that cannot be loaded, each refused with its file and the reason, and the registry. */
#include "plugin_fixture.h"

#include <string.h>

enum { SHORT_MS = 300 }; /* deadline for what hangs */

/* ---- loading -------------------------------------------------------------------------------- */

static void refuse_file(const char *path, int deadline_ms, const char *why)
{
    auto_err struct err e = ERR_INIT;
    struct plugin pl;

    assert_int_equal(call_inspect(path, deadline_ms, &pl, &e), -1);
    assert_null(pl.name);
    assert_non_null(strstr(err_msg(&e), path));
    assert_message(&e, why);
}

static void test_load_faults(void **state)
{
    static const struct {
        const char *name, *why;
    } cases[] = {
        {"bad-magic", "is no agentvm plugin: its magic number is wrong"},
        {"no-symbol", "is no agentvm plugin: it exports no symbol agentvm_plugin"},
        {"other-major", "was built for plugin interface 7.3, this agentvm has 0.3"},
        {"newer-minor", "was built for plugin interface 0.4, this agentvm has 0.3"},
        {"tiny-size", "its table has 24 bytes, at least 48 are needed"},
        {"bad-kind", "its kind 9 is neither agent nor tool"},
        {"bad-name", "its name \"../bad\\x1b[2J\" is not made of lower-case letters"},
        {"no-name", "its name is missing"},
        {"bad-option", "it has more than 64 options"},
        {"no-launch", "it is an agent without a launch hook"},
        {"crash-load", "crashed with SIGABRT"},
        {"exit-load", "called exit(0) instead of returning"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_free char *built = mem_printf("plugins/%s.so", cases[i].name);
        auto_free char *path = fixture_install(built, USER_FOLDER, "x.so");

        refuse_file(path, CALL_DEADLINE_MS, cases[i].why);
    }
}

static void test_load_hang(void **state)
{
    auto_free char *path = fixture_install("plugins/hang-load.so", USER_FOLDER, "x.so");

    (void)state;
    refuse_file(path, SHORT_MS, "did not return within 0.3 s");
}

static void test_not_elf(void **state)
{
    auto_free char *text = fixture_write(USER_FOLDER "/text.so", "hello, world\n", 13, 0755);
    auto_free char *empty = fixture_write(USER_FOLDER "/empty.so", "", 0, 0755);
    auto_free char *folder = mem_printf("%s/" USER_FOLDER, fixture_root);

    (void)state;
    refuse_file(text, CALL_DEADLINE_MS, "the dynamic linker refuses it: ");
    refuse_file(empty, CALL_DEADLINE_MS, "the dynamic linker refuses it: file too short");
    refuse_file(folder, CALL_DEADLINE_MS, "is not a regular file");
    refuse_file("/no/such/plugin.so", CALL_DEADLINE_MS, "No such file");
}

static void test_modes(void **state)
{
    auto_free char *path = fixture_install("plugins/offers.so", USER_FOLDER, "offers.so");
    auto_free char *folder = mem_printf("%s/" USER_FOLDER, fixture_root);
    auto_free char *link_ = mem_printf("%s/" SYSTEM_FOLDER "/offers.so", fixture_root);
    auto_err struct err e = ERR_INIT;
    struct plugin pl;

    (void)state;
    assert_int_equal(symlink(path, link_), 0);
    assert_ok(plugin_inspect(link_, &pl, &e), &e);
    assert_string_equal(pl.path, path);
    plugin_free(&pl);
    chmod(path, 0757);
    refuse_file(path, CALL_DEADLINE_MS, "can be written by others (mode 0757)");
    assert_int_equal(plugin_inspect(link_, &pl, &e), -1);
    assert_message(&e, "can be written by others (mode 0757)");
    chmod(path, 0775);
    refuse_file(path, CALL_DEADLINE_MS, "can be written by others (mode 0775)");
    chmod(path, 0755);
    chmod(folder, 01777);
    assert_int_equal(plugin_inspect(path, &pl, &e), -1);
    assert_message(&e, "/user can be written by others (mode 1777)");
    chmod(folder, 0755);
    if (geteuid() == 0 && chown(path, 12345, 0) == 0)
        refuse_file(path, CALL_DEADLINE_MS, "belongs to user 12345");
}

static void test_older_size(void **state)
{
    auto_free char *path = fixture_install("plugins/older-size.so", USER_FOLDER, "older-size.so");
    struct plugin_context ctx = {.user = "u", .home = "/home/u"};
    auto_plan struct plan p = PLAN_INIT;
    auto_err struct err e = ERR_INIT;
    struct plugin pl;

    (void)state;
    assert_ok(plugin_inspect(path, &pl, &e), &e);
    assert_true(pl.has_hook[PLAN_PROVISION]);
    assert_false(pl.has_hook[PLAN_LAUNCH]);
    assert_ok(plugin_call(&pl, PLAN_PROVISION, &ctx, &p, &e), &e);
    assert_string_equal(find_step(&p, PLAN_PACKAGE, "hello")->plugin, "older-size");
    plugin_free(&pl);
}

static void test_description(void **state)
{
    auto_free char *path = fixture_install("plugins/deeds.so", USER_FOLDER, "deeds.so");
    auto_err struct err e = ERR_INIT;
    struct plugin pl;

    (void)state;
    assert_ok(plugin_inspect(path, &pl, &e), &e);
    assert_string_equal(pl.name, "deeds");
    assert_string_equal(pl.version, "1.2");
    assert_string_equal(pl.summary, "does deeds");
    assert_int_equal(pl.kind, PLUGIN_AGENT);
    assert_int_equal(pl.abi_minor, 3);
    assert_int_equal(pl.noptions, 2);
    assert_string_equal(pl.options[0].default_value, "nothing");
    assert_true(pl.options[0].sensitive);
    assert_null(pl.options[1].default_value);
    assert_false(pl.options[1].sensitive);
    plugin_free(&pl);
}

/* ---- the registry --------------------------------------------------------------------------- */

static struct paths make_paths(void)
{
    return (struct paths){.plugins_user = mem_printf("%s/" USER_FOLDER, fixture_root),
                          .plugins_system = mem_printf("%s/" SYSTEM_FOLDER, fixture_root)};
}

static void free_folders(struct paths *p)
{
    free(p->plugins_user);
    free(p->plugins_system);
}

static void test_find(void **state)
{
    auto_free char *deeds = fixture_install("plugins/deeds.so", SYSTEM_FOLDER, "deeds.so");
    __attribute__((cleanup(free_folders))) struct paths paths = make_paths();
    auto_free char *mine = NULL;
    auto_err struct err e = ERR_INIT;
    struct plugin pl;

    (void)state;
    free(fixture_install("plugins/offers.so", SYSTEM_FOLDER, "offers.so"));
    free(fixture_install("plugins/wrong-file.so", USER_FOLDER, "wrong-file.so"));
    assert_ok(plugin_find(&paths, "deeds", PLUGIN_AGENT, &pl, &e), &e);
    assert_string_equal(pl.path, deeds);
    plugin_free(&pl);
    mine = fixture_install("plugins/deeds.so", USER_FOLDER, "deeds.so");
    assert_ok(plugin_find(&paths, "deeds", PLUGIN_AGENT, &pl, &e), &e);
    assert_string_equal(pl.path, mine);
    plugin_free(&pl);
    assert_int_equal(plugin_find(&paths, "deed", PLUGIN_AGENT, &pl, &e), -1);
    assert_string_equal(e.advice, "did you mean deeds?");
    assert_message(&e, "unknown agent \"deed\"; there are: deeds");
    assert_int_equal(plugin_find(&paths, "../user/deeds", PLUGIN_AGENT, &pl, &e), -1);
    assert_message(&e, "unknown agent \"../user/deeds\"");
    assert_int_equal(plugin_find(&paths, "offers", PLUGIN_AGENT, &pl, &e), -1);
    assert_message(&e, "plugin offers is no agent but a tool");
    assert_int_equal(plugin_find(&paths, "wrong-file", PLUGIN_TOOL, &pl, &e), -1);
    assert_message(&e, "the plugin calls itself right-file");
    chmod(paths.plugins_user, 0777);
    assert_int_equal(plugin_find(&paths, "deeds", PLUGIN_AGENT, &pl, &e), -1);
    assert_message(&e, "can be written by others");
    assert_ok(plugin_find(&paths, "offers", PLUGIN_TOOL, &pl, &e), &e);
    plugin_free(&pl);
}

static void test_scan(void **state)
{
    __attribute__((cleanup(free_folders))) struct paths paths = make_paths();
    struct plugin_list list;

    (void)state;
    free(fixture_install("plugins/offers.so", SYSTEM_FOLDER, "offers.so"));
    free(fixture_install("plugins/deeds.so", SYSTEM_FOLDER, "deeds.so"));
    free(fixture_install("plugins/crash-load.so", USER_FOLDER, "crash-load.so"));
    free(fixture_install("plugins/bad-magic.so", USER_FOLDER, "offers.so"));
    free(fixture_write(USER_FOLDER "/readme.txt", "", 0, 0644));
    free(fixture_write(USER_FOLDER "/.hidden.so", "", 0, 0644));
    assert_int_equal(plugin_scan(&paths, &list, NULL), 0);
    assert_int_equal(list.n, 1);
    assert_string_equal(list.plugins[0].name, "deeds");
    assert_int_equal(list.nfaults, 2);
    assert_non_null(strstr(list.faults[0].path, "/user/crash-load.so"));
    assert_non_null(strstr(list.faults[0].why, "crashed with SIGABRT"));
    assert_non_null(strstr(list.faults[1].path, "/user/offers.so"));
    plugin_list_free(&list);
    chmod(paths.plugins_user, 0777);
    assert_int_equal(plugin_scan(&paths, &list, NULL), 0);
    assert_int_equal(list.n, 2);
    assert_int_equal(list.nfaults, 1);
    assert_non_null(strstr(list.faults[0].why, "can be written by others"));
    plugin_list_free(&list);
    file_remove_tree_at(AT_FDCWD, paths.plugins_user, NULL);
    assert_int_equal(plugin_scan(&paths, &list, NULL), 0);
    assert_int_equal(list.nfaults, 0);
    plugin_list_free(&list);
    mkdir(paths.plugins_user, 0700);
}

static void test_ini(void **state)
{
    auto_free char *path = fixture_install("plugins/offers.so", USER_FOLDER, "offers.so");
    auto_free char *ini = NULL;
    auto_buf struct buf text = BUF_INIT;
    auto_err struct err e = ERR_INIT;
    struct plugin pl;

    (void)state;
    assert_ok(plugin_inspect(path, &pl, &e), &e);
    assert_int_equal(plugin_ini(&pl, &text, &e), 1);
    ini = fixture_write(USER_FOLDER "/offers.ini", "[vm]\n", 5, 0644);
    assert_int_equal(plugin_ini(&pl, &text, &e), 0);
    assert_string_equal(text.data, "[vm]\n");
    chmod(ini, 0666);
    assert_int_equal(plugin_ini(&pl, &text, &e), -1);
    assert_message(&e, "offers.ini can be written by others");
    plugin_free(&pl);
}

static void test_settings(void **state)
{
    auto_free char *path = fixture_install("plugins/deeds.so", USER_FOLDER, "deeds.so");
    struct plugin_setting settings[] = {
        {(char *)"other", (char *)"x", (char *)"1", PROFILE_PROJECT, (char *)"agent.ini:1"},
        {(char *)"deeds", (char *)"mild", (char *)"1", PROFILE_PROJECT, (char *)"agent.ini:2"},
        {(char *)"deeds", (char *)"deed", (char *)"1", PROFILE_USER, (char *)"agent.ini:3"},
    };
    struct profile profile = {.settings = settings, .nsettings = ARRAY_LEN(settings)};
    auto_err struct err e = ERR_INIT;
    auto_strv struct strv widens = STRV_INIT;
    struct plugin pl;

    (void)state;
    assert_ok(plugin_inspect(path, &pl, &e), &e);
    assert_ok(plugin_check_settings(&pl, &profile, &widens, &e), &e);
    assert_int_equal(widens.n, 0);
    settings[2].origin = PROFILE_PROJECT;
    assert_ok(plugin_check_settings(&pl, &profile, &widens, &e), &e);
    assert_int_equal(widens.n, 1);
    assert_string_equal(widens.v[0], "sets option deed of plugin deeds to '1'");
    settings[2].key = (char *)"dead";
    assert_int_equal(plugin_check_settings(&pl, &profile, &widens, &e), -1);
    assert_string_equal(e.advice, "did you mean deed?");
    assert_message(&e, "agent.ini:3: plugin deeds has no option \"dead\"");
    plugin_free(&pl);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_load_faults, fixture_empty),
        cmocka_unit_test_setup(test_load_hang, fixture_empty),
        cmocka_unit_test_setup(test_not_elf, fixture_empty),
        cmocka_unit_test_setup(test_modes, fixture_empty),
        cmocka_unit_test_setup(test_older_size, fixture_empty),
        cmocka_unit_test_setup(test_description, fixture_empty),
        cmocka_unit_test_setup(test_find, fixture_empty),
        cmocka_unit_test_setup(test_scan, fixture_empty),
        cmocka_unit_test_setup(test_ini, fixture_empty),
        cmocka_unit_test_setup(test_settings, fixture_empty),
    };

    umask(022);
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
