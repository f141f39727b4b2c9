/* [mcp.NAME], [profile.NAME], the check of a whole file, the sample. */
#include "profile_fixture.h"

#include <cjson/cJSON.h>

#include "model/profile_keys.h"
#include "model/words.h"

/* The words with '|' between them, or the error. */
static void check_words(const char *text, const char *want)
{
    auto_strv struct strv words = STRV_INIT;
    auto_buf struct buf got = BUF_INIT;
    auto_err struct err e = ERR_INIT;

    buf_puts(&got, "");
    if (words_split(text, &words, &e) < 0)
        buf_puts(&got, err_msg(&e));
    for (size_t i = 0; i < words.n; i++)
        buf_printf(&got, "%s%s", i ? "|" : "", words.v[i]);
    assert_string_equal(got.data, want);
}

static void test_words(void **state)
{
    (void)state;
    check_words("", "");
    check_words(" \t\n", "");
    check_words("-y a\n b\tc ", "-y|a|b|c");
    check_words("'a b' \"c d\" e\\ f g'h'\"i\"", "a b|c d|e f|ghi");
    check_words("'' \"\" x", "||x");
    check_words("'a\\b\"' \"a\\\"b\\\\c\\d\"", "a\\b\"|a\"b\\c\\d");
    check_words("$HOME ~ *.c `x` ;#", "$HOME|~|*.c|`x`|;#");
    check_words("a 'b", "the quote ' is not closed on its line");
    check_words("\"a\nb\"", "the quote \" is not closed on its line");
    check_words("a\\", "nothing follows the \\ at the end of a line");
    check_words("a\\\nb", "nothing follows the \\ at the end of a line");
}

static void test_words_join(void **state)
{
    auto_strv struct strv words = STRV_INIT, again = STRV_INIT;
    auto_free char *text = NULL;

    (void)state;
    strv_push(&words, "a b");
    strv_push(&words, "");
    strv_push(&words, "it's");
    strv_push(&words, "\\\"$x");
    text = words_join(&words);
    assert_int_equal(words_split(text, &again, NULL), 0);
    assert_int_equal(again.n, words.n);
    for (size_t i = 0; i < words.n; i++)
        assert_string_equal(again.v[i], words.v[i]);
}

static void test_mcp(void **state)
{
    (void)state;
    apply_as(PROFILE_USER, "[mcp.files]\ncommand = npx\nargs = -y\n  'two words'\n  # not this\n"
                           "  last\nenv = A=1 B='x y'\n  C=\n"
                           "[mcp.Other_2]\ncommand = \"/opt/a b/c\"\n");
    assert_int_equal(profile.nmcp, 2);
    assert_string_equal(profile.mcp[0].name, "files");
    assert_string_equal(profile.mcp[0].command, "npx");
    assert_int_equal(profile.mcp[0].args.n, 3);
    assert_string_equal(profile.mcp[0].args.v[1], "two words");
    assert_int_equal(profile.mcp[0].env.n, 3);
    assert_string_equal(strv_getenv(&profile.mcp[0].env, "B"), "x y");
    assert_string_equal(strv_getenv(&profile.mcp[0].env, "C"), "");
    assert_string_equal(profile.mcp[0].where, "agent.ini:1");
    assert_string_equal(profile.mcp[1].command, "/opt/a b/c");
}

/* A later file's server takes nothing from an earlier one's. */
static void test_mcp_is_replaced(void **state)
{
    auto_free char *text = NULL;

    (void)state;
    apply_as(PROFILE_USER, "[mcp.a]\ncommand = x\nargs = 1\nenv = A=1\n[mcp.b]\ncommand = y\n");
    apply_as(PROFILE_PROJECT, "\n[mcp.a]\ncommand = z\n");
    assert_int_equal(profile.nmcp, 2);
    assert_string_equal(profile.mcp[0].command, "z");
    assert_int_equal(profile.mcp[0].args.n + profile.mcp[0].env.n, 0);
    text = profile_describe(&profile);
    assert_non_null(strstr(text, "\nmcp.a.command = z  (project agent.ini:3)\n"
                                 "mcp.b.command = y  (user agent.ini:6)\n"));
    assert_null(strstr(text, "mcp.a.args"));
    assert_int_equal(profile.project_widens.n, 1);
}

static void test_bad_mcp(void **state)
{
    (void)state;
    assert_refused("[mcp.a b]\n", "agent.ini:1: [mcp.a b] does not name an MCP server (letters, "
                                  "digits, '-' and '_', at most 45)");
    assert_refused("[mcp.]\n", "agent.ini:1: [mcp.] does not name an MCP server (letters, "
                               "digits, '-' and '_', at most 45)");
    assert_refused("[vm]\n[mcp.a]\n[vm]\n",
                   "agent.ini:2: [mcp.a] has no command: the program that is the server");
    assert_refused("[mcp.a]\nargs = x\n",
                   "agent.ini:1: [mcp.a] has no command: the program that is the server");
    assert_refused("[mcp.a]\ncommand =\n",
                   "agent.ini:2: command: '' is not one program; its arguments go into args, and a "
                   "name with blanks into quotes");
    assert_refused("[mcp.a]\ncommand = ''\n", "agent.ini:2: command: '''' names no program");
    assert_refused("[mcp.a]\ncommand = npx -y x\n",
                   "agent.ini:2: command: 'npx -y x' is not one program; its arguments go into "
                   "args, and a name with blanks into quotes");
    assert_refused("[mcp.a]\ncommand = x\n  y\n",
                   "agent.ini:3: the line starts with white space, so it continues 'command' of "
                   "line 2, which takes one line");
    assert_refused("[mcp.a]\ncommand = x\nargs = a\n  'b\n  c'\n",
                   "agent.ini:3: args: the quote ' is not closed on its line");
    assert_refused("[mcp.a]\ncommand = x\nenv = A=1 B\n",
                   "agent.ini:3: env: 'B' is not NAME=value");
    assert_refused("[mcp.a]\ncommand = x\nenv = 1=1\n",
                   "agent.ini:3: env: '1=1' is not NAME=value");
    assert_refused("[mcp.a]\ncommand = x\nenv = A=1 A=2\n", "agent.ini:3: env: 'A' is set twice");
    assert_refused("[mcp.a]\ncomand = x\n",
                   "agent.ini:2: unknown key 'comand' in [mcp.a]; did you mean 'command'?");
    assert_refused("[mcp.a]\nxyzzy = x\n",
                   "agent.ini:2: unknown key 'xyzzy' in [mcp.a]; there are command, args, env");
}

static const char review[] = "[vm]\ncpus = 3\n"
                             "[profile.review]\nvm.cpus = 2\nagent.name = codex\n"
                             "image.packages =\n  jq\n  git\nplugin.claude.model = x\nenv.A = 1\n"
                             "mcp.fs.command = npx\nmcp.fs.args = 'a b'\n"
                             "[profile.big-one]\nvm.cpus = 64\n[profile.empty]\n";

static void test_named(void **state)
{
    auto_free char *text = NULL;

    (void)state;
    apply_as(PROFILE_USER, review);
    assert_int_equal(profile.cpus, 3); /* waits to be named */
    assert_int_equal(profile.nmcp, 0);
    assert_int_equal(profile_select(&profile, "review", "agent.ini", NULL), 0);
    assert_int_equal(profile.cpus, 2);
    assert_string_equal(profile.agent, "codex");
    assert_int_equal(profile.packages.n, 2);
    assert_string_equal(profile.settings[0].value, "x");
    assert_string_equal(profile.mcp[0].args.v[0], "a b");
    text = profile_describe(&profile);
    assert_non_null(strstr(text, "vm.cpus = 2  (user agent.ini:4)\n"));
    apply_as(PROFILE_PROJECT, "[vm]\ncpus = 3\n"); /* more than the named profile says */
    assert_int_equal(profile.project_widens.n, 1);
}

static void assert_unknown(const char *name, const char *message, const char *advice)
{
    auto_err struct err e = ERR_INIT;

    assert_int_equal(profile_select(&profile, name, "~/agent.ini", &e), -1);
    assert_string_equal(err_msg(&e), message);
    assert_string_equal(e.advice, advice);
}

static void test_unknown_name(void **state)
{
    static const char how[] = "profiles are sections [profile.NAME] there; a file is written with "
                              "a '/' or ends with .ini";

    (void)state;
    assert_unknown("review", "unknown profile 'review'; ~/agent.ini has none", how);
    apply_as(PROFILE_USER, review);
    assert_unknown("reviw", "unknown profile 'reviw'; ~/agent.ini has: review, big-one, empty",
                   "did you mean review?");
    assert_unknown("x", "unknown profile 'x'; ~/agent.ini has: review, big-one, empty", how);
    assert_unknown("", "unknown profile ''; ~/agent.ini has: review, big-one, empty", how);
    assert_true(profile_is_name("review"));
    assert_true(profile_is_name(""));
    assert_false(profile_is_name("./review"));
    assert_false(profile_is_name("review.ini"));
}

static void test_bad_named(void **state)
{
    (void)state;
    assert_refused("[profile.A]\n", "agent.ini:1: [profile.A] does not name a profile (lower-case "
                                    "letters, digits and '-')");
    assert_refused("[profile.a]\ncpus = 1\n",
                   "agent.ini:2: 'cpus' is not SECTION.KEY, such as vm.cpus");
    assert_refused("[profile.a]\nvm.cpus = 0\n",
                   "agent.ini:2: cpus: '0' is not a number from 1 to 64");
    assert_refused("[profile.a]\nvm.cpu = 1\n",
                   "agent.ini:2: unknown key 'cpu' in [vm]; did you mean 'cpus'?");
    assert_refused("[profile.a]\nxyzzy.cpus = 1\n",
                   "agent.ini:2: unknown section [xyzzy]; there are " PROFILE_SECTIONS);
    assert_refused("[profile.a]\nprofile.b.vm.cpus = 1\n",
                   "agent.ini:2: 'profile.b.vm.cpus': a profile cannot hold another");
    assert_refused("[profile.a]\nmcp.x.args = 1\n",
                   "agent.ini:2: [mcp.x] has no command: the program that is the server");
    assert_refused_as(PROFILE_PROJECT, "[profile.a]\n",
                      "agent.ini:1: [profile.a] may stand in the user's own file only");
    assert_refused_as(PROFILE_PLUGIN, "[profile.a]\n",
                      "agent.ini:1: [profile.a] may stand in the user's own file only");
}

static void check_problems(const char *text, const char *want)
{
    auto_strv struct strv problems = STRV_INIT;
    auto_buf struct buf got = BUF_INIT;

    profile_check("a.ini", text, strlen(text), &problems);
    buf_puts(&got, "");
    for (size_t i = 0; i < problems.n; i++)
        buf_printf(&got, "%s\n", problems.v[i]);
    assert_string_equal(got.data, want);
}

static void test_every_problem(void **state)
{
    (void)state;
    check_problems(review, "");
    check_problems("junk\n[vm]\ncpus = many\njunk\nmemory = 1\n  2\n[vmm]\nx = 1\n  y\nz = 1\n"
                   "[vm]\ncpu = 1\ndisk = 10G\n[env]\nA-B = 1\n[image]\npackages = vim\n  Foo\n",
                   "a.ini:1: this is neither 'key = value' nor '[section]' nor a comment\n"
                   "a.ini:3: cpus: 'many' is not a number from 1 to 64\n"
                   "a.ini:4: this is neither 'key = value' nor '[section]' nor a comment\n"
                   "a.ini:6: the line starts with white space, so it continues 'memory' of line 5, "
                   "which takes one line\n"
                   "a.ini:5: memory: '1' is not a size from 512M to 1T (a number with K, M, G or "
                   "T)\n"
                   "a.ini:7: unknown section [vmm]; did you mean [vm]?\n"
                   "a.ini:12: unknown key 'cpu' in [vm]; did you mean 'cpus'?\n"
                   "a.ini:15: 'A-B' is not the name of a variable (letters, digits and '_', not "
                   "starting with a digit)\n"
                   "a.ini:17: packages: 'Foo' is not the name of a Debian package\n");
    check_problems("[image]\npackages = vim\n  \x1b\n; between\n  x\n  y\nbase-packages = git\n",
                   "a.ini:3: the line contains the control character 0x1b\n");
    check_problems("[mcp.a]\ncommand = x y\n[mcp.b]\n[mcp.c]\nargz = 1\n[vm\ncpus = x\n[vm] x\n"
                   "[profile.p]\ncpus = 1\nvm.cpus = x\nmcp.d.command = x y\n"
                   "[profile.q]\nmcp.d.args = 1\n[env]\nA = \x1b\n  x\nA = 1\nA = 2\n",
                   "a.ini:2: command: 'x y' is not one program; its arguments go into args, and a "
                   "name with blanks into quotes\n"
                   "a.ini:5: unknown key 'argz' in [mcp.c]; did you mean 'args'?\n"
                   "a.ini:6: a section's name must end with ']'\n"
                   "a.ini:8: there is text after the section's name\n"
                   "a.ini:10: 'cpus' is not SECTION.KEY, such as vm.cpus\n"
                   "a.ini:11: cpus: 'x' is not a number from 1 to 64\n"
                   "a.ini:12: command: 'x y' is not one program; its arguments go into args, and "
                   "a name with blanks into quotes\n"
                   "a.ini:16: the line contains the control character 0x1b\n"
                   "a.ini:19: 'A' is set twice; first in line 18\n"
                   "a.ini:3: [mcp.b] has no command: the program that is the server\n"
                   "a.ini:14: [mcp.d] has no command: the program that is the server\n");
}

/* The sample sets nothing; with its comments taken away it sets everything, and well. */
static void test_sample(void **state)
{
    auto_free char *sample = profile_sample(), *before = NULL, *after = NULL;
    auto_buf struct buf bare = BUF_INIT;
    size_t keys = 0, fixed;

    (void)state;
    profile_keys(&fixed);
    before = profile_describe(&profile);
    apply_as(PROFILE_PROJECT, sample);
    after = profile_describe(&profile);
    assert_string_equal(before, after);
    assert_int_equal(profile.project_widens.n, 0);
    for (const char *line = sample; *line;) {
        size_t len = strcspn(line, "\n") + 1;
        bool setting = line[0] == ';' && line[1] != ' ' && line[1] != '\n';

        keys += setting;
        buf_append(&bare, line + setting, len - setting);
        line += len;
    }
    check_problems(bare.data, "");
    assert_int_equal(keys, fixed + 1 + 1 + 1 + 3 + 1 + 1);
    apply_as(PROFILE_PROJECT, bare.data);
    assert_int_equal(profile.cpus, 2);
    assert_int_equal(profile.nmcp, 1);
}

static const char *string_at(const cJSON *o, const char *key)
{
    return cJSON_GetStringValue(cJSON_GetObjectItem(o, key));
}

/* The value of that section and key. */
static const cJSON *find_value(const cJSON *list, const char *section, const char *key)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, list)
    {
        if (strcmp(string_at(item, "section"), section) == 0 &&
            strcmp(string_at(item, "key"), key) == 0)
            return item;
    }
    return NULL;
}

static void test_json(void **state)
{
    auto_free char *text = NULL;
    cJSON *list;
    const cJSON *item, *first;

    (void)state;
    apply_as(PROFILE_USER, "[image]\npackages = jq\n[env]\nA = \xff\n");
    apply_as(PROFILE_PROJECT, "[image]\npackages = git\n[vm]\ncpus = 1\n");
    text = profile_to_json(&profile);
    list = cJSON_Parse(text);
    item = cJSON_GetArrayItem(list, 0);
    assert_string_equal(string_at(item, "section"), "agent");
    assert_string_equal(string_at(item, "key"), "name");
    assert_string_equal(string_at(item, "value"), "claude");
    first = cJSON_GetArrayItem(cJSON_GetObjectItem(item, "origins"), 0);
    assert_string_equal(string_at(first, "source"), "built-in");
    assert_null(cJSON_GetObjectItem(first, "where"));
    item = find_value(list, "image", "packages");
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(item, "value")), 2);
    first = cJSON_GetArrayItem(cJSON_GetObjectItem(item, "origins"), 1);
    assert_string_equal(string_at(first, "source"), "project");
    assert_string_equal(string_at(first, "where"), "agent.ini:2");
    item = find_value(list, "env", "A");
    assert_string_equal(string_at(cJSON_GetObjectItem(item, "value"), "base64"), "/w==");
    cJSON_Delete(list);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, profile_set_up, profile_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_words),           TEST(test_words_join), TEST(test_mcp),
        TEST(test_mcp_is_replaced), TEST(test_bad_mcp),    TEST(test_named),
        TEST(test_unknown_name),    TEST(test_bad_named),  TEST(test_every_problem),
        TEST(test_sample),          TEST(test_json),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
