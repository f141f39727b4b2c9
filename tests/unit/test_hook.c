/* Hooks that misbehave, and what hooks are told and may ask for. */
#include "plugin_fixture.h"

#include <poll.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/clock.h"

enum { SHORT_MS = 300 }; /* deadline for what hangs */

/* Calls a hook of deeds.so with the option "deed" set. */
static int do_deed(const char *deed, enum plan_phase phase, struct plugin_context *ctx,
                   int deadline_ms, struct plan *out, struct err *e)
{
    auto_free char *path = fixture_install("plugins/deeds.so", USER_FOLDER, "deeds.so");
    struct plugin_setting setting = {
        .plugin = (char *)"deeds", .key = (char *)"deed", .value = (char *)(uintptr_t)deed};
    struct profile profile = {.settings = &setting, .nsettings = 1};
    struct plugin pl;
    int rc;

    ctx->profile = &profile;
    assert_ok(plugin_inspect(path, &pl, e), e);
    rc = call_hook(&pl, phase, ctx, deadline_ms, out, e);
    plugin_free(&pl);
    return rc;
}

static void refuse_deed(const char *deed, enum plan_phase phase, int deadline_ms, const char *why)
{
    struct plugin_context ctx = {.user = "u", .home = "/home/u", .workspace = "/w"};
    auto_plan struct plan p = PLAN_INIT;
    auto_err struct err e = ERR_INIT;

    if (do_deed(deed, phase, &ctx, deadline_ms, &p, &e) == 0)
        fail_msg("%s was accepted", deed);
    assert_int_equal(p.n, 0);
    assert_int_equal(err_exit_code(&e), EXIT_AGENTVM);
    assert_message(&e, why);
}

static void test_hook_faults(void **state)
{
    static const struct {
        const char *deed, *why;
    } cases[] = {
        {"crash", "crashed with SIGSEGV"},
        {"exit-0", "called exit(0) instead of returning"},
        {"exit-3", "called exit(3) instead of returning"},
        {"close-all", "closed agentvm's descriptors"},
        {"write-all", "wrote into agentvm's pipe"},
        {"forge", "step 1 (secret_env): is not for provision"},
        {"steps", "agentvm_package: the hook makes more than 512 steps"},
        {"bytes", "asks for more than 8 MiB in all"},
        {"long-file", "agentvm_file: 1099511627776 bytes are more than 1048576"},
        {"other-phase", "agentvm_secret_env: not a service of hook provision"},
        {"traverse", "agentvm_file: path \"~/../../etc/x\\x1b\" contains a control character"},
        {"misuse-and-crash", "agentvm_option: the plugin declares no option \"no-such-option\""},
        {"endless-argv", "agentvm_run: more than 4096 arguments"},
        {"refuse", "not \\x1b[2Jtoday"},
        {"silent", "returned -1 without saying why"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_free char *why = mem_printf("plugin deeds, hook provision: %s", cases[i].why);

        if (strcmp(cases[i].deed, "forge") == 0)
            refuse_deed(cases[i].deed, PLAN_PROVISION, CALL_DEADLINE_MS, cases[i].why);
        else
            refuse_deed(cases[i].deed, PLAN_PROVISION, CALL_DEADLINE_MS, why);
    }
}

static void test_hook_hang(void **state)
{
    int64_t start = clock_ms();

    (void)state;
    refuse_deed("hang", PLAN_PROVISION, SHORT_MS,
                "plugin deeds, hook provision: did not return within 0.3 s");
    assert_true(clock_ms() - start < 5000);
}

static void test_launch_faults(void **state)
{
    (void)state;
    refuse_deed("no-exec", PLAN_LAUNCH, CALL_DEADLINE_MS, "ended without agentvm_exec");
    refuse_deed("two-execs", PLAN_LAUNCH, CALL_DEADLINE_MS,
                "agentvm_exec: nothing may follow agentvm_exec");
    refuse_deed("offer", PLAN_LAUNCH, CALL_DEADLINE_MS,
                "agentvm_offer_mcp: only tools have this service");
    refuse_deed("keep-outside", PLAN_LAUNCH, CALL_DEADLINE_MS,
                "agentvm_keep: path \"/etc\" does not start with \"~/\"");
    refuse_deed("keep-slash", PLAN_LAUNCH, CALL_DEADLINE_MS,
                "agentvm_keep: transcripts \"b/*\" contains a '/'");
    refuse_deed("import-up", PLAN_LAUNCH, CALL_DEADLINE_MS,
                "agentvm_import: source \"../a\" is not a relative path without \"..\"");
}

static void test_login(void **state)
{
    char *args[] = {(char *)"--sso", NULL};
    struct plugin_context ctx = {.user = "u", .home = "/home/u", .args = args};
    auto_plan struct plan p = PLAN_INIT;
    auto_err struct err e = ERR_INIT;

    (void)state;
    assert_ok(do_deed("nothing", PLAN_LOGIN, &ctx, CALL_DEADLINE_MS, &p, &e), &e);
    assert_int_equal(p.n, 2);
    assert_string_equal(find_step(&p, PLAN_ASK, NULL)->name, "token");
    assert_string_equal(find_step(&p, PLAN_EXEC, NULL)->argv.v[1], "--sso");
    refuse_deed("no-ask", PLAN_LOGIN, CALL_DEADLINE_MS, "calls agentvm_ask other than once");
    refuse_deed("ask-twice", PLAN_LOGIN, CALL_DEADLINE_MS, "calls agentvm_ask other than once");
}

static void test_refusal(void **state)
{
    struct plugin_context ctx = {.user = "u", .home = "/home/u"};
    auto_plan struct plan p = PLAN_INIT;
    auto_err struct err e = ERR_INIT;

    (void)state;
    assert_int_equal(do_deed("refuse", PLAN_PROVISION, &ctx, CALL_DEADLINE_MS, &p, &e), -1);
    assert_string_equal(e.advice, "try\\ntomorrow");
}

static void test_print(void **state)
{
    struct plugin_context ctx = {.user = "u", .home = "/home/u"};
    auto_plan struct plan p = PLAN_INIT;
    auto_err struct err e = ERR_INIT;
    int saved[2] = {dup(1), dup(2)}, fds[2], rc;
    char byte;

    (void)state;
    assert_int_equal(pipe(fds), 0);
    dup2(fds[1], 1);
    dup2(fds[1], 2);
    close(fds[1]);
    rc = do_deed("print", PLAN_PROVISION, &ctx, CALL_DEADLINE_MS, &p, &e);
    dup2(saved[0], 1);
    dup2(saved[1], 2);
    close(saved[0]);
    close(saved[1]);
    assert_ok(rc, &e);
    assert_int_equal(read(fds[0], &byte, 1), 0);
    close(fds[0]);
}

/* A process that outlives its hook is killed, and not waited for until the deadline. */
static void test_left_child(void **state)
{
    struct plugin_context ctx = {.user = "u", .home = "/home/u"};
    auto_plan struct plan p = PLAN_INIT;
    auto_err struct err e = ERR_INIT;
    int64_t start = clock_ms();
    auto_close int pidfd = -1;

    (void)state;
    assert_ok(do_deed("leave-child", PLAN_PROVISION, &ctx, CALL_DEADLINE_MS, &p, &e), &e);
    assert_true(clock_ms() - start < CALL_DEADLINE_MS / 2);
    pidfd = (int)syscall(SYS_pidfd_open, strtol(find_step(&p, PLAN_RUN, NULL)->name, NULL, 10), 0);
    if (pidfd >= 0) {
        struct pollfd ended = {.fd = pidfd, .events = POLLIN};

        assert_int_equal(poll(&ended, 1, 5000), 1);
    }
}

static const char *value_of(const struct plan *p, enum plan_op op, const char *name)
{
    return find_step(p, op, name)->data.data;
}

static void test_auth(void **state)
{
    char *env[] = {(char *)"VALUEX=no", (char *)"VALUE=yes", (char *)"EMPTY=", NULL};
    struct plugin_context ctx = {.user = "u",
                                 .home = fixture_root,
                                 .guest_host = "10.0.2.2",
                                 .host_env = env,
                                 .login = "kept"};
    auto_free char *file = fixture_write("secret", "a\0b", 3, 0600);
    auto_plan struct plan p = PLAN_INIT;
    auto_err struct err e = ERR_INIT;

    (void)state;
    assert_ok(do_deed("secret", PLAN_AUTH, &ctx, CALL_DEADLINE_MS, &p, &e), &e);
    assert_string_equal(value_of(&p, PLAN_SECRET_ENV, "VALUE"), "yes");
    assert_string_equal(value_of(&p, PLAN_ENV, "EMPTY"), "(none)");
    assert_string_equal(value_of(&p, PLAN_ENV, "URL"), "http://10.0.2.2:80/x");
    assert_int_equal(find_step(&p, PLAN_SECRET_FILE, "~/file")->data.len, 3);
    assert_string_equal(value_of(&p, PLAN_SECRET_FILE, "~/login"), "kept");
    assert_string_equal(value_of(&p, PLAN_ACCOUNT, "VALUE"), "someone");
    assert_int_equal(chmod(file, 0640), 0);
    plan_free(&p);
    assert_int_equal(do_deed("secret", PLAN_AUTH, &ctx, CALL_DEADLINE_MS, &p, &e), -1);
    assert_message(&e, "agentvm_host_secret: ~/secret: secret can be read or written by others");
    ctx.host_env = NULL;
    assert_ok(do_deed("missing/file", PLAN_AUTH, &ctx, CALL_DEADLINE_MS, &p, &e), &e);
    assert_string_equal(value_of(&p, PLAN_SECRET_ENV, "VALUE"), "(none)");
    assert_int_equal(p.n, 3);
}

/* Links among the home's files are followed, links out of it are not. */
static void test_host_file(void **state)
{
    static const char *const bad[] = {"", "/etc/passwd", "../x", "a/../../x", "a//b", "./a", "a/"};
    auto_free char *home = mem_printf("%s/home", fixture_root);
    auto_free char *outside = fixture_write("outside", "x", 1, 0600);
    auto_free char *inner = mem_printf("%s/inner", home), *outer = mem_printf("%s/outer", home);
    auto_free char *up = mem_printf("%s/up", home), *folder = mem_printf("%s/folder", home);
    struct plugin_context ctx = {.user = "u", .home = home};
    auto_plan struct plan p = PLAN_INIT;
    auto_err struct err e = ERR_INIT;
    auto_free char *other = mem_printf("%s/h0me", fixture_root); /* as long as home */
    char *inside;

    (void)state;
    assert_int_equal(mkdir(home, 0700), 0);
    assert_int_equal(mkdir(folder, 0700), 0);
    inside = fixture_write("home/folder/inside", "yes", 3, 0600);
    assert_int_equal(symlink(inside, inner), 0);
    assert_int_equal(symlink(outside, outer), 0);
    assert_int_equal(symlink("..", up), 0);
    assert_int_equal(mkdir(other, 0700), 0);
    free(fixture_write("h0me/x", "x", 1, 0600));
    free(inside);
    assert_ok(do_deed("inner", PLAN_AUTH, &ctx, CALL_DEADLINE_MS, &p, &e), &e);
    assert_string_equal(value_of(&p, PLAN_SECRET_FILE, "~/file"), "yes");
    plan_free(&p);
    assert_int_equal(do_deed("outer", PLAN_AUTH, &ctx, CALL_DEADLINE_MS, &p, &e), -1);
    assert_message(&e, "agentvm_host_file: ~/outer is a link that leads out of the home folder");
    assert_int_equal(do_deed("up/outside", PLAN_AUTH, &ctx, CALL_DEADLINE_MS, &p, &e), -1);
    assert_message(&e, "leads out of the home folder");
    assert_int_equal(do_deed("up/h0me/x", PLAN_AUTH, &ctx, CALL_DEADLINE_MS, &p, &e), -1);
    assert_message(&e, "leads out of the home folder");
    assert_int_equal(do_deed("folder", PLAN_AUTH, &ctx, CALL_DEADLINE_MS, &p, &e), -1);
    assert_message(&e, "agentvm_host_file: ~/folder: ");
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(do_deed(bad[i], PLAN_AUTH, &ctx, CALL_DEADLINE_MS, &p, &e), -1);
        assert_message(&e, "is not a relative path without \"..\"");
    }
}

static void test_launch(void **state)
{
    char *args[] = {(char *)"-p", NULL};
    struct plugin_context ctx = {
        .user = "u", .uid = 1000, .home = "/home/u", .workspace = "/w", .tty = true, .args = args};
    auto_free char *tool = fixture_install("plugins/offers.so", USER_FOLDER, "offers.so");
    auto_plan struct plan p = PLAN_INIT, offers = PLAN_INIT;
    auto_err struct err e = ERR_INIT;
    struct plugin pl;

    (void)state;
    assert_ok(plugin_inspect(tool, &pl, &e), &e);
    assert_ok(plugin_call(&pl, PLAN_LAUNCH, &ctx, &offers, &e), &e);
    plugin_free(&pl);
    assert_int_equal(offers.n, 2);
    ctx.offers = &offers;
    assert_ok(do_deed("nothing", PLAN_LAUNCH, &ctx, CALL_DEADLINE_MS, &p, &e), &e);
    assert_string_equal(value_of(&p, PLAN_ENV, "WORKSPACE"), "/w");
    assert_string_equal(value_of(&p, PLAN_ENV, "TTY"), "1");
    assert_string_equal(value_of(&p, PLAN_ENV, "USER_ID"), "1000");
    assert_string_equal(value_of(&p, PLAN_ENV, "FUTURE"), "0");
    assert_string_equal(value_of(&p, PLAN_ENV, "SERVER"), "\"hi\"\n");
    assert_string_equal(find_step(&p, PLAN_EXEC, NULL)->argv.v[1], "-p");
    assert_string_equal(find_step(&p, PLAN_KEEP, "~/sessions")->name, "*.jsonl");
    assert_string_equal(find_step(&p, PLAN_KEEP, "~/notes")->name, "");
    find_step(&p, PLAN_KEEP_FILE, "~/history");
    assert_string_equal(find_step(&p, PLAN_IMPORT, "~/.rc/skills")->name, ".rc/skills");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_hook_faults, fixture_empty),
        cmocka_unit_test_setup(test_hook_hang, fixture_empty),
        cmocka_unit_test_setup(test_launch_faults, fixture_empty),
        cmocka_unit_test_setup(test_login, fixture_empty),
        cmocka_unit_test_setup(test_refusal, fixture_empty),
        cmocka_unit_test_setup(test_print, fixture_empty),
        cmocka_unit_test_setup(test_left_child, fixture_empty),
        cmocka_unit_test_setup(test_auth, fixture_empty),
        cmocka_unit_test_setup(test_host_file, fixture_empty),
        cmocka_unit_test_setup(test_launch, fixture_empty),
    };

    umask(022);
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
