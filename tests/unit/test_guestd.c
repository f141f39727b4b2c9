/* guestd itself, started on a socket, driven by the client's side of the protocol. */
#include "guestd_fixture.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <termios.h>

enum { EXECS = 200, BIG = 50 << 20 };

static void test_exit(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(exec_script(f, "exit 0", -1, false), 0);
    assert_int_equal(exec_script(f, "exit 255", -1, false), 255);
    assert_int_equal(exec_script(f, "kill -SEGV $$", -1, false), 128 + SIGSEGV);
    assert_int_equal(exec_script(f, "kill -KILL $$", -1, false), 128 + SIGKILL);
}

static int exec_fails(struct fixture *f, char *program, const char *cwd, const char *user,
                      const char *message)
{
    char *const argv[] = {program, NULL};
    struct guest_program p = {.argv = argv, .cwd = cwd, .user = user};
    struct guest_stdio io = {-1, 2, 2, false};
    auto_err struct err e = ERR_INIT;
    struct exit_status status;

    assert_int_equal(guest_exec(f->guest, &p, &io, &status, &e), -1);
    assert_non_null(strstr(e.msg, message));
    return err_exit_code(&e);
}

static void test_not_started(void **state)
{
    struct fixture *f = *state;
    auto_free char *plain = mem_printf("%s/plain", f->dir);

    write_text(plain, "");
    assert_int_equal(exec_fails(f, "no-such-program", "/", NULL, "cannot execute"), 127);
    assert_int_equal(exec_fails(f, "./missing", f->dir, NULL, "cannot execute ./missing"), 127);
    assert_int_equal(exec_fails(f, plain, "/", NULL, "Permission denied"), 126);
    assert_int_equal(exec_fails(f, "/bin/true", "/no/such", NULL, "cannot enter folder"), 125);
    assert_int_equal(exec_fails(f, "/bin/true", "/", "nobody-here", "no user nobody-here"), 125);
    assert_int_equal(exec_script(f, "exit 3", -1, false), 3); /* all is well after that */
}

static void test_streams(void **state)
{
    struct fixture *f = *state;
    auto_close int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);

    assert_int_equal(exec_script(f, "cat; echo out; echo err >&2", -1, false), 0);
    assert_string_equal(f->output.data, "out\n");
    assert_string_equal(f->errors.data, "err\n");
    assert_int_equal(exec_script(f, "pwd; echo $GREETING; echo $USER", -1, false), 0);
    assert_non_null(strstr(f->output.data, "\nhello world\nroot\n"));
    assert_true(str_starts(f->output.data, f->dir));
    /* input without end, to one that takes some and one that closes it */
    assert_int_equal(exec_script(f, "head -c 3 | wc -c", zero, false), 0);
    assert_string_equal(f->output.data, "3\n");
    assert_int_equal(exec_script(f, "exec <&-; echo closed", zero, false), 0);
    assert_string_equal(f->output.data, "closed\n");
}

/* The file has the last word. */
static void test_env_file(void **state)
{
    struct fixture *f = *state;
    auto_free char *path = mem_printf("%s/env", f->dir);
    char *const env[] = {"B=mine", NULL};
    char *const argv[] = {"sh", "-c", "echo $A; echo $B", NULL};
    struct guest_program p = {.argv = argv, .env = env, .env_file = path, .cwd = "/"};
    struct guest_stdio io = {.in = -1};
    auto_err struct err e = ERR_INIT;
    struct exit_status status;

    assert_int_equal(file_write_at(AT_FDCWD, path, "A=1 2\0B=3\0junk\0=x", 17, 0600, NULL), 0);
    open_output(f);
    io.out = f->out[1];
    io.err = f->err[1];
    ASSERT_OK(e, guest_exec(f->guest, &p, &io, &status, &e));
    close_output(f);
    assert_string_equal(f->output.data, "1 2\n3\n");
}

static void test_big(void **state)
{
    struct fixture *f = *state;
    auto_free char *in_path = mem_printf("%s/in", f->dir);
    auto_free char *out_path = mem_printf("%s/out", f->dir);
    char *const argv[] = {"cat", NULL};
    struct guest_program p = {.argv = argv, .cwd = "/"};
    auto_close int in = open(in_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    auto_close int out = open(out_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct guest_stdio io = {in, out, 2, false};
    auto_buf struct buf sent = BUF_INIT, got = BUF_INIT;
    auto_err struct err e = ERR_INIT;
    struct exit_status status;

    buf_reserve(&sent, BIG);
    sent.len = BIG;
    for (uint32_t i = 0, x = 1; i < BIG / 4; i++, x = x * 1664525 + 1013904223)
        put_u32(sent.data + 4 * i, x);
    ASSERT_OK(e, file_write_all(in, sent.data, BIG, &e));
    lseek(in, 0, SEEK_SET);
    ASSERT_OK(e, guest_exec(f->guest, &p, &io, &status, &e));
    assert_int_equal(exit_status_code(status), 0);
    lseek(out, 0, SEEK_SET);
    ASSERT_OK(e, file_read_fd(out, BIG, &got, &e));
    assert_int_equal(got.len, BIG);
    assert_true(memcmp(got.data, sent.data, BIG) == 0);
}

/* Our reader is gone: the program gets SIGPIPE, as it would here. */
static void test_reader_gone(void **state)
{
    struct fixture *f = *state;
    char *const argv[] = {"yes", NULL};
    struct guest_program p = {.argv = argv, .cwd = "/"};
    struct guest_stdio io = {-1, -1, 2, false};
    auto_err struct err e = ERR_INIT;
    struct exit_status status;
    int pipe_fds[2];

    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
    close(pipe_fds[0]);
    io.out = pipe_fds[1];
    ASSERT_OK(e, guest_exec(f->guest, &p, &io, &status, &e));
    assert_int_equal(exit_status_code(status), 128 + SIGPIPE);
    close(pipe_fds[1]);
}

/* ---- terminals ---- */

/* A terminal of ours, raw, of 30 lines of 100 characters; the test types at f->pty. */
static int open_tty(struct fixture *f)
{
    struct winsize size = {.ws_row = 30, .ws_col = 100};
    struct termios raw;
    char name[64];
    int slave;

    f->pty = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_int_equal(unlockpt(f->pty), 0);
    assert_int_equal(ptsname_r(f->pty, name, sizeof(name)), 0);
    slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(slave >= 0);
    tcgetattr(slave, &raw);
    cfmakeraw(&raw);
    tcsetattr(slave, TCSANOW, &raw);
    ioctl(slave, TIOCSWINSZ, &size);
    return slave;
}

static void resize_and_type(struct fixture *f)
{
    guest_resize(f->guest, 41, 132);
    assert_int_equal(write(f->pty, "typed\n", 6), 6);
}

static void test_tty(void **state)
{
    struct fixture *f = *state;
    auto_close int slave = open_tty(f);

    f->cue = "30 100";
    f->on_cue = resize_and_type;
    assert_int_equal(
        exec_script(f, "tty -s && stty size; read line; stty size; echo $line >&2", slave, true),
        0);
    assert_non_null(strstr(f->output.data, "30 100\r\n"));
    assert_non_null(strstr(f->output.data, "41 132\r\ntyped\r\n"));
    assert_string_equal(f->errors.data, "");
}

static void send_interrupt(struct fixture *f)
{
    guest_signal(f->guest, SIGINT);
}

static void type_interrupt(struct fixture *f)
{
    assert_int_equal(write(f->pty, "\003", 1), 1);
}

static void test_interrupt(void **state)
{
    static const char script[] = "trap 'kill $!; exit 7' INT; echo ready; sleep 100 & wait; exit 8";
    struct fixture *f = *state;
    auto_free char *job = NULL;
    auto_close int slave = open_tty(f);

    f->on_cue = send_interrupt;
    f->cue = "ready";
    assert_int_equal(exec_script(f, script, -1, false), 7);
    f->cue = "ready";
    assert_int_equal(exec_script(f, script, slave, true), 7);
    f->on_cue = type_interrupt;
    f->cue = "ready";
    assert_int_equal(exec_script(f, script, slave, true), 7);
    f->cue = "ready"; /* the foreground group only: the outer shell is not in it */
    job = mem_printf("set -m; (%s); exit $(($? + 1))", script);
    f->on_cue = send_interrupt;
    assert_int_equal(exec_script(f, job, slave, true), 8);
}

/* Waits until a process has ended. */
static void wait_ended(pid_t pid)
{
    struct child c = {pid, -1};
    struct pollfd p;

    c.pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (c.pidfd < 0)
        return;
    p = (struct pollfd){.fd = c.pidfd, .events = POLLIN};
    assert_int_equal(poll(&p, 1, TEST_DEADLINE_MS), 1);
    close(c.pidfd);
}

static void wait_gone(pid_t pid)
{
    kill(pid, SIGKILL);
    wait_ended(pid);
}

static void type_stop(struct fixture *f)
{
    assert_int_equal(write(f->pty, "\032", 1), 1);
}

/* There is no shell that would continue a program which stops. */
static void test_stop(void **state)
{
    struct fixture *f = *state;
    auto_close int slave = open_tty(f);

    assert_int_equal(exec_script(f, "kill -STOP $$; exit 5", slave, true), 5);
    assert_int_equal(exec_script(f, "trap 'exit 6' CONT; kill -TSTP $$; exit 5", slave, true), 6);
    f->on_cue = type_stop;
    f->cue = "ready";
    assert_int_equal(
        exec_script(f, "trap 'kill $!; exit 7' CONT; echo ready; sleep 100 & wait; exit 5", slave,
                    true),
        7);
    /* One that wants a terminal which a group had that is gone. */
    assert_int_equal(
        exec_script(f, "bash -ic 'kill -KILL $$' 2>&-; stty -echo && exit 8", slave, true), 8);
    assert_int_equal(exec_script(f, "kill -KILL $$", slave, true), 128 + SIGKILL);
    assert_int_equal(exec_script(f, "kill -QUIT $$", slave, true), 128 + SIGQUIT);
}

static void give_up(struct fixture *f)
{
    guest_abort(f->guest, "given up");
}

/* What a terminal's program ignores does not save it, nor those with it. */
static void test_tty_reset(void **state)
{
    struct fixture *f = *state;
    char *const argv[] = {"sh", "-c", "trap '' HUP; sleep 100 & echo $$ $! ready; wait", NULL};
    auto_close int slave = open_tty(f);
    auto_err struct err e = ERR_INIT;
    struct exit_status status;
    char *end;
    pid_t pids[2];

    f->on_cue = give_up;
    f->cue = "ready";
    assert_int_equal(exec_argv(f, argv, slave, true, &status, &e), -1);
    pids[0] = (pid_t)strtol(f->output.data, &end, 10);
    pids[1] = (pid_t)strtol(end, NULL, 10);
    for (int i = 0; i < 2; i++) {
        assert_true(pids[i] > 1);
        wait_ended(pids[i]);
    }
}

static void end_input(struct fixture *f)
{
    close_fd(&f->pty);
}

/* Our terminal is gone, or nobody reads it: so is the guest's. */
static void test_tty_gone(void **state)
{
    struct fixture *f = *state;
    auto_close int slave = open_tty(f);
    char *const argv[] = {"yes", NULL};
    struct guest_program p = {.argv = argv, .cwd = "/"};
    struct guest_stdio io = {slave, -1, -1, true};
    auto_err struct err e = ERR_INIT;
    struct exit_status status;
    int out[2];

    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    close(out[0]);
    io.out = out[1];
    ASSERT_OK(e, guest_exec(f->guest, &p, &io, &status, &e));
    assert_int_equal(exit_status_code(status), 128 + SIGHUP);
    close(out[1]);
    f->on_cue = end_input;
    f->cue = "ready";
    assert_int_equal(exec_script(f, "echo ready; exec sleep 100", slave, true), 128 + SIGHUP);
}

/* ---- what programs leave behind ---- */

static void test_background(void **state)
{
    struct fixture *f = *state;
    int in[2];

    assert_int_equal(exec_script(f, "sleep 100 & echo $!", -1, false), 0);
    wait_gone((pid_t)strtol(f->output.data, NULL, 10));
    /* one that writes faster than we read */
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    f->pty = in[1];
    f->on_cue = end_input;
    f->cue = "y\ny\n";
    assert_int_equal(exec_script(f, "yes & echo pid $! >&2; cat; exit 4", in[0], false), 4);
    close(in[0]);
    wait_gone((pid_t)strtol(f->errors.data + 4, NULL, 10));
}

static size_t count_children(pid_t pid)
{
    auto_free char *path = mem_printf("/proc/%d/task/%d/children", pid, pid);
    auto_buf struct buf text = BUF_INIT;
    auto_strv struct strv pids = STRV_INIT;

    if (file_read_at(AT_FDCWD, path, 65536, &text, NULL) != 0)
        return 0; /* a kernel without CONFIG_PROC_CHILDREN */
    strv_split(&pids, text.data);
    return pids.n;
}

static void test_no_leaks(void **state)
{
    struct fixture *f = *state;
    auto_free char *fds = mem_printf("/proc/%d/fd", f->guestd.pid);
    auto_close int slave = open_tty(f);
    size_t ours, theirs;

    assert_int_equal(exec_script(f, "exit 1", -1, false), 1);
    sync_guestd(f);
    ours = count_fds();
    theirs = count_entries(fds);
    for (int i = 0; i < EXECS; i++) {
        assert_int_equal(exec_script(f, "echo x; exit 5", i % 2 ? slave : -1, i % 2), 5);
        assert_int_equal(f->output.data[0], 'x');
        exec_fails(f, "/nonexistent", "/", NULL, "cannot execute");
    }
    sync_guestd(f);
    assert_int_equal(count_fds(), ours);
    assert_int_equal(count_entries(fds), theirs);
    assert_int_equal(count_children(f->guestd.pid), 0);
}

/* ---- files ---- */

static void test_put(void **state)
{
    struct fixture *f = *state;
    auto_free char *path = mem_printf("%s/new/folder/file", f->dir);
    auto_free char *folder = mem_printf("%s/new/folder", f->dir);
    auto_free char *big = mem_zalloc(3 << 20, 1);
    auto_buf struct buf got = BUF_INIT;
    auto_err struct err e = ERR_INIT;
    struct stat st;

    memset(big, 'b', 3 << 20);
    ASSERT_OK(e, guest_put(f->guest, path, 0755, NULL, "one", 3, &e));
    ASSERT_OK(e, guest_put(f->guest, path, 0640, "root", "", 0, &e));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(st.st_size, 0);
    ASSERT_OK(e, guest_put(f->guest, path, 0600, NULL, big, 3 << 20, &e));
    ASSERT_OK(e, file_read_at(AT_FDCWD, path, 3 << 20, &got, &e));
    assert_int_equal(got.len, 3 << 20);
    assert_memory_equal(got.data, big, got.len);
    assert_int_equal(guest_put(f->guest, folder, 0600, NULL, "x", 1, &e), -1);
    assert_non_null(strstr(e.msg, "cannot write"));
    assert_int_equal(guest_put(f->guest, "", 0600, NULL, "x", 1, &e), -1);
    assert_int_equal(guest_put(f->guest, "relative", 0600, NULL, "x", 1, &e), -1);
    assert_non_null(strstr(e.msg, "relative is not an absolute path"));
    assert_int_equal(count_entries(folder), 1); /* nothing temporary stays */
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(test_exit),     WITH_FIXTURE(test_not_started),
        WITH_FIXTURE(test_streams),  WITH_FIXTURE(test_env_file),
        WITH_FIXTURE(test_big),      WITH_FIXTURE(test_reader_gone),
        WITH_FIXTURE(test_stop),     WITH_FIXTURE(test_tty_reset),
        WITH_FIXTURE(test_tty),      WITH_FIXTURE(test_interrupt),
        WITH_FIXTURE(test_tty_gone), WITH_FIXTURE(test_background),
        WITH_FIXTURE(test_no_leaks), WITH_FIXTURE(test_put),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
