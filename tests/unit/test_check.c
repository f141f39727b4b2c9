/* plugin_check tells all that is wrong, not only the first thing. */
#include "plugin_fixture.h"

#include <string.h>

static void check(const char *path, struct plugin_report *r)
{
    plugin_check(path, r);
    for (size_t i = 0; i < r->faults.n; i++)
        if (strpbrk(r->faults.v[i], "\n\033"))
            fail_msg("a fault of several lines: %s", r->faults.v[i]);
}

static bool has(const struct strv *lines, const char *text)
{
    for (size_t i = 0; i < lines->n; i++)
        if (strstr(lines->v[i], text))
            return true;
    return false;
}

static void expect_faults(const struct plugin_report *r, const char *const *faults, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!has(&r->faults, faults[i]))
            fail_msg("no fault says: %s", faults[i]);
    if (r->faults.n != n)
        fail_msg("%zu faults instead of %zu; the last: %s", r->faults.n, n,
                 r->faults.n ? r->faults.v[r->faults.n - 1] : "");
}

static void expect_from(const char *path, const char *const *faults, size_t n)
{
    struct plugin_report r;

    check(path, &r);
    expect_faults(&r, faults, n);
    plugin_report_free(&r);
}

static void test_sound(void **state)
{
    static const char *const built[][2] = {{"../plugins/claude.so", "claude.so"},
                                           {"../sdk/hello.so", "hello.so"},
                                           {"../sdk/qwen.so", "qwen.so"},
                                           {"plugins/offers.so", "offers.so"}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(built); i++) {
        auto_free char *path = fixture_install(built[i][0], USER_FOLDER, built[i][1]);
        struct plugin_report r;

        check(path, &r);
        expect_faults(&r, NULL, 0);
        assert_non_null(r.plugin.name);
        /* Who has no credential here refuses, which is right, but is said. */
        assert_int_equal(r.notes.n, r.plugin.has_hook[PLAN_AUTH] ? 1 : 0);
        plugin_report_free(&r);
    }
}

static void test_table(void **state)
{
    static const char *const faults[] = {
        "its reserved member is not 0",
        "its version is missing",
        "its kind 9 is neither agent nor tool",
        "its name \"Many Faults\" is not made of lower-case letters",
        "its summary is not one line",
        "its option \"Bad Name\" is not made of",
        "its option's help is missing",
        "it has two options twice",
        "option twice: its help is not one line",
        "its option twice has unknown flags 0x8",
    };
    auto_free char *path = fixture_install("plugins/many-faults.so", USER_FOLDER, "many-faults.so");

    (void)state;
    expect_from(path, faults, ARRAY_LEN(faults));
}

static void test_hooks(void **state)
{
    static const char *const faults[] = {
        "exports the symbol careless_helper besides agentvm_plugin",
        "is called other.so, but --agent and agent.ini will look for careless.so",
        "careless.ini:2: unknown key",
        "hook auth prints \"about to refuse\\n\"",
        "hook provision: makes another plan",
        "when its service call number 2 fails: plugin careless, hook launch: crashed",
    };
    static const char ini[] = "[vm]\nmemori = 1G\n";
    auto_free char *path = fixture_install("plugins/careless.so", USER_FOLDER, "other.so");

    (void)state;
    free(fixture_write(USER_FOLDER "/other.ini", ini, strlen(ini), 0644));
    expect_from(path, faults, ARRAY_LEN(faults));
}

/* What others can write is not run, but what can be seen from outside is told. */
static void test_place(void **state)
{
    static const char *const faults[] = {
        "/user can be written by others (mode 0777)",
        "/x.so can be written by others (mode 0666)",
        "exports the symbol careless_helper",
        "/x.so belongs to user 12345",
    };
    auto_free char *path = fixture_install("plugins/careless.so", USER_FOLDER, "x.so");
    auto_free char *folder = mem_printf("%s/" USER_FOLDER, fixture_root);
    struct plugin_report r;
    bool given_away = geteuid() == 0 && chown(path, 12345, 0) == 0;

    (void)state;
    chmod(path, 0666);
    chmod(folder, 0777);
    check(path, &r);
    expect_faults(&r, faults, ARRAY_LEN(faults) - (given_away ? 0 : 1));
    assert_true(has(&r.notes, "it was not loaded"));
    plugin_report_free(&r);
}

static void test_no_plugin(void **state)
{
    static const char *const none[] = {"cannot open /no/such.so: No such file"};
    static const char *const text[] = {"the dynamic linker refuses it: "};
    static const char *const other[] = {"exports the symbol answer besides",
                                        "it exports no symbol agentvm_plugin"};
    static const char *const undefined[] = {"undefined symbol: nobody_has_this"};
    static const char *const texts[] = {"its version is not one line of 1 to 200 readable bytes",
                                        "its summary is not one line of 1 to 200 readable bytes"};
    static const char *const aborts[] = {"crashed with SIGABRT"};
    auto_free char *file = fixture_write(USER_FOLDER "/text.so", "text", 4, 0755);
    auto_free char *library = fixture_install("plugins/no-symbol.so", USER_FOLDER, "a.so");
    auto_free char *careless = fixture_install("plugins/undefined.so", USER_FOLDER, "c.so");
    auto_free char *odd = fixture_install("plugins/hostile-texts.so", USER_FOLDER, "d.so");
    auto_free char *crash = fixture_install("plugins/crash-load.so", USER_FOLDER, "b.so");

    (void)state;
    expect_from("/no/such.so", none, 1);
    expect_from(file, text, 1);
    expect_from(library, other, 2);
    expect_from(crash, aborts, 1);
    expect_from(careless, undefined, 1);
    expect_from(odd, texts, ARRAY_LEN(texts));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_sound, fixture_empty),
        cmocka_unit_test_setup(test_table, fixture_empty),
        cmocka_unit_test_setup(test_hooks, fixture_empty),
        cmocka_unit_test_setup(test_place, fixture_empty),
        cmocka_unit_test_setup(test_no_plugin, fixture_empty),
    };

    umask(022);
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
