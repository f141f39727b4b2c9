#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "model/base64.h"
#include "model/plan.h"

static void set_argv(struct plan_step *s, const char *const *argv)
{
    for (; *argv; argv++)
        strv_push(&s->argv, *argv);
}

static struct plan_step *add_named(struct plan *p, enum plan_op op, const char *name,
                                   const char *data)
{
    struct plan_step *s = plan_add(p, op, "claude");

    s->name = mem_strdup(name);
    if (data)
        buf_puts(&s->data, data);
    return s;
}

static struct plan_step *add_file(struct plan *p, enum plan_op op, const char *path,
                                  const void *data, size_t len)
{
    struct plan_step *s = plan_add(p, op, "claude");

    s->path = mem_strdup(path);
    s->mode = 0600;
    buf_append(&s->data, data, len);
    return s;
}

/* One step of each operation, with every kind of text. */
static void make_sample(struct plan *p)
{
    struct plan_step *s;

    add_named(p, PLAN_PACKAGE, "g++", NULL);
    add_file(p, PLAN_FILE, "~/.x", "caf\xc3\xa9\n\"q\"", 9)->user = PLAN_AS_ROOT;
    add_file(p, PLAN_FILE, "/bin/y", "\x7f\0\xff", 3)->mode = 0755;
    set_argv(add_named(p, PLAN_RUN, "install", NULL), (const char *[]){"npm", "", "\xff!", NULL});
    add_named(p, PLAN_ENV, "A", "1\033");
    add_named(p, PLAN_SECRET_ENV, "KEY", "sk-1");
    add_file(p, PLAN_SECRET_FILE, "~/k", "sk-2", 4);
    s = add_named(p, PLAN_OFFER_MCP, "chrome", NULL);
    set_argv(s, (const char *[]){"mcp", NULL});
    strv_push(&s->env, "B=2");
    set_argv(plan_add(p, PLAN_EXEC, "claude"), (const char *[]){"claude", "-p", NULL});
}

static const char golden[] = "{\n"
                             "\t\"steps\":\t[{\n"
                             "\t\t\t\"op\":\t\"package\",\n"
                             "\t\t\t\"plugin\":\t\"claude\",\n"
                             "\t\t\t\"name\":\t\"g++\"\n"
                             "\t\t}, {\n"
                             "\t\t\t\"op\":\t\"file\",\n"
                             "\t\t\t\"plugin\":\t\"claude\",\n"
                             "\t\t\t\"user\":\t\"root\",\n"
                             "\t\t\t\"path\":\t\"~/.x\",\n"
                             "\t\t\t\"mode\":\t\"0600\",\n"
                             "\t\t\t\"data\":\t\"caf\xc3\xa9\\n\\\"q\\\"\"\n"
                             "\t\t}, {\n"
                             "\t\t\t\"op\":\t\"file\",\n"
                             "\t\t\t\"plugin\":\t\"claude\",\n"
                             "\t\t\t\"user\":\t\"user\",\n"
                             "\t\t\t\"path\":\t\"/bin/y\",\n"
                             "\t\t\t\"mode\":\t\"0755\",\n"
                             "\t\t\t\"data_base64\":\t\"fwD/\"\n"
                             "\t\t}, {\n"
                             "\t\t\t\"op\":\t\"run\",\n"
                             "\t\t\t\"plugin\":\t\"claude\",\n"
                             "\t\t\t\"name\":\t\"install\",\n"
                             "\t\t\t\"user\":\t\"user\",\n"
                             "\t\t\t\"argv\":\t[\"npm\", \"\", {\n"
                             "\t\t\t\t\t\"base64\":\t\"/yE=\"\n"
                             "\t\t\t\t}]\n"
                             "\t\t}, {\n"
                             "\t\t\t\"op\":\t\"env\",\n"
                             "\t\t\t\"plugin\":\t\"claude\",\n"
                             "\t\t\t\"name\":\t\"A\",\n"
                             "\t\t\t\"value_base64\":\t\"MRs=\"\n"
                             "\t\t}, {\n"
                             "\t\t\t\"op\":\t\"secret_env\",\n"
                             "\t\t\t\"plugin\":\t\"claude\",\n"
                             "\t\t\t\"name\":\t\"KEY\",\n"
                             "\t\t\t\"secret\":\ttrue\n"
                             "\t\t}, {\n"
                             "\t\t\t\"op\":\t\"secret_file\",\n"
                             "\t\t\t\"plugin\":\t\"claude\",\n"
                             "\t\t\t\"path\":\t\"~/k\",\n"
                             "\t\t\t\"mode\":\t\"0600\",\n"
                             "\t\t\t\"secret\":\ttrue\n"
                             "\t\t}, {\n"
                             "\t\t\t\"op\":\t\"offer_mcp\",\n"
                             "\t\t\t\"plugin\":\t\"claude\",\n"
                             "\t\t\t\"name\":\t\"chrome\",\n"
                             "\t\t\t\"argv\":\t[\"mcp\"],\n"
                             "\t\t\t\"env\":\t[\"B=2\"]\n"
                             "\t\t}, {\n"
                             "\t\t\t\"op\":\t\"exec\",\n"
                             "\t\t\t\"plugin\":\t\"claude\",\n"
                             "\t\t\t\"argv\":\t[\"claude\", \"-p\"]\n"
                             "\t\t}]\n"
                             "}";

static void test_golden(void **state)
{
    auto_plan struct plan p = PLAN_INIT;
    auto_free char *text = NULL;

    (void)state;
    make_sample(&p);
    text = plan_to_json(&p);
    assert_string_equal(text, golden);
    assert_null(strstr(text, "sk-"));
}

static void test_round_trip(void **state)
{
    auto_plan struct plan p = PLAN_INIT, q = PLAN_INIT;
    auto_free char *text = NULL, *again = NULL, *shown = NULL;
    auto_err struct err e = ERR_INIT;

    (void)state;
    make_sample(&p);
    text = plan_to_private_json(&p);
    assert_non_null(strstr(text, "sk-1"));
    assert_int_equal(plan_from_json(text, strlen(text), &q, &e), 0);
    again = plan_to_private_json(&q);
    assert_string_equal(text, again);
    shown = plan_to_json(&q);
    assert_string_equal(shown, golden);
    assert_int_equal(q.steps[2].data.len, 3);
    assert_memory_equal(q.steps[2].data.data, "\x7f\0\xff", 3);
    assert_string_equal(q.steps[3].argv.v[2], "\xff!");
}

static void test_append(void **state)
{
    auto_plan struct plan p = PLAN_INIT, q = PLAN_INIT;

    (void)state;
    add_named(&p, PLAN_PACKAGE, "aa", NULL);
    add_named(&q, PLAN_PACKAGE, "bb", NULL);
    plan_append(&p, &q);
    plan_append(&p, &q);
    assert_int_equal(p.n, 2);
    assert_int_equal(q.n, 0);
    assert_string_equal(p.steps[1].name, "bb");
}

static void assert_refused(const char *text, const char *why)
{
    auto_plan struct plan p = PLAN_INIT;
    auto_err struct err e = ERR_INIT;

    assert_int_equal(plan_from_json(text, strlen(text), &p, &e), -1);
    if (!strstr(err_msg(&e), why))
        fail_msg("%s: \"%s\" instead of \"%s\"", text, err_msg(&e), why);
    assert_int_equal(p.n, 0);
}

static void test_hostile_documents(void **state)
{
    (void)state;
    assert_refused("", "not one JSON document");
    assert_refused("{\"steps\":[]} x", "not one JSON document");
    assert_refused("[]", "list \"steps\"");
    assert_refused("{\"steps\":{}}", "list \"steps\"");
    assert_refused("{\"steps\":[],\"x\":1}", "list \"steps\"");
    assert_refused("{\"steps\":[1]}", "step 1: no object with a known \"op\"");
    assert_refused("{\"steps\":[{\"op\":\"rm\"}]}", "known \"op\"");
    assert_refused("{\"steps\":[{\"op\":\"package\",\"plugin\":\"a\"}]}", "package lacks a field");
    assert_refused("{\"steps\":[{\"op\":\"package\",\"name\":\"a\"}]}", "package lacks a field");
    assert_refused("{\"steps\":[{\"op\":\"package\",\"plugin\":\"a\",\"name\":1}]}",
                   "name: no string");
    assert_refused("{\"steps\":[{\"op\":\"package\",\"plugin\":\"a\",\"name\":\"a\",\"mode\":\"0\"}"
                   "]}",
                   "unknown or repeated field");
    assert_refused("{\"steps\":[{\"op\":\"env\",\"plugin\":\"a\",\"name\":\"a\",\"value\":\"\","
                   "\"value_base64\":\"\"}]}",
                   "unknown or repeated field");
    assert_refused("{\"steps\":[{\"op\":\"env\",\"op\":\"env\"}]}", "unknown or repeated field");
    assert_refused("{\"steps\":[{\"op\":\"env\",\"value_base64\":\"QQ\"}]}", "not base64");
    assert_refused("{\"steps\":[{\"op\":\"env\",\"value\":\"a\\u0000b\"}]}", "NUL");
    assert_refused("{\"steps\":[{\"op\":\"exec\",\"argv\":[{\"base64\":\"AA==\"}]}]}", "NUL");
    assert_refused("{\"steps\":[{\"op\":\"exec\",\"argv\":[[]]}]}", "argv: no string");
    assert_refused("{\"steps\":[{\"op\":\"exec\",\"argv\":[{}]}]}", "neither string nor base64");
    assert_refused("{\"steps\":[{\"op\":\"exec\",\"argv\":\"x\"}]}", "argv: not a list");
    assert_refused("{\"steps\":[{\"op\":\"file\",\"mode\":\"999\"}]}", "octal");
    assert_refused("{\"steps\":[{\"op\":\"file\",\"user\":\"me\"}]}", "neither \"user\" nor");
}

static void test_hostile_sizes(void **state)
{
    auto_buf struct buf b = BUF_INIT;

    (void)state;
    buf_puts(&b, "{\"steps\":[");
    for (int i = 0; i < 70000; i++)
        buf_puts(&b, "0,");
    buf_puts(&b, "0]}");
    assert_refused(b.data, "values");
    buf_free(&b);
    buf_puts(&b, "{\"steps\":[");
    for (int i = 0; i <= PLAN_STEPS_MAX; i++)
        buf_printf(&b, "%s{\"op\":\"package\",\"plugin\":\"a\",\"name\":\"b\"}", i ? "," : "");
    buf_puts(&b, "]}");
    assert_refused(b.data, "more than 512 steps");
}

static void test_base64(void **state)
{
    static const char *const bad[] = {
        "A", "AA", "AAA", "A===", "AB==", "AAB=", "AA==AAAA", "AA A", "====", "AA=A", "AA-_"};
    auto_buf struct buf b = BUF_INIT;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (base64_decode(bad[i], &b) == 0)
            fail_msg("%s was accepted", bad[i]);
    for (size_t len = 0; len < 7; len++) {
        auto_free char *text = base64_encode("\0\xff\x10zz~", len);

        buf_free(&b);
        assert_int_equal(base64_decode(text, &b), 0);
        assert_int_equal(b.len, len);
        if (len)
            assert_memory_equal(b.data, "\0\xff\x10zz~", len);
    }
}

static void assert_invalid(struct plan *p, enum plan_phase phase, const char *why)
{
    auto_err struct err e = ERR_INIT;

    assert_int_equal(plan_validate(p, phase, &e), -1);
    if (!strstr(err_msg(&e), why))
        fail_msg("\"%s\" instead of \"%s\"", err_msg(&e), why);
    plan_free(p);
}

static void test_validate_names(void **state)
{
    static const char *const packages[] = {"", "a", "Foo", "a b", "a-", "a,b", "-o", "?a", "a=1"};
    struct plan p = PLAN_INIT;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(packages); i++) {
        add_named(&p, PLAN_PACKAGE, packages[i], NULL);
        assert_invalid(&p, PLAN_PROVISION, "plugin claude, step 1 (package): name");
    }
    add_named(&p, PLAN_ENV, "A=B", "");
    assert_invalid(&p, PLAN_LAUNCH, "(env): name \"A=B\" is not an environment");
    buf_append(&add_named(&p, PLAN_ENV, "A", "")->data, "a\0b", 3);
    assert_invalid(&p, PLAN_LAUNCH, "value contains a NUL");
    set_argv(add_named(&p, PLAN_RUN, "two\nlines", NULL), (const char *[]){"a", NULL});
    assert_invalid(&p, PLAN_PROVISION, "control character");
    set_argv(add_named(&p, PLAN_OFFER_MCP, "a b", NULL), (const char *[]){"a", NULL});
    assert_invalid(&p, PLAN_LAUNCH, "other characters");
}

static void test_validate_paths(void **state)
{
    static const char *const paths[] = {"",     "x",     "~x",    "~",       "/",
                                        "~/",   "/a/",   "/a//b", "/a/../b", "~/..",
                                        "/./a", "/a\nb", "../x",  "~root/x"};
    struct plan p = PLAN_INIT;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        add_file(&p, PLAN_FILE, paths[i], "", 0);
        assert_invalid(&p, PLAN_PROVISION, "(file): path");
    }
    add_file(&p, PLAN_FILE, "/..a/.b/c..", "", 0)->mode = 04755;
    assert_invalid(&p, PLAN_PROVISION, "mode 4755");
}

static void test_validate_order(void **state)
{
    static const char *const argv[] = {"a", NULL};
    auto_err struct err e = ERR_INIT;
    struct plan p = PLAN_INIT;

    (void)state;
    add_named(&p, PLAN_SECRET_ENV, "A", "1");
    assert_int_equal(plan_validate(&p, PLAN_AUTH, &e), 0);
    assert_invalid(&p, PLAN_LAUNCH, "(secret_env): is not for launch");
    set_argv(add_named(&p, PLAN_RUN, "x", NULL), argv);
    assert_invalid(&p, PLAN_AUTH, "(run): is not for auth");
    set_argv(plan_add(&p, PLAN_EXEC, "claude"), argv);
    assert_int_equal(plan_validate(&p, PLAN_LAUNCH, &e), 0);
    set_argv(plan_add(&p, PLAN_EXEC, "claude"), argv);
    assert_invalid(&p, PLAN_LAUNCH, "step 1 (exec): is not the last step");
    plan_add(&p, PLAN_EXEC, "claude");
    assert_invalid(&p, PLAN_LAUNCH, "argv names no program");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),         cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_append),         cmocka_unit_test(test_hostile_documents),
        cmocka_unit_test(test_hostile_sizes),  cmocka_unit_test(test_base64),
        cmocka_unit_test(test_validate_names), cmocka_unit_test(test_validate_paths),
        cmocka_unit_test(test_validate_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
