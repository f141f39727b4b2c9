/* proc/jail: what a child sees and may not do; as root and as an ordinary user. */
#include "helpers.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "proc/spawn.h"

enum { ORDINARY = 23457 };

static char *dir, *tree, *scratch, *outside;

static void make_file(const char *below, const char *text)
{
    auto_free char *path = mem_printf("%s/%s", dir, below);
    auto_free char *parent = mem_dup(path, (size_t)(strrchr(path, '/') - path));

    assert_int_equal(file_mkdirs(parent, 0755, NULL), 0);
    write_text(path, text);
}

static int setup(void **state)
{
    (void)state;
    dir = scratch_make();
    tree = mem_printf("%s/tree", dir);
    scratch = mem_printf("%s/scratch", dir);
    outside = mem_printf("%s/outside", dir);
    make_file("tree/.git/config", "mine");
    make_file("tree/.git/hooks/x", "hook");
    make_file("tree/a/b/.git/config", "nested");
    make_file("tree/.env", "secret");
    make_file("tree/secrets/key", "secret");
    make_file("tree/plain", "plain");
    make_file("outside/file", "outside");
    make_file("single", "single");
    assert_int_equal(mkdir(scratch, 0755), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(tree);
    free(scratch);
    free(outside);
    scratch_remove(dir);
    return 0;
}

/* Runs the script in the jail, in the tree; returns what it wrote.  As uid, where it is not 0. */
static char *in_jail(const struct jail *j, unsigned uid, const char *script)
{
    char *const argv[] = {"sh", "-c", (char *)script, NULL};
    struct spawn_request r = {.argv = argv, .cwd = tree, .jail = j, .death_signal = SIGKILL};
    auto_err struct err e = ERR_INIT;
    struct exit_status status;
    struct buf text = BUF_INIT;
    struct child c;
    int p[2];

    if (uid && geteuid() == 0) {
        auto_free char *owner = mem_printf("%u:%u", uid, uid);
        char *const chown_argv[] = {"chown", "-R", owner, dir, NULL};

        ASSERT_OK(e, spawn_capture(chown_argv, 1, TEST_DEADLINE_MS, &text, NULL, &status, &e));
        assert_int_equal(exit_status_code(status), 0);
        r.set_ids = true;
        r.uid = r.gid = uid;
    }
    assert_int_equal(pipe2(p, O_CLOEXEC), 0);
    spawn_pass_fd(&r, p[1], 1);
    ASSERT_OK(e, spawn_start(&r, &c, &e));
    close(p[1]);
    ASSERT_OK(e, file_read_fd(p[0], 1 << 20, &text, &e));
    close(p[0]);
    ASSERT_OK(e, spawn_wait(&c, clock_ms() + TEST_DEADLINE_MS, &status, &e));
    return buf_steal(&text);
}

static const struct jail_bind binds[] = {
    {JAIL_PIN, NULL, ".git", true},         {JAIL_PIN, NULL, "a", false},
    {JAIL_PIN, NULL, "a/b", false},         {JAIL_PIN, NULL, "a/b/.git", true},
    {JAIL_MASK, NULL, ".env", true},        {JAIL_MASK, NULL, "secrets", true},
    {JAIL_MOUNT, NULL, "mounts/0", true},   {JAIL_MOUNT, NULL, "mounts/1", false},
    {JAIL_MOUNT, NULL, "mounts/two", true},
};

/* Every attempt is one line: "+" if it worked. */
static const char attempts[] =
    "t() { if (eval \"$1\") 2>/dev/null >&2; then echo \"+ $1\"; else echo \"- $1\"; fi; }\n"
    "t 'echo x >plain'; t 'echo x >a/b/new'; t 'rm a/b/new'\n"
    "t 'echo x >.git/config'; t 'rm .git/hooks/x'; t 'touch .git/hooks/new'; t 'mv .git git'\n"
    "t 'mv a c'; t 'mv a/b a/c'; t 'rm -rf a/b/.git'; t 'mv a/b/.git a/x'; t 'echo x "
    ">a/b/.git/config'\n"
    "t 'ln .git/config link'; t 'ln .env link'; t 'chmod 777 .git/config'\n"
    "t 'mv .env env'; t 'rm .env'; t 'echo x >.env'; t 'rmdir secrets'; t 'touch secrets/x'\n"
    "t 'grep . .env'; t 'ls secrets | grep .'; t 'mv plain .env'\n"
    "t 'umount .env'; t 'umount -l .git'; t 'mount -o remount,rw,bind .git'; t 'mknod node b 7 0'\n"
    "t 'unshare -rm umount .env'; t 'unshare -rm mount -o remount,bind,rw .git'\n"
    "t 'nsenter -t $PPID -m true'; t \"grep . /proc/$PPID/root$PWD/.env\"\n"
    "t 'grep single $S/mounts/1'; t 'echo x >$S/mounts/1'; t 'grep outside $S/mounts/0/file'\n"
    "t 'echo x >$S/mounts/0/file'; t 'echo x >$S/mounts/two'; t 'touch $S/new'; t 'rm "
    "$S/empty.f'\n";

static const char outcome[] =
    "+ echo x >plain\n+ echo x >a/b/new\n+ rm a/b/new\n"
    "- echo x >.git/config\n- rm .git/hooks/x\n- touch .git/hooks/new\n- mv .git git\n"
    "- mv a c\n- mv a/b a/c\n- rm -rf a/b/.git\n- mv a/b/.git a/x\n- echo x >a/b/.git/config\n"
    "- ln .git/config link\n- ln .env link\n- chmod 777 .git/config\n"
    "- mv .env env\n- rm .env\n- echo x >.env\n- rmdir secrets\n- touch secrets/x\n"
    "- grep . .env\n- ls secrets | grep .\n- mv plain .env\n"
    "- umount .env\n- umount -l .git\n- mount -o remount,rw,bind .git\n- mknod node b 7 0\n"
    "- unshare -rm umount .env\n- unshare -rm mount -o remount,bind,rw .git\n"
    "- nsenter -t $PPID -m true\n";

static const char outcome_of_mounts[] =
    "+ grep single $S/mounts/1\n+ echo x >$S/mounts/1\n+ grep outside $S/mounts/0/file\n"
    "- echo x >$S/mounts/0/file\n- echo x >$S/mounts/two\n- touch $S/new\n- rm $S/empty.f\n";

static void check_view(unsigned uid)
{
    auto_free char *single = mem_printf("%s/single", dir), *text = NULL, *script = NULL;
    auto_free char *env = mem_printf("%s/.env", tree), *config = mem_printf("%s/.git/config", tree);
    struct jail_bind all[ARRAY_LEN(binds)];
    struct jail j = {tree, scratch, all, ARRAY_LEN(all)};

    memcpy(all, binds, sizeof(all));
    all[6].source = outside;
    all[7].source = all[8].source = single;
    script = mem_printf("S=%s\n%s", scratch, attempts);
    text = in_jail(&j, uid, script);
    assert_memory_equal(text, outcome, strlen(outcome));
    assert_true(str_starts(text + strlen(outcome), "- grep . /proc/"));
    assert_true(str_ends(text, outcome_of_mounts));
    free(steal_ptr(&text));
    /* The host's own view is as it was. */
    text = read_text(env);
    assert_string_equal(text, "secret");
    free(steal_ptr(&text));
    text = read_text(config);
    assert_string_equal(text, "mine");
    assert_int_equal(count_entries(scratch), 0);
}

static void test_view(void **state)
{
    (void)state;
    check_view(0);
}

static void test_view_of_user(void **state)
{
    (void)state;
    if (geteuid() == 0)
        check_view(ORDINARY);
}

/* What is mounted writable, but for parts of it. */
static void test_pinned_mount(void **state)
{
    struct jail_bind all[] = {{JAIL_MOUNT, NULL, "mounts/0", false},
                              {JAIL_PIN_MOUNTED, "a", "mounts/0/a", false},
                              {JAIL_PIN_MOUNTED, "a/file", "mounts/0/a/file", true}};
    struct jail j = {tree, scratch, all, ARRAY_LEN(all)};
    auto_free char *text = NULL, *script = NULL;

    (void)state;
    make_file("outside/a/file", "");
    all[0].source = outside;
    script = mem_printf("cd %s/mounts/0; %.*s"
                        "t 'touch a/new'; t 'mv a b'; t 'echo x >a/file'; t 'mv a/new a/file'\n",
                        scratch, (int)(strchr(attempts, '\n') - attempts + 1), attempts);
    text = in_jail(&j, 0, script);
    assert_string_equal(text, "+ touch a/new\n- mv a b\n- echo x >a/file\n- mv a/new a/file\n");
}

/* Whoever is in there can do nothing as root. */
static void check_rights(unsigned uid, const char *want)
{
    struct jail_bind b = {JAIL_MASK, NULL, ".env", true};
    struct jail j = {tree, scratch, &b, 1};
    auto_free char *text =
        in_jail(&j, uid, "grep -E '^(Cap(Inh|Prm|Eff|Bnd|Amb)|NoNewPrivs):' /proc/self/status");

    assert_string_equal(text, want);
}

static void test_rights(void **state)
{
    static const char root[] = "CapInh:\t0000000000000000\nCapPrm:\t000000000000001b\n"
                               "CapEff:\t000000000000001b\nCapBnd:\t000000000000001b\n"
                               "CapAmb:\t0000000000000000\nNoNewPrivs:\t1\n";
    static const char user[] = "CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\n"
                               "CapEff:\t0000000000000000\nCapBnd:\t000000000000001b\n"
                               "CapAmb:\t0000000000000000\nNoNewPrivs:\t1\n";

    (void)state;
    check_rights(0, geteuid() == 0 ? root : user);
    if (geteuid() == 0)
        check_rights(ORDINARY, user);
}

/* A symlink anywhere in a path is refused, and so is what leads out of the tree. */
static void test_hostile_tree(void **state)
{
    static const struct {
        const char *target;
        enum jail_kind kind;
    } cases[] = {
        {"link", JAIL_MASK},     {"link", JAIL_PIN},  {"linked/file", JAIL_MASK},
        {"../single", JAIL_PIN}, {"gone", JAIL_MASK}, {"linked", JAIL_PIN},
        {"plain/x", JAIL_MASK},
    };
    char *const argv[] = {"true", NULL};
    auto_free char *link = mem_printf("%s/link", tree), *linked = mem_printf("%s/linked", tree);

    (void)state;
    assert_int_equal(symlink("../single", link), 0);
    assert_int_equal(symlink("../outside", linked), 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct jail_bind b = {cases[i].kind, NULL, cases[i].target, true};
        struct jail j = {tree, scratch, &b, 1};
        struct spawn_request r = {.argv = argv, .jail = &j};
        auto_free char *want =
            mem_printf("cannot %s %s: ", b.kind == JAIL_PIN ? "protect" : "hide", b.target);
        auto_err struct err e = ERR_INIT;
        struct child c;

        assert_int_equal(spawn_start(&r, &c, &e), -1);
        assert_int_equal(c.pid, 0);
        assert_true(str_starts(err_msg(&e), want));
        assert_string_equal(e.advice, "somebody changed it at this moment; try again");
    }
}

/* What is at the tree's path is not the folder that was meant; and the descriptor of the right one
 * shows what is masked as the path does. */
static void test_tree_fd(void **state)
{
    enum { FD = 7 };
    struct jail_bind b = {JAIL_MASK, NULL, ".env", true};
    struct jail j = {tree, scratch, &b, 1, FD};
    char *const argv[] = {"sh", "-c", "cd -P /proc/self/fd/7 && test -e plain && test ! -s .env",
                          NULL};
    auto_close int right = open(tree, O_PATH), wrong = open(outside, O_PATH);
    auto_err struct err e = ERR_INIT;
    struct spawn_request r = {.argv = argv, .jail = &j};
    struct exit_status status;
    struct child c;

    (void)state;
    spawn_pass_fd(&r, wrong, FD);
    assert_int_equal(spawn_start(&r, &c, &e), -1);
    assert_non_null(strstr(err_msg(&e), "cannot open "));
    assert_string_equal(e.advice, "somebody changed it at this moment; try again");
    err_clear(&e);
    r.nfds = 0;
    spawn_pass_fd(&r, right, FD);
    ASSERT_OK(e, spawn_start(&r, &c, &e));
    ASSERT_OK(e, spawn_wait(&c, clock_ms() + TEST_DEADLINE_MS, &status, &e));
    assert_int_equal(exit_status_code(status), 0);
}

/* The child ends with its parent all the same. */
static void test_death(void **state)
{
    struct jail_bind b = {JAIL_MASK, NULL, ".env", true};
    struct jail j = {tree, scratch, &b, 1};
    char *const argv[] = {"sleep", "1000", NULL};
    int p[2];
    pid_t pid;
    char c;

    (void)state;
    assert_int_equal(pipe2(p, O_CLOEXEC), 0);
    pid = fork();
    if (pid == 0) {
        struct spawn_request r = {.argv = argv, .jail = &j, .death_signal = SIGKILL};
        struct child child;

        spawn_pass_fd(&r, p[1], 20);
        _exit(spawn_start(&r, &child, NULL) < 0);
    }
    close(p[1]);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(read(p[0], &c, 1), 0); /* nobody holds the other end */
    close(p[0]);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_view),   TEST(test_view_of_user), TEST(test_pinned_mount),
        TEST(test_rights), TEST(test_hostile_tree), TEST(test_tree_fd),
        TEST(test_death),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
