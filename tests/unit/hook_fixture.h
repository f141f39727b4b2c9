/* Calls of the hooks of plugins that come with agentvm. */
#ifndef TEST_HOOK_FIXTURE_H
#define TEST_HOOK_FIXTURE_H

#include "plugin_fixture.h"

#include <string.h>

enum { ENV_MAX = 8 };

/* One call, filled in by the tests; freed by call_free. */
struct call {
    const char *option, *value; /* one setting of the plugin */
    const char *env[ENV_MAX];   /* of the host */
    const char *kept;           /* by agentvm login */
    const char *login;          /* content of ~/.claude/.credentials.json on the host */
    mode_t login_mode;          /* 0: 0600 */
    const char *settings;       /* content of ~/.claude/settings.json on the host */
    const char *workspace;      /* NULL: /w */
    unsigned uid;
    const char *args[ENV_MAX]; /* the user's */
    const struct plan *offers;
    struct plan plan;
    struct err err;
};

static inline void call_free(struct call *c)
{
    plan_free(&c->plan);
    err_clear(&c->err);
}
#define auto_call __attribute__((cleanup(call_free)))

static inline int call_plugin(const char *name, enum plan_phase phase, struct call *c)
{
    bool example = strcmp(name, "hello") == 0;
    auto_free char *built = mem_printf(example ? "../sdk/%s.so" : "../plugins/%s.so", name);
    auto_free char *file = mem_printf("%s.so", name);
    auto_free char *path = fixture_install(built, USER_FOLDER, file);
    auto_free char *home = mem_printf("%s/home", fixture_root);
    auto_free char *folder = mem_printf("%s/.claude", home);
    struct plugin_setting setting = {.plugin = (char *)(uintptr_t)name,
                                     .key = (char *)(uintptr_t)c->option,
                                     .value = (char *)(uintptr_t)c->value};
    struct profile profile = {.settings = &setting, .nsettings = c->option ? 1 : 0};
    struct plugin_context ctx = {.user = "u",
                                 .uid = c->uid,
                                 .home = home,
                                 .workspace = c->workspace ? c->workspace : "/w",
                                 .guest_host = "10.0.2.2",
                                 .args = (char *const *)(uintptr_t)c->args,
                                 .host_env = (char *const *)(uintptr_t)c->env,
                                 .login = c->kept,
                                 .profile = &profile,
                                 .offers = c->offers};
    struct plugin pl;
    int rc;

    file_remove_tree_at(AT_FDCWD, home, NULL);
    assert_ok(file_mkdirs(folder, 0700, &c->err), &c->err);
    if (c->login)
        free(fixture_write("home/.claude/.credentials.json", c->login, strlen(c->login),
                           c->login_mode ? c->login_mode : 0600));
    if (c->settings)
        free(fixture_write("home/.claude/settings.json", c->settings, strlen(c->settings), 0600));
    assert_ok(plugin_inspect(path, &pl, &c->err), &c->err);
    rc = plugin_call(&pl, phase, &ctx, &c->plan, &c->err);
    plugin_free(&pl);
    return rc;
}

static inline void call_ok(const char *name, enum plan_phase phase, struct call *c)
{
    assert_ok(call_plugin(name, phase, c), &c->err);
}

static inline void assert_argv(const struct plan_step *s, const char *const *argv)
{
    size_t n = 0;

    for (; argv[n]; n++) {
        assert_true(n < s->argv.n);
        assert_string_equal(s->argv.v[n], argv[n]);
    }
    assert_int_equal(s->argv.n, n);
}

/* All secret variables of the plan, in the form "NAME=value NAME=value". */
static inline char *secrets_of(const struct plan *p)
{
    struct buf b = BUF_INIT;

    for (size_t i = 0; i < p->n; i++)
        if (p->steps[i].op == PLAN_SECRET_ENV)
            buf_printf(&b, "%s%s=%s", b.len ? " " : "", p->steps[i].name, p->steps[i].data.data);
        else if (p->steps[i].op == PLAN_SECRET_FILE)
            buf_printf(&b, "%s%s", b.len ? " " : "", p->steps[i].path);
    return buf_steal(&b);
}

/* All accounts of the plan in their order: "NAME (BILLING), ...". */
static inline char *accounts_of(const struct plan *p)
{
    struct buf b = BUF_INIT;

    for (size_t i = 0; i < p->n; i++)
        if (p->steps[i].op == PLAN_ACCOUNT)
            buf_printf(&b, "%s%s (%s)", b.len ? ", " : "", p->steps[i].name, p->steps[i].data.data);
    return buf_steal(&b);
}

/* The plan of tests/plugins/offers.c, which offers two servers; the caller frees it. */
static inline void make_offers(struct plan *offers)
{
    auto_free char *path = fixture_install("plugins/offers.so", USER_FOLDER, "offers.so");
    struct plugin_context ctx = {.user = "u", .home = "/home/u"};
    struct plugin tool;
    struct err e = ERR_INIT;

    assert_ok(plugin_inspect(path, &tool, &e), &e);
    assert_ok(plugin_call(&tool, PLAN_LAUNCH, &ctx, offers, &e), &e);
    plugin_free(&tool);
}

/* Fails unless the hook refuses every value of the option with a message that has why in it. */
static inline void assert_refused(const char *name, enum plan_phase phase, const char *option,
                                  const char *const *values, const char *why)
{
    for (; *values; values++) {
        auto_call struct call c = {.option = option, .value = *values};

        if (call_plugin(name, phase, &c) == 0)
            fail_msg("option %s takes \"%s\"", option, *values);
        assert_non_null(c.err.advice);
        assert_message(&c.err, why);
    }
}

#endif
