/* proc/spawn: what a child gets, how it ends, how failures come back. */
#include "helpers.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "proc/spawn.h"

/* Runs sh -c SCRIPT with a pipe at its stdout; the caller frees what it wrote. */
static char *output_of(struct spawn_request *r, const char *script, struct exit_status *status)
{
    char *const argv[] = {"sh", "-c", (char *)script, NULL};
    auto_err struct err e = ERR_INIT;
    struct buf text = BUF_INIT;
    struct child c;
    int p[2];

    assert_int_equal(pipe2(p, O_CLOEXEC), 0);
    r->argv = argv;
    spawn_pass_fd(r, p[1], 1);
    ASSERT_OK(e, spawn_start(r, &c, &e));
    close(p[1]);
    ASSERT_OK(e, file_read_fd(p[0], 1 << 20, &text, &e));
    close(p[0]);
    ASSERT_OK(e, spawn_wait(&c, clock_ms() + TEST_DEADLINE_MS, status, &e));
    assert_int_equal(c.pid, 0);
    assert_int_equal(c.pidfd, -1);
    return buf_steal(&text);
}

static struct exit_status run(struct spawn_request *r, const char *script)
{
    struct exit_status status;

    free(output_of(r, script, &status));
    return status;
}

static void test_exit(void **state)
{
    struct spawn_request r = {0}, s = {0};

    (void)state;
    assert_int_equal(exit_status_code(run(&r, "exit 42")), 42);
    assert_int_equal(exit_status_code(run(&s, "kill -9 $$")), 128 + 9);
}

/* The descriptors of the child are those passed and 0 to 2, whatever leaks here. */
static void test_exact_fds(void **state)
{
    struct spawn_request r = {0};
    struct exit_status status;
    auto_free char *text = NULL;
    int file = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    int leaks[] = {dup2(file, 5), dup2(file, 21), dup2(file, 63), dup2(file, 64), dup2(file, 200)};

    (void)state;
    spawn_pass_fd(&r, file, 20);
    spawn_pass_fd(&r, file, 9);
    text = output_of(&r,
                     "cd /proc/$$/fd && for f in *; do [ -e $f ] && printf '%s ' $f; done;"
                     "readlink 0 2 9 20 | tr '\n' ' '",
                     &status);
    assert_string_equal(text, "0 1 2 20 9 /dev/null /dev/null /dev/zero /dev/zero ");
    for (size_t i = 0; i < ARRAY_LEN(leaks); i++)
        close(leaks[i]);
    close(file);
}

/* Numbers that overlap: what is passed as 0 is 1 here and the other way round. */
static void test_swapped_fds(void **state)
{
    struct spawn_request r = {0};
    struct exit_status status;
    auto_free char *script = NULL;
    int a[2], b[2];

    (void)state;
    assert_int_equal(pipe2(a, O_CLOEXEC), 0);
    assert_int_equal(pipe2(b, O_CLOEXEC), 0);
    spawn_pass_fd(&r, a[1], b[1]);
    spawn_pass_fd(&r, b[1], a[1]);
    script = mem_printf("echo A >&%d; echo B >&%d", b[1], a[1]);
    status = run(&r, script);
    assert_int_equal(exit_status_code(status), 0);
    close(a[1]);
    close(b[1]);
    for (int i = 0; i < 2; i++) {
        auto_buf struct buf text = BUF_INIT;

        assert_int_equal(file_read_fd(i ? b[0] : a[0], 10, &text, NULL), 0);
        assert_string_equal(text.data, i ? "B\n" : "A\n");
    }
    close(a[0]);
    close(b[0]);
}

/* glibc keeps 32 and 33 for itself: posix_spawn, by which make starts tests, hands them on ignored,
 * and sigaction refuses to change them. */
#define SIGNALS_OF_GLIBC (UINT64_C(3) << 31)

static void test_signals_reset(void **state)
{
    struct spawn_request r = {0};
    struct exit_status status;
    auto_free char *text = NULL;
    char *rest;
    sigset_t set;

    (void)state;
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    text = output_of(&r, "grep -E '^Sig(Blk|Ign)' /proc/self/status | cut -f2", &status);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    assert_int_equal(strtoull(text, &rest, 16), 0);
    assert_int_equal(strtoull(rest, &rest, 16) & ~SIGNALS_OF_GLIBC, 0);
    assert_string_equal(rest, "\n");
}

static void test_env_and_cwd(void **state)
{
    char *const env[] = {"PATH=/usr/bin:/bin", "ONLY=this", NULL};
    struct spawn_request r = {.env = env, .cwd = "/usr"};
    struct exit_status status;
    auto_free char *text = output_of(&r, "pwd; echo $ONLY; echo $HOME", &status);

    (void)state;
    assert_string_equal(text, "/usr\nthis\n\n");
}

static int try_start(struct spawn_request *r, char *program, struct err *e)
{
    char *const argv[] = {program, NULL};
    struct child c;

    r->argv = argv;
    assert_int_equal(spawn_start(r, &c, e), -1);
    assert_int_equal(c.pid, 0);
    assert_int_equal(c.pidfd, -1);
    return err_exit_code(e);
}

static void test_not_started(void **state)
{
    auto_free char *plain = mem_printf("%s/plain", (char *)*state);
    auto_free char *folder = mem_printf("%s/folder", (char *)*state);
    auto_free char *garbage = mem_printf("%s/garbage", (char *)*state);
    auto_err struct err e = ERR_INIT;
    struct spawn_request r = {.path = *state}, s = {.cwd = "/nonexistent"};
    size_t fds = count_fds();

    write_text(plain, "#!/bin/sh\n");
    write_text(garbage, "\177garbage");
    assert_int_equal(chmod(garbage, 0700), 0);
    assert_int_equal(mkdir(folder, 0700), 0);
    assert_int_equal(try_start(&r, "missing", &e), 127);
    assert_non_null(strstr(e.msg, "cannot execute missing"));
    assert_int_equal(try_start(&r, "/nonexistent/x", &e), 127);
    assert_int_equal(try_start(&r, "plain", &e), 126);
    assert_int_equal(try_start(&r, plain, &e), 126);
    assert_int_equal(try_start(&r, "folder", &e), 126);
    assert_int_equal(try_start(&r, garbage, &e), 126);
    assert_int_equal(try_start(&s, "/bin/true", &e), 125);
    assert_string_equal(e.msg, "cannot enter folder /nonexistent: No such file or directory");
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    assert_int_equal(count_fds(), fds);
}

/* A folder named as the program does not hide the program further down the path. */
static void test_path_skips_folders(void **state)
{
    auto_free char *path = mem_printf("relative:%s:/usr/bin:/bin", (char *)*state);
    auto_free char *folder = mem_printf("%s/sh", (char *)*state);
    struct spawn_request r = {.path = path};

    assert_int_equal(mkdir(folder, 0700), 0);
    assert_int_equal(exit_status_code(run(&r, "exit 3")), 3);
}

static void test_find(void **state)
{
    auto_free char *sh = spawn_find("sh");
    auto_free char *none = spawn_find("no-such-program");

    (void)state;
    assert_non_null(sh);
    assert_int_equal(sh[0], '/');
    assert_null(none);
}

static void test_kill_group(void **state)
{
    char *const argv[] = {"sh", "-c", "sleep 100 & echo $!; wait", NULL};
    struct spawn_request r = {.argv = argv};
    auto_err struct err e = ERR_INIT;
    struct exit_status status;
    struct child c;
    struct pollfd hung;
    char number[32];
    int p[2];

    (void)state;
    assert_int_equal(pipe2(p, O_CLOEXEC), 0);
    spawn_pass_fd(&r, p[1], 1);
    ASSERT_OK(e, spawn_start(&r, &c, &e));
    close(p[1]);
    assert_true(read(p[0], number, sizeof(number)) > 0);
    assert_int_equal(spawn_wait(&c, clock_ms(), &status, &e), 1);
    spawn_signal(&c, SIGTERM);
    ASSERT_OK(e, spawn_wait(&c, clock_ms() + TEST_DEADLINE_MS, &status, &e));
    assert_true(status.signaled);
    assert_int_equal(status.code, SIGTERM);
    hung = (struct pollfd){.fd = p[0]}; /* the grandchild held the pipe, too */
    assert_int_equal(poll(&hung, 1, TEST_DEADLINE_MS), 1);
    close(p[0]);
}

/* A leader that obeys SIGTERM does not save a member of its group that ignores it. */
static void test_kill_stubborn(void **state)
{
    char *const argv[] = {"sh", "-c", "(trap '' TERM; echo; exec sleep 100) & exec sleep 100",
                          NULL};
    struct spawn_request r = {.argv = argv};
    auto_err struct err e = ERR_INIT;
    struct pollfd hung;
    struct child c;
    char byte;
    int p[2];

    (void)state;
    assert_int_equal(pipe2(p, O_CLOEXEC), 0);
    spawn_pass_fd(&r, p[1], 1);
    ASSERT_OK(e, spawn_start(&r, &c, &e));
    close(p[1]);
    assert_int_equal(read(p[0], &byte, 1), 1);
    spawn_kill(&c, TEST_DEADLINE_MS);
    assert_int_equal(c.pid, 0);
    hung = (struct pollfd){.fd = p[0]};
    assert_int_equal(poll(&hung, 1, TEST_DEADLINE_MS), 1);
    close(p[0]);
    spawn_kill(&c, 0); /* nothing left to do */
}

static int start_and_wait(void *arg)
{
    char *const argv[] = {"sleep", "100", NULL};
    struct spawn_request r = {.argv = argv, .death_signal = SIGKILL};
    struct child c;
    char byte;

    spawn_pass_fd(&r, *(int *)arg, 1);
    if (spawn_start(&r, &c, NULL) < 0 || write(*(int *)arg, "", 1) != 1)
        return 1;
    return (int)read(c.pidfd, &byte, 1) + 2; /* for ever */
}

static void test_death_signal(void **state)
{
    auto_err struct err e = ERR_INIT;
    struct child c;
    struct pollfd hung;
    int p[2], keep[1];
    char byte;

    (void)state;
    assert_int_equal(pipe2(p, O_CLOEXEC), 0);
    keep[0] = p[1];
    ASSERT_OK(e, spawn_fork(start_and_wait, &p[1], keep, 1, &c, &e));
    close(p[1]);
    assert_int_equal(read(p[0], &byte, 1), 1);
    kill(c.pid, SIGKILL); /* it alone, not its group */
    hung = (struct pollfd){.fd = p[0]};
    assert_int_equal(poll(&hung, 1, TEST_DEADLINE_MS), 1);
    ASSERT_OK(e, spawn_reap(&c, NULL, &e));
    close(p[0]);
}

static int list_fds(void *arg)
{
    bool right = true;

    for (int fd = 3; fd < 300; fd++)
        right = right && (fcntl(fd, F_GETFD) >= 0) == (fd == 7 || fd == 100 || fd == *(int *)arg);
    return right && getsid(0) == getpid() ? 11 : 12;
}

/* Waits until spawn_went_on would have something to say, without taking it. */
static void wait_state(pid_t pid, int what)
{
    siginfo_t info;

    assert_int_equal(waitid(P_PID, (id_t)pid, &info, what | WNOWAIT), 0);
}

static void test_went_on(void **state)
{
    char *const argv[] = {"sleep", "1000", NULL};
    struct spawn_request r = {.argv = argv};
    auto_err struct err e = ERR_INIT;
    struct child c;

    (void)state;
    ASSERT_OK(e, spawn_start(&r, &c, &e));
    assert_false(spawn_went_on(c.pid));
    kill(c.pid, SIGSTOP);
    wait_state(c.pid, WSTOPPED);
    assert_false(spawn_went_on(c.pid));
    kill(c.pid, SIGCONT);
    wait_state(c.pid, WCONTINUED);
    assert_true(spawn_went_on(c.pid));
    assert_false(spawn_went_on(c.pid)); /* told once */
    spawn_kill(&c, 0);
    assert_false(spawn_went_on(0));
}

static void test_fork(void **state)
{
    auto_err struct err e = ERR_INIT;
    struct exit_status status;
    struct child c;
    int null = open("/dev/null", O_RDONLY), high = dup2(null, 210);
    int keep[] = {dup2(null, 100), high, -1, dup2(null, 7), dup2(null, 7)};
    int leaks[] = {dup2(null, 8), dup2(null, 99), dup2(null, 101), dup2(null, 250)};

    (void)state;
    ASSERT_OK(e, spawn_fork(list_fds, &high, keep, ARRAY_LEN(keep), &c, &e));
    ASSERT_OK(e, spawn_wait(&c, clock_ms() + TEST_DEADLINE_MS, &status, &e));
    assert_int_equal(exit_status_code(status), 11);
    close(keep[0]);
    close(keep[1]);
    close(keep[3]);
    close(null);
    for (size_t i = 0; i < ARRAY_LEN(leaks); i++)
        close(leaks[i]);
}

static void test_capture(void **state)
{
    char *const argv[] = {"sh", "-c", "head -c 100000 /dev/zero | tr '\\0' x; echo err >&2; exit 3",
                          NULL};
    auto_err struct err e = ERR_INIT;
    auto_buf struct buf out = BUF_INIT, errout = BUF_INIT;
    struct exit_status status;
    size_t fds = count_fds();

    (void)state;
    ASSERT_OK(e, spawn_capture(argv, 20001, TEST_DEADLINE_MS, &out, &errout, &status, &e));
    assert_int_equal(exit_status_code(status), 3);
    assert_int_equal(out.len, 20001); /* the first ones, without a hole */
    assert_int_equal(strspn(out.data, "x"), 20001);
    assert_string_equal(errout.data, "err\n");
    ASSERT_OK(e, spawn_capture(argv, 10, TEST_DEADLINE_MS, NULL, NULL, &status, &e));
    assert_int_equal(count_fds(), fds);
}

static void test_capture_failures(void **state)
{
    char *const slow[] = {"sleep", "100", NULL}, *const missing[] = {"no-such-program", NULL};
    char *const closed[] = {"sh", "-c", "exec >&- 2>&-; exec sleep 100", NULL};
    auto_err struct err e = ERR_INIT;
    auto_buf struct buf out = BUF_INIT;
    struct exit_status status;
    size_t fds = count_fds();

    (void)state;
    assert_int_equal(spawn_capture(slow, 10, 50, &out, NULL, &status, &e), -1);
    assert_string_equal(e.msg, "sleep did not end within 0 s");
    assert_int_equal(spawn_capture(closed, 10, 50, &out, NULL, &status, &e), -1);
    assert_int_equal(spawn_capture(missing, 10, 50, &out, NULL, &status, &e), -1);
    assert_int_equal(err_exit_code(&e), 127);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(count_fds(), fds);
}

static int set_up(void **state)
{
    *state = scratch_make();
    return 0;
}

static int tear_down(void **state)
{
    scratch_remove(*state);
    return 0;
}

#define WITH_SCRATCH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exit),
        cmocka_unit_test(test_exact_fds),
        cmocka_unit_test(test_swapped_fds),
        cmocka_unit_test(test_signals_reset),
        cmocka_unit_test(test_env_and_cwd),
        WITH_SCRATCH(test_not_started),
        WITH_SCRATCH(test_path_skips_folders),
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_kill_group),
        cmocka_unit_test(test_kill_stubborn),
        cmocka_unit_test(test_went_on),
        cmocka_unit_test(test_death_signal),
        cmocka_unit_test(test_fork),
        cmocka_unit_test(test_capture),
        cmocka_unit_test(test_capture_failures),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
