/* proc/loop, proc/sock and proc/tty. */
#include "helpers.h"

#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "proc/loop.h"
#include "proc/sock.h"
#include "proc/spawn.h"
#include "proc/tty.h"

struct fixture {
    struct loop *loop;
    char *dir;
    int a[2], b[2]; /* pipes, both readable at once */
    struct loop_watch *watch_a, *watch_b;
    struct loop_timer *timer;
    struct buf log;
};

static int set_up(void **state)
{
    struct fixture *f = mem_zalloc(1, sizeof(*f));

    f->loop = loop_new();
    f->dir = scratch_make();
    assert_int_equal(pipe2(f->a, O_CLOEXEC), 0);
    assert_int_equal(pipe2(f->b, O_CLOEXEC), 0);
    buf_puts(&f->log, "");
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    loop_free(f->loop);
    for (int i = 0; i < 2; i++) {
        close_fd(&f->a[i]);
        close_fd(&f->b[i]);
    }
    buf_free(&f->log);
    scratch_remove(f->dir);
    free(f);
    return 0;
}

static void note_a(void *arg, short events)
{
    (void)events;
    buf_puts(&((struct fixture *)arg)->log, "a");
}

static void note_b(void *arg, short events)
{
    (void)events;
    buf_puts(&((struct fixture *)arg)->log, "b");
}

/* Whichever is dispatched first ends both: the other was ready, but is not called any more. */
static void end_both(void *arg, short events)
{
    struct fixture *f = arg;

    (void)events;
    buf_puts(&f->log, "x");
    loop_unwatch(f->watch_a);
    loop_unwatch(f->watch_b);
    loop_watch(f->loop, f->a[0], POLLIN, note_a, f);
}

static void make_readable(struct fixture *f)
{
    assert_int_equal(write(f->a[1], "", 1), 1);
    assert_int_equal(write(f->b[1], "", 1), 1);
}

static void test_watch(void **state)
{
    struct fixture *f = *state;

    f->watch_a = loop_watch(f->loop, f->a[0], POLLIN, note_a, f);
    f->watch_b = loop_watch(f->loop, f->b[0], POLLIN, note_b, f);
    loop_step(f->loop, 0);
    assert_string_equal(f->log.data, "");
    make_readable(f);
    loop_watch_events(f->watch_a, 0);
    loop_step(f->loop, 1000);
    assert_string_equal(f->log.data, "b");
    close_fd(&f->a[1]); /* not even its hang-up is told while it is paused */
    loop_unwatch(f->watch_b);
    loop_step(f->loop, 0);
    assert_string_equal(f->log.data, "b");
    loop_watch_events(f->watch_a, POLLIN);
    loop_step(f->loop, 1000);
    assert_string_equal(f->log.data, "ba");
    loop_unwatch(NULL);
}

static void test_unwatch_within(void **state)
{
    struct fixture *f = *state;

    f->watch_a = loop_watch(f->loop, f->a[0], POLLIN, end_both, f);
    f->watch_b = loop_watch(f->loop, f->b[0], POLLIN, end_both, f);
    make_readable(f);
    loop_step(f->loop, 1000);
    assert_string_equal(f->log.data, "x");
    loop_step(f->loop, 1000);
    assert_string_equal(f->log.data, "xa");
}

static void test_many(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 100; i++)
        loop_watch(f->loop, f->a[0], POLLIN, note_a, f);
    make_readable(f);
    loop_step(f->loop, 1000);
    assert_int_equal(f->log.len, 100);
}

static void on_late(void *arg)
{
    buf_puts(&((struct fixture *)arg)->log, "late");
}

static void on_timer(void *arg)
{
    struct fixture *f = arg;

    buf_puts(&f->log, "t");
    loop_untimer(f->timer); /* due as well */
    loop_timer(f->loop, 0, on_late, f);
    loop_quit(f->loop);
}

static void test_timers(void **state)
{
    struct fixture *f = *state;

    loop_timer(f->loop, 3600 * 1000, on_late, f);
    /* Both are due at the first look, whatever the clock does between these lines. */
    f->timer = loop_timer(f->loop, 0, on_late, f);
    loop_timer(f->loop, 0, on_timer, f); /* newer ones are looked at first */
    loop_run(f->loop);
    assert_string_equal(f->log.data, "t");
    loop_step(f->loop, -1);
    assert_string_equal(f->log.data, "tlate");
    loop_untimer(NULL);
}

static void on_signal(void *arg, int signal)
{
    struct fixture *f = arg;

    buf_printf(&f->log, "%d;", signal);
    loop_quit(f->loop);
}

static void test_signals(void **state)
{
    static const int signals[] = {SIGUSR1, SIGUSR2, 0};
    struct fixture *f = *state;
    auto_err struct err e = ERR_INIT;

    ASSERT_OK(e, loop_signals(f->loop, signals, on_signal, f, &e));
    raise(SIGUSR1);
    raise(SIGUSR2);
    loop_run(f->loop);
    assert_int_equal(f->log.len, 6);
}

/* ---- sock ---- */

static void test_sock(void **state)
{
    struct fixture *f = *state;
    auto_free char *path = mem_printf("%s/sock", f->dir);
    auto_free char *longpath = mem_zalloc(300, 1);
    auto_err struct err e = ERR_INIT;
    auto_close int listener = sock_listen(path, &e);
    auto_close int client = sock_connect(path, &e);
    auto_close int server = sock_accept(listener, &e);
    struct stat st;
    char byte;

    assert_true(listener >= 0 && client >= 0 && server >= 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(write(client, "x", 1), 1);
    assert_int_equal(read(server, &byte, 1), 1);
    assert_int_equal(sock_accept(listener, &e), -1); /* nobody waits: no blocking */
    assert_int_equal(sock_listen(path, &e), -1);     /* taken */
    close_fd(&listener);
    assert_int_equal(sock_connect(path, &e), -1);
    assert_non_null(strstr(e.msg, path));
    memset(longpath, 'x', 299);
    assert_int_equal(sock_listen(longpath, &e), -1);
    assert_non_null(strstr(e.msg, "longer than 107 bytes"));
    assert_int_equal(sock_connect(longpath, &e), -1);
}

static void test_sock_recv(void **state)
{
    int pair[2], fd = -1;
    char byte;

    (void)state;
    assert_int_equal(sock_pair(pair, NULL), 0);
    assert_int_equal(sock_recv(pair[0], &byte, 1, &fd), -1); /* nothing yet: no blocking */
    assert_int_equal(write(pair[1], "x", 1), 1);
    assert_int_equal(sock_recv(pair[0], &byte, 1, &fd), 1);
    assert_int_equal(fd, -1);
    assert_int_equal(sock_send_fd(pair[1], 'y', 0, NULL), 0);
    assert_int_equal(sock_recv(pair[0], &byte, 1, &fd), 1);
    assert_int_equal(byte, 'y');
    assert_true(fd > 0);
    close(fd);
    close(pair[1]);
    assert_int_equal(sock_recv(pair[0], &byte, 1, &fd), 0);
    close(pair[0]);
}

/* ---- tty ---- */

static int open_pty(int *master)
{
    char name[64];
    int slave;

    *master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    assert_int_equal(unlockpt(*master), 0);
    assert_int_equal(ptsname_r(*master, name, sizeof(name)), 0);
    slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(slave >= 0);
    return slave;
}

static void test_tty(void **state)
{
    auto_err struct err e = ERR_INIT;
    int master, slave = open_pty(&master);
    struct winsize size = {.ws_row = 10, .ws_col = 20};
    struct termios before, now;
    struct tty t;
    uint16_t rows, columns;

    (void)state;
    tty_size(slave, &rows, &columns); /* knows none yet */
    assert_int_equal(rows, 24);
    assert_int_equal(columns, 80);
    ioctl(slave, TIOCSWINSZ, &size);
    tty_size(slave, &rows, &columns);
    assert_int_equal(rows, 10);
    assert_int_equal(columns, 20);
    tcgetattr(slave, &before);
    ASSERT_OK(e, tty_raw(&t, slave, &e));
    tcgetattr(slave, &now);
    assert_false(now.c_lflag & (ICANON | ECHO | ISIG));
    tty_restore(&t);
    tty_restore(&t);
    tcgetattr(slave, &now);
    assert_int_equal(now.c_lflag, before.c_lflag);
    ASSERT_OK(e, tty_raw(&t, slave, &e));
    ASSERT_OK(e, tty_interruptible(&t, &e));
    tcgetattr(slave, &now);
    assert_true(now.c_lflag & ISIG);
    assert_false(now.c_lflag & (ICANON | ECHO));
    tty_restore(&t);
    ASSERT_OK(e, tty_hide(&t, slave, &e));
    tcgetattr(slave, &now);
    assert_false(now.c_lflag & ECHO);
    assert_true(now.c_lflag & ICANON && now.c_lflag & ISIG);
    tty_restore(&t);
    tcgetattr(slave, &now);
    assert_int_equal(now.c_lflag, before.c_lflag);
    assert_memory_equal(now.c_cc, before.c_cc, sizeof(before.c_cc));
    assert_int_equal(tty_hide(&t, 1000, &e), -1);
    assert_int_equal(tty_raw(&t, 1000, &e), -1);
    assert_false(t.raw);
    tty_restore(&t);
    close(slave);
    close(master);
}

/* A terminal that nobody reads is restored without waiting for a reader. */
static void test_rescue(void **state)
{
    auto_err struct err e = ERR_INIT;
    int master, slave = open_pty(&master);
    char block[4096] = {0};
    struct termios now;
    struct tty t;

    (void)state;
    ASSERT_OK(e, tty_raw(&t, slave, &e));
    tty_rescue(slave, &t.saved);
    assert_true(read(master, block, sizeof(block)) > 8);
    assert_non_null(strstr(block, "\033[?1049l"));
    ASSERT_OK(e, tty_raw(&t, slave, &e));
    file_set_nonblock(slave, true, NULL);
    while (write(slave, block, sizeof(block)) > 0)
        ;
    file_set_nonblock(slave, false, NULL);
    alarm(TEST_DEADLINE_MS / 1000);
    tty_rescue(slave, &t.saved);
    alarm(0);
    tcgetattr(slave, &now);
    assert_true(now.c_lflag & ICANON);
    close(slave);
    close(master);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(test_watch),         WITH_FIXTURE(test_unwatch_within),
        WITH_FIXTURE(test_many),          WITH_FIXTURE(test_timers),
        WITH_FIXTURE(test_signals),       WITH_FIXTURE(test_sock),
        cmocka_unit_test(test_sock_recv), cmocka_unit_test(test_tty),
        cmocka_unit_test(test_rescue),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
