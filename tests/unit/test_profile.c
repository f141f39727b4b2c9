#include "profile_fixture.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/file.h"
#include "model/limits.h"

#define GIB ((uint64_t)1 << 30)
#define MIB ((uint64_t)1 << 20)

static int setup(void **state)
{
    profile_set_up(state);
    profile.memory = 4 * GIB;
    profile.cpus = 4;
    return 0;
}

static void test_defaults(void **state)
{
    struct profile p;
    struct limits host;

    (void)state;
    limits_find(&host);
    profile_defaults(&p);
    assert_true(p.cpus == 1 || p.cpus * 2 <= host.cpus);
    assert_true(p.memory == 512 * MIB || p.memory * 2 <= host.memory);
    assert_string_equal(p.agent, "claude");
    assert_string_equal(p.backend, "qemu");
    assert_in_range(p.cpus, 1, 4);
    assert_in_range(p.memory, 512 * MIB, 4 * GIB);
    assert_int_equal(p.memory % MIB, 0);
    assert_int_equal(p.disk, 20 * GIB);
    assert_int_equal(p.boot_timeout, 120);
    profile_free(&p);
}

static void test_all_keys(void **state)
{
    (void)state;
    apply("\xef\xbb\xbf[agent]\r\n"
          "; comment\r\n# comment\r\n"
          "name = codex\r\n"
          "tools = chrome-mcp, other\r\n"
          "[vm]\nbackend=qemu\ncpus : 8\nmemory = 8g\ndisk = 10240M\nboot-timeout = 3600\n"
          "[image]\npackages = g++ libfoo-1.2\nbase-packages = git\n"
          "[plugin.claude]\nmodel = opus\n");
    assert_string_equal(profile.agent, "codex");
    assert_string_equal(profile.tools.v[0], "chrome-mcp");
    assert_string_equal(profile.tools.v[1], "other");
    assert_int_equal(profile.cpus, 8);
    assert_int_equal(profile.memory, 8 * GIB);
    assert_int_equal(profile.disk, 10 * GIB);
    assert_int_equal(profile.boot_timeout, 3600);
    assert_string_equal(profile.packages.v[0], "g++");
    assert_int_equal(profile.packages.n, 2);
    assert_string_equal(profile.base_packages.v[0], "git");
    assert_int_equal(profile.nsettings, 1);
    assert_string_equal(profile.settings[0].plugin, "claude");
    assert_string_equal(profile.settings[0].key, "model");
    assert_string_equal(profile.settings[0].value, "opus");
    assert_string_equal(profile.settings[0].where, "agent.ini:16");
    assert_int_equal(profile.settings[0].origin, PROFILE_USER);
    assert_int_equal(profile.project_widens.n, 0);
}

/* Values are literal: no quotes, no comments, any bytes but control characters. */
static void test_env(void **state)
{
    (void)state;
    apply("[env]\nEMPTY =\nLIST = a:b=c ; not a comment # nor this\nQUOTED = \"x\"\n"
          "BYTES = \xc3\x89\xff\n");
    apply("[env]\nQUOTED = y\n");
    assert_int_equal(profile.env.n, 4);
    assert_string_equal(strv_getenv(&profile.env, "EMPTY"), "");
    assert_string_equal(strv_getenv(&profile.env, "LIST"), "a:b=c ; not a comment # nor this");
    assert_string_equal(strv_getenv(&profile.env, "QUOTED"), "y");
    assert_string_equal(strv_getenv(&profile.env, "BYTES"), "\xc3\x89\xff");
}

static void test_plugin_setting_replaced(void **state)
{
    (void)state;
    apply_as(PROFILE_PLUGIN, "[plugin.claude]\nmodel = a\n[plugin.codex]\nmodel = b\n");
    apply("[plugin.claude]\nmodel = c\n");
    assert_int_equal(profile.nsettings, 2);
    assert_string_equal(profile.settings[0].value, "c");
    assert_int_equal(profile.settings[0].origin, PROFILE_USER);
    assert_string_equal(profile.settings[1].value, "b");
}

static void test_lists(void **state)
{
    (void)state;
    apply("[image]\npackages = vim\n\n  ; a comment between\n\ttmux,htop\n  vim\n"
          "[agent]\ntools =\n  one\n  two");
    assert_int_equal(profile.packages.n, 3);
    assert_string_equal(profile.packages.v[2], "htop");
    assert_int_equal(profile.tools.n, 2);
    apply_as(PROFILE_PROJECT, "[image]\npackages = jq\n[agent]\ntools = two\n");
    assert_int_equal(profile.packages.n, 4); /* added */
    assert_int_equal(profile.tools.n, 1);    /* replaced */
    apply("[agent]\ntools =\n");
    assert_int_equal(profile.tools.n, 0);
}

static void test_unknown(void **state)
{
    (void)state;
    assert_refused("[vm]\n\ncpu = 2\n",
                   "agent.ini:3: unknown key 'cpu' in [vm]; did you mean 'cpus'?");
    assert_refused("[image]\ncpus = 2\n",
                   "agent.ini:2: unknown key 'cpus' in [image]; it belongs in [vm]");
    assert_refused("[agent]\nxyzzy = 2\n",
                   "agent.ini:2: unknown key 'xyzzy' in [agent]; there are name, tools, sessions");
    assert_refused("[vmm]\ncpus = 2\n", "agent.ini:1: unknown section [vmm]; did you mean [vm]?");
    assert_refused("[xyzzy]\n",
                   "agent.ini:1: unknown section [xyzzy]; there are " PROFILE_SECTIONS);
    assert_refused("[plugin.A]\n", "agent.ini:1: [plugin.A] does not name a plugin (lower-case "
                                   "letters, digits and '-')");
    assert_refused("[plugin.a]\nB = 1\n", "agent.ini:2: 'B' is not the name of an option "
                                          "(lower-case words joined by '-')");
    assert_refused("[env]\nA-B = 1\n", "agent.ini:2: 'A-B' is not the name of a variable (letters, "
                                       "digits and '_', not starting with a digit)");
}

static void test_bad_values(void **state)
{
    static const char *const numbers[] = {"0", "65", "-1", "4x", "\"4\"", "", "1e1", "4 ; four"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        auto_free char *text = mem_printf("[vm]\ncpus = %s\n", numbers[i]);
        auto_free char *message =
            mem_printf("agent.ini:2: cpus: '%s' is not a number from 1 to 64", numbers[i]);

        assert_refused(text, message);
    }
    assert_refused("[vm]\nmemory = 4GB\n", "agent.ini:2: memory: '4GB' is not a size from 512M to "
                                           "1T (a number with K, M, G or T)");
    assert_refused("[vm]\ndisk = 9G\n", "agent.ini:2: disk: '9G' is not a size from 10G to 16T (a "
                                        "number with K, M, G or T)");
    assert_refused("[vm]\nmemory = 1073741825\n",
                   "agent.ini:2: memory: '1073741825' is not a whole "
                   "number of MiB (write it with M or G)");
    assert_refused("[vm]\nbackend = lima\n",
                   "agent.ini:2: backend: 'lima' is not a backend; the only one is 'qemu'");
    assert_refused("[agent]\nname = ../x\n", "agent.ini:2: name: '../x' is not a plugin's name "
                                             "(lower-case letters, digits and '-')");
    assert_refused("[image]\npackages = vim\n  Foo\n",
                   "agent.ini:2: packages: 'Foo' is not the name of a Debian package");
    assert_refused("[image]\npackages = vim-\n",
                   "agent.ini:2: packages: 'vim-' is not the name of a Debian package");
    assert_refused("[image]\npackages = -o\n",
                   "agent.ini:2: packages: '-o' is not the name of a Debian package");
}

static void test_bad_lines(void **state)
{
    (void)state;
    assert_refused("cpus = 1\n", "agent.ini:1: a setting stands before the first [section]");
    assert_refused("[vm]\ncpus\n",
                   "agent.ini:2: this is neither 'key = value' nor '[section]' nor a comment");
    assert_refused("[vm]\n= 1\n", "agent.ini:2: the name before '=' is missing");
    assert_refused("[vm\ncpus = 1\n", "agent.ini:1: a section's name must end with ']'");
    assert_refused("[vm] cpus = 1\n", "agent.ini:1: there is text after the section's name");
    assert_refused("[vm]\ncpus = 1\n[vm]\ncpus = 2\n",
                   "agent.ini:4: 'cpus' is set twice; first in line 2");
    assert_refused("[vm]\n  cpus = 1\n  memory = 1G\n",
                   "agent.ini:3: the line starts with white space, so it continues 'cpus' of line "
                   "2, which takes one line");
    assert_refused("[vm]\ncpus = x\n[nonsense]\n",
                   "agent.ini:2: cpus: 'x' is not a number from 1 to 64"); /* the first fault */
    assert_refused("[plugin.a123456789-123456789-123456789-123456789-12]\n",
                   "agent.ini:1: the section's name [plugin.a123456789-123456789-123456789-"
                   "123456789-12] is longer than 49 bytes");
}

static void test_bad_bytes(void **state)
{
    static const char nul[] = "[vm]\ncpus = 1\0\n";
    static const char utf16[] = "\xff\xfe[\0v\0m\0]\0\n";

    (void)state;
    assert_refused_bytes(PROFILE_USER, nul, sizeof(nul) - 1,
                         "agent.ini:2: the line contains a NUL byte; the file must be UTF-8 text");
    assert_refused_bytes(PROFILE_USER, utf16, sizeof(utf16) - 1,
                         "agent.ini:1: the line contains a NUL byte; the file must be UTF-8 text");
    assert_refused("[env]\nA = \x1b[2J\n",
                   "agent.ini:2: the line contains the control character 0x1b");
    assert_refused("[vm]\ncpus = 1\rmemory = 1G\n",
                   "agent.ini:2: the line contains the control character 0x0d");
    assert_refused("[\xc2\x9bx]\n",
                   "agent.ini:1: unknown section [\\xc2\\x9bx]; there are " PROFILE_SECTIONS);
}

/* A text with one line of len bytes, "A = xxx...", in [env]. */
static char *long_line(size_t len)
{
    char *text = mem_zalloc(len + 8, 1);

    memcpy(text, "[env]\nA = ", 10);
    memset(text + 10, 'x', len - 4);
    return text;
}

static void test_long_lines(void **state)
{
    auto_free char *fits = long_line(65536), *longer = long_line(65537);
    auto_free char *megabyte = long_line(1 << 20);
    static const char message[] = "agent.ini:2: the line is longer than 65536 bytes";

    (void)state;
    apply(fits);
    assert_int_equal(strlen(strv_getenv(&profile.env, "A")), 65536 - 4);
    assert_refused(longer, message);
    assert_refused(megabyte, message);
}

/* Errors repeat a part of a long text only. */
static void test_long_names(void **state)
{
    auto_free char *text = long_line(60000);
    auto_err struct err e = ERR_INIT;

    (void)state;
    text[6] = '0';
    assert_int_equal(profile_apply(&profile, PROFILE_USER, "a\nb", text, strlen(text), &e), -1);
    assert_true(strlen(err_msg(&e)) < 200);
    assert_true(str_starts(err_msg(&e), "a\\nb:2: "));
}

static void test_too_many(void **state)
{
    auto_buf struct buf text = BUF_INIT;
    auto_buf struct buf names = BUF_INIT;

    (void)state;
    buf_puts(&text, "[env]\n");
    for (int i = 0; i < 1025; i++)
        buf_printf(&text, "A%d = 1\n", i);
    assert_refused(text.data, "agent.ini:1026: the file has more than 1024 settings");
    buf_puts(&names, "[image]\npackages =\n");
    for (int i = 0; i < 513; i++)
        buf_printf(&names, "  p%d\n", i);
    assert_refused(names.data, "agent.ini:2: packages: 'p512' is one name too many for a list");
}

/* does: what the approval says, each thing in a line. */
static void assert_widens(const char *text, const char *does)
{
    struct profile p;
    auto_err struct err e = ERR_INIT;
    auto_buf struct buf all = BUF_INIT;
    static const char base[] = "[vm]\ncpus = 4\nmemory = 4G\n[agent]\ntools = a b\n";

    profile_defaults(&p);
    assert_int_equal(profile_apply(&p, PROFILE_USER, "user", base, strlen(base), NULL), 0);
    if (profile_apply(&p, PROFILE_PROJECT, "agent.ini", text, strlen(text), &e) < 0)
        fail_msg("%s", err_msg(&e));
    buf_puts(&all, "");
    for (size_t i = 0; i < p.project_widens.n; i++)
        buf_printf(&all, "%s%s", i ? "\n" : "", p.project_widens.v[i]);
    assert_string_equal(all.data, does);
    profile_free(&p);
}

static void test_project(void **state)
{
    (void)state;
    assert_widens("", "");
    assert_widens("[vm]\ncpus = 4\nmemory = 2G\ndisk = 10G\nboot-timeout = 60\n", "");
    assert_widens("[agent]\ntools = b\n", "");
    assert_widens("[agent]\ntools =\n", "");
    assert_widens("[agent]\nsessions = discard\n", "");
    assert_widens("[agent]\nsessions = keep\n", "");
    assert_widens("[vm]\ncpus = 5\n", "raises cpus from 4 to 5");
    assert_widens("[vm]\nmemory = 5G\n", "raises memory from 4G to 5G");
    assert_widens("[vm]\ndisk = 21G\n", "raises disk from 20G to 21G");
    assert_widens("[vm]\nboot-timeout = 121\n", "raises boot-timeout from 120 to 121");
    assert_widens("[vm]\nbackend = qemu\n", "runs the VM with qemu");
    assert_widens("[agent]\ntools = b c\n", "loads tools b c");
    assert_widens("[agent]\nname = claude\n", "runs agent claude");
    assert_widens("[image]\nbase-packages = git\n[env]\nA = \xe2\x80\xae"
                  "1\n",
                  "replaces the standard packages by git\nsets variable A to '\\xe2\\x80\\xae1'");
    assert_widens("[image]\npackages =\n  git\n  jq\n", "installs packages git jq");
    assert_widens("[image]\nbase-packages =\n", "installs the standard packages");
    assert_widens("[vm]\ncpus = 1\n[env]\nA = 1\n", "sets variable A to '1'");
    assert_widens("[mcp.fs]\ncommand = npx\nargs = -y \"a b\"\nenv = K=v\n",
                  "starts MCP server fs: npx -y 'a b', with variables K=v");
    assert_widens("[plugin.claude]\nmodel = x\n", ""); /* plugin_check_settings knows */
}

static void test_project_is_applied(void **state)
{
    (void)state;
    apply_as(PROFILE_PROJECT, "[vm]\ncpus = 8\n[env]\nA = 1\n");
    assert_int_equal(profile.cpus, 8);
    assert_string_equal(strv_getenv(&profile.env, "A"), "1");
}

static void assert_flag_refused(const char *section, const char *key, const char *value,
                                const char *message)
{
    auto_err struct err e = ERR_INIT;

    assert_int_equal(profile_set(&profile, "--flag", section, key, value, &e), -1);
    assert_string_equal(err_msg(&e), message);
}

static void test_flags(void **state)
{
    (void)state;
    assert_int_equal(profile_set(&profile, "--cpus", "vm", "cpus", "2", NULL), 0);
    assert_int_equal(profile_set(&profile, "--env", "env", "A", "two\nlines", NULL), 0);
    assert_int_equal(profile.cpus, 2);
    assert_string_equal(strv_getenv(&profile.env, "A"), "two\nlines");
    assert_int_equal(profile.project_widens.n, 0);
    assert_flag_refused("vm", "cpus", "many", "--flag: 'many' is not a number from 1 to 64");
    assert_flag_refused("vm", "cpsu", "1",
                        "--flag: unknown key 'cpsu' in [vm]; did you mean 'cpus'?");
    assert_flag_refused("mv", "cpus", "1",
                        "--flag: unknown section [mv]; there are " PROFILE_SECTIONS);
}

static void test_persist(void **state)
{
    (void)state;
    apply_as(PROFILE_PROJECT, "[vm]\npersist = false\n");
    assert_int_equal(profile.project_widens.n, 0);
    apply_as(PROFILE_PROJECT, "[vm]\npersist = true\n");
    assert_true(profile.persist);
    assert_int_equal(profile.project_widens.n, 1);
    assert_string_equal(profile.project_widens.v[0], "keeps the VM's disk between runs: true");
    assert_refused("[vm]\npersist = yes\n",
                   "agent.ini:2: persist: 'yes' is neither 'true' nor 'false'");
    assert_false(profile_is_flag(&profile, "vm.persist"));
    assert_int_equal(profile_set(&profile, "--keep", "vm", "persist", "true", NULL), 0);
    assert_true(profile_is_flag(&profile, "vm.persist"));
}

static void test_describe(void **state)
{
    auto_free char *text = NULL;

    (void)state;
    apply_as(PROFILE_PLUGIN, "[image]\npackages = nodejs\n");
    apply("[vm]\nmemory = 1536M\n[image]\npackages = vim\n[env]\nA = 1\n");
    apply_as(PROFILE_PROJECT, "[vm]\ncpus = 1\n[plugin.claude]\nmodel = x\n");
    assert_int_equal(profile_set(&profile, "--env", "env", "B", "two\nlines\x1b", NULL), 0);
    text = profile_describe(&profile);
    assert_string_equal(text, "agent.name = claude  (built-in)\n"
                              "agent.tools =   (built-in)\n"
                              "agent.sessions = keep  (built-in)\n"
                              "vm.backend = qemu  (built-in)\n"
                              "vm.cpus = 1  (project agent.ini:2)\n"
                              "vm.memory = 1536M  (user agent.ini:2)\n"
                              "vm.disk = 20G  (built-in)\n"
                              "vm.boot-timeout = 120  (built-in)\n"
                              "vm.persist = false  (built-in)\n"
                              "image.packages = nodejs vim  (plugin agent.ini:2, user "
                              "agent.ini:4)\n"
                              "image.base-packages =   (built-in)\n"
                              "project.readonly = false  (built-in)\n"
                              "project.git-readonly = false  (built-in)\n"
                              "mask.paths =   (built-in)\n"
                              "guest-local.paths =   (built-in)\n"
                              "guest-local.keep = false  (built-in)\n"
                              "mounts.readonly =   (built-in)\n"
                              "mounts.writable =   (built-in)\n"
                              "network.offline = false  (built-in)\n"
                              "git.identity = true  (built-in)\n"
                              "ssh.agent = false  (built-in)\n"
                              "ports.auto = on  (built-in)\n"
                              "ports.allow = 1-65535  (built-in)\n"
                              "ports.deny =   (built-in)\n"
                              "env.A = 1  (user agent.ini:6)\n"
                              "env.B = two\\nlines\\x1b  (command line --env)\n"
                              "plugin.claude.model = x  (project agent.ini:4)\n");
}

static char folder[64];

static int setup_folder(void **state)
{
    snprintf(folder, sizeof(folder), "/tmp/profile.XXXXXX");
    return mkdtemp(folder) ? setup(state) : -1;
}

static int teardown_folder(void **state)
{
    profile_tear_down(state);
    return file_remove_tree_at(AT_FDCWD, folder, NULL);
}

static void assert_load_fails(enum profile_origin origin, const char *path, const char *why)
{
    auto_err struct err e = ERR_INIT;

    assert_int_equal(profile_load(&profile, origin, path, true, &e), -1);
    if (!strstr(err_msg(&e), path) || !strstr(err_msg(&e), why))
        fail_msg("%s", err_msg(&e));
}

static void test_load(void **state)
{
    auto_free char *path = mem_printf("%s/x.ini", folder), *link = mem_printf("%s/link", folder);
    auto_free char *large = long_line(1 << 21);
    static const char text[] = "[vm]\ncpus = 3\n", wrong[] = "[vm]\ncpus = 0\n";

    (void)state;
    assert_int_equal(profile_load(&profile, PROFILE_USER, path, false, NULL), 0);
    assert_int_equal(symlink("x.ini", link), 0);
    assert_int_equal(profile_load(&profile, PROFILE_USER, link, false, NULL), -1);
    assert_load_fails(PROFILE_USER, link, "symbolic link to a file that does not exist");
    assert_load_fails(PROFILE_USER, path, "does not exist");
    assert_load_fails(PROFILE_PROJECT, path, "does not exist");
    assert_load_fails(PROFILE_USER, folder, "Is a directory");
    assert_load_fails(PROFILE_PROJECT, folder, "not a regular file");
    assert_int_equal(file_write_at(AT_FDCWD, path, text, strlen(text), 0600, NULL), 0);
    assert_int_equal(profile_load(&profile, PROFILE_USER, link, true, NULL), 0);
    assert_int_equal(profile.cpus, 3);
    assert_load_fails(PROFILE_PROJECT, link, "symbolic link");
    assert_int_equal(file_write_at(AT_FDCWD, path, wrong, strlen(wrong), 0600, NULL), 0);
    assert_load_fails(PROFILE_USER, path, "x.ini:2: cpus: '0' is not a number");
    assert_int_equal(file_write_at(AT_FDCWD, path, large, strlen(large), 0600, NULL), 0);
    assert_load_fails(PROFILE_USER, path, "larger than 1048576 bytes");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, profile_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_defaults),
        TEST(test_all_keys),
        TEST(test_env),
        TEST(test_plugin_setting_replaced),
        TEST(test_lists),
        TEST(test_unknown),
        TEST(test_bad_values),
        TEST(test_bad_lines),
        TEST(test_bad_bytes),
        TEST(test_long_lines),
        TEST(test_long_names),
        TEST(test_too_many),
        TEST(test_project),
        TEST(test_project_is_applied),
        TEST(test_flags),
        TEST(test_persist),
        TEST(test_describe),
        cmocka_unit_test_setup_teardown(test_load, setup_folder, teardown_folder),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
