/* proc/task: children in the foreground, their output, interruption, locks. */
#include "helpers.h"

#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>

#include "proc/task.h"

struct fixture {
    struct task_env env;
    char *dir;
    struct strv lines;
    const char *interrupt_at; /* a line that stands for Ctrl-C */
};

static void on_line(void *arg, const char *line)
{
    struct fixture *f = arg;

    strv_push(&f->lines, line);
    if (f->interrupt_at && strcmp(line, f->interrupt_at) == 0) {
        f->env.interrupted = SIGINT;
        loop_quit(f->env.loop);
    }
}

static int run_script(struct fixture *f, const char *script, int log_fd, struct exit_status *status,
                      struct err *e)
{
    char *const argv[] = {"sh", "-c", (char *)script, NULL};
    struct spawn_request r = {.argv = argv, .cwd = f->dir};
    struct task_output out = {.log_fd = log_fd, .line = on_line, .arg = f};

    return task_run(&f->env, &r, &out, status, e);
}

static void test_output(void **state)
{
    struct fixture *f = *state;
    auto_err struct err e = ERR_INIT;
    auto_free char *path = mem_printf("%s/log", f->dir);
    auto_free char *text = NULL;
    auto_close int log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    struct exit_status status;
    size_t fds = count_fds();

    ASSERT_OK(e, run_script(f, "printf 'one\\n10%%\\r20%%\\r'; echo two >&2; printf end; exit 5",
                            log, &status, &e));
    assert_int_equal(exit_status_code(status), 5);
    assert_int_equal(f->lines.n, 5);
    assert_string_equal(f->lines.v[0], "one");
    assert_string_equal(f->lines.v[1], "10%");
    assert_string_equal(f->lines.v[3], "two");
    assert_string_equal(f->lines.v[4], "end");
    text = read_text(path);
    assert_string_equal(text, "one\n10%\r20%\rtwo\nend");
    assert_int_equal(count_fds(), fds);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* the guard is gone, too */
}

/* A line without an end is cut, not collected. */
static void test_long_line(void **state)
{
    struct fixture *f = *state;
    auto_err struct err e = ERR_INIT;
    struct exit_status status;

    ASSERT_OK(e, run_script(f, "head -c 1000000 /dev/zero | tr '\\0' x; echo; echo next", -1,
                            &status, &e));
    assert_int_equal(f->lines.n, 2);
    assert_int_equal(strlen(f->lines.v[0]), 4096);
    assert_string_equal(f->lines.v[1], "next");
}

static void test_not_started(void **state)
{
    struct fixture *f = *state;
    char *const argv[] = {"/nonexistent", NULL};
    struct spawn_request r = {.argv = argv};
    struct task_output out = {.log_fd = -1};
    auto_err struct err e = ERR_INIT;
    struct exit_status status;
    size_t fds = count_fds();

    assert_int_equal(task_run(&f->env, &r, &out, &status, &e), -1);
    assert_int_equal(err_exit_code(&e), 127);
    assert_int_equal(count_fds(), fds);
}

/* The group gets SIGTERM; what it says then is still heard, however much it is. */
static void test_interrupted(void **state)
{
    struct fixture *f = *state;
    auto_err struct err e = ERR_INIT;
    struct exit_status status;
    size_t fds = count_fds();

    f->interrupt_at = "ready";
    assert_int_equal(run_script(f,
                                "trap 'head -c 300000 /dev/zero; echo; echo cleaned; exit 0' TERM;"
                                "sleep 100 & echo ready; wait",
                                -1, &status, &e),
                     -1);
    assert_string_equal(e.msg, "interrupted");
    assert_int_equal(err_exit_code(&e), 128 + SIGINT);
    assert_string_equal(f->lines.v[f->lines.n - 1], "cleaned");
    assert_int_equal(count_fds(), fds);
    assert_int_equal(run_script(f, "exit 0", -1, &status, &e), -1); /* and nothing more starts */
    assert_string_equal(e.msg, "interrupted");
}

/* A member of the group that ignores SIGTERM does not outlive the interrupted task. */
static void test_interrupted_group(void **state)
{
    struct fixture *f = *state;
    auto_err struct err e = ERR_INIT;
    auto_free char *path = mem_printf("%s/fifo", f->dir);
    struct exit_status status;
    struct pollfd hung = {0};
    auto_close int fifo = -1;

    assert_int_equal(mkfifo(path, 0600), 0);
    fifo = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    f->interrupt_at = "ready";
    assert_int_equal(run_script(f, "(trap '' TERM; exec 3>fifo; echo ready; exec sleep 100) & wait",
                                -1, &status, &e),
                     -1);
    hung.fd = fifo;
    assert_int_equal(poll(&hung, 1, TEST_DEADLINE_MS), 1);
    assert_true(hung.revents & POLLHUP);
}

/* ---- a killed agentvm ---- */

struct doomed {
    struct fixture *f;
    int fifo;
};

static int run_doomed(void *arg)
{
    struct doomed *d = arg;
    struct exit_status status;

    return run_script(d->f, "echo started >fifo; exec >fifo; sleep 100 & sleep 100", -1, &status,
                      NULL);
}

/* The killed process must have come as far as starting its task's guard. */
static void wait_for_guard(pid_t pid)
{
    auto_free char *path = mem_printf("/proc/%d/task/%d/children", pid, pid);
    int64_t deadline = clock_ms() + TEST_DEADLINE_MS;
    auto_strv struct strv children = STRV_INIT;

    while (children.n < 2) {
        auto_buf struct buf text = BUF_INIT;

        assert_true(clock_ms() < deadline);
        poll(NULL, 0, 1);
        strv_free(&children);
        assert_int_equal(file_read_at(AT_FDCWD, path, 4096, &text, NULL), 0);
        strv_split(&children, text.data);
    }
}

static void test_guard(void **state)
{
    struct fixture *f = *state;
    auto_err struct err e = ERR_INIT;
    auto_free char *path = mem_printf("%s/fifo", f->dir);
    struct doomed d = {.f = f};
    struct pollfd p;
    struct child c;
    char word[8];

    assert_int_equal(mkfifo(path, 0600), 0);
    p = (struct pollfd){.fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC), .events = POLLIN};
    ASSERT_OK(e, spawn_fork(run_doomed, &d, NULL, 0, &c, &e));
    assert_int_equal(poll(&p, 1, TEST_DEADLINE_MS), 1);
    assert_int_equal(read(p.fd, word, sizeof(word)), 8);
    wait_for_guard(c.pid);
    p.events = 0; /* until all of the task's processes have closed it */
    kill(c.pid, SIGKILL);
    assert_int_equal(poll(&p, 1, TEST_DEADLINE_MS), 1);
    assert_true(p.revents & POLLHUP);
    ASSERT_OK(e, spawn_reap(&c, NULL, &e));
    close(p.fd);
}

/* ---- locks ---- */

static int open_lock(const struct fixture *f)
{
    auto_free char *path = mem_printf("%s/lock", f->dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    return fd;
}

struct holder {
    int lock, ready, release;
};

static int hold_lock(void *arg)
{
    struct holder *h = arg;
    char byte;

    if (flock(h->lock, LOCK_EX) < 0 || write(h->ready, "", 1) != 1)
        return 1;
    return (int)read(h->release, &byte, 1);
}

/* Another process that holds the lock until a byte comes through *release. */
static struct child start_holder(const struct fixture *f, int *release)
{
    auto_err struct err e = ERR_INIT;
    struct child c;
    int ready[2], go[2], lock = open_lock(f), keep[3];
    struct holder h;
    char byte;

    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    assert_int_equal(pipe2(go, O_CLOEXEC), 0);
    h = (struct holder){lock, ready[1], go[0]};
    memcpy(keep, &h, sizeof(keep));
    ASSERT_OK(e, spawn_fork(hold_lock, &h, keep, 3, &c, &e));
    close(lock);
    close(ready[1]);
    close(go[0]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    *release = go[1];
    return c;
}

static void release_holder(void *arg)
{
    assert_int_equal(write(*(int *)arg, "", 1), 1);
}

/* The lock was taken by a forked child that has ended; it is ours nevertheless. */
static void test_lock_handover(void **state)
{
    struct fixture *f = *state;
    auto_err struct err e = ERR_INIT;
    int release;
    struct child holder = start_holder(f, &release);
    auto_close int mine = open_lock(f), other = open_lock(f);

    assert_int_equal(task_try_lock(mine), -1);
    loop_timer(f->env.loop, 20, release_holder, &release);
    ASSERT_OK(e, task_lock(&f->env, mine, &e));
    assert_int_equal(task_try_lock(other), -1);
    close_fd(&mine);
    assert_int_equal(task_try_lock(other), 0);
    ASSERT_OK(e, spawn_reap(&holder, NULL, &e));
    close(release);
}

static void interrupt(void *arg)
{
    struct fixture *f = arg;

    f->env.interrupted = SIGTERM;
    loop_quit(f->env.loop);
}

static void test_lock_interrupted(void **state)
{
    struct fixture *f = *state;
    auto_err struct err e = ERR_INIT;
    int release;
    struct child holder = start_holder(f, &release);
    auto_close int mine = open_lock(f);

    loop_timer(f->env.loop, 20, interrupt, f);
    assert_int_equal(task_lock(&f->env, mine, &e), -1);
    assert_int_equal(err_exit_code(&e), 128 + SIGTERM);
    close(release);
    ASSERT_OK(e, spawn_reap(&holder, NULL, &e));
}

static int set_up(void **state)
{
    struct fixture *f = mem_zalloc(1, sizeof(*f));

    f->env.loop = loop_new();
    f->dir = scratch_make();
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    loop_free(f->env.loop);
    strv_free(&f->lines);
    scratch_remove(f->dir);
    free(f);
    return 0;
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(test_output),
        WITH_FIXTURE(test_long_line),
        WITH_FIXTURE(test_not_started),
        WITH_FIXTURE(test_interrupted),
        WITH_FIXTURE(test_interrupted_group),
        WITH_FIXTURE(test_guard),
        WITH_FIXTURE(test_lock_handover),
        WITH_FIXTURE(test_lock_interrupted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
