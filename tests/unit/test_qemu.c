/* The driver against the fake engine of tests/fake: starts, ends and the reasons given. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "proc/loop.h"
#include "vm/qemu_end.h"
#include "vm/vm.h"

struct fixture {
    char dir[64];
    struct vm_config config;
    char *console;
    char *log;
    struct loop *loop;
    const struct vm_driver *driver;
    struct vm *vm;
    int channel;
    struct err e;
    struct err why;
    int started, opened, stopped;
    bool stop_when_started, free_when_started, outside;
    const char *save_to; /* when started */
    int resumed, saved;
    struct err save_failure;
};

static void on_started(void *arg)
{
    struct fixture *f = arg;

    f->started++;
    if (f->free_when_started) {
        f->driver->free(f->vm);
        f->vm = NULL;
        loop_quit(f->loop);
    }
    if (f->stop_when_started)
        f->driver->stop(f->vm);
    if (f->save_to)
        f->driver->save(f->vm, f->save_to);
}

static void on_channel(void *arg, bool opened)
{
    struct fixture *f = arg;

    f->opened += opened ? 1 : -1;
}

static void on_stopped(void *arg, const struct err *why)
{
    struct fixture *f = arg;

    f->stopped++;
    f->outside = f->driver->ended_from_outside(f->vm);
    if (why->msg)
        err_set(&f->why, "%s", why->msg);
    err_detail(&f->why, mem_strdup(why->detail));
    f->driver->free(f->vm); /* allowed from within */
    f->vm = NULL;
    loop_quit(f->loop);
}

static void on_resumed(void *arg)
{
    struct fixture *f = arg;

    f->resumed++;
    f->driver->stop(f->vm);
}

static void on_saved(void *arg, const char *failure)
{
    struct fixture *f = arg;

    f->saved++;
    if (failure)
        err_set(&f->save_failure, "%s", failure);
    f->driver->stop(f->vm);
}

static struct vm_events events_for(struct fixture *f)
{
    return (struct vm_events){.started = on_started,
                              .resumed = on_resumed,
                              .channel_opened = on_channel,
                              .saved = on_saved,
                              .stopped = on_stopped,
                              .arg = f};
}

static void on_deadline(void *arg)
{
    (void)arg;
    fail_msg("the fake engine did not end");
}

/* Puts the fake engine first in PATH, with settings, as the driver gives it a bare environment. */
static void install_fake(struct fixture *f, const char *settings)
{
    const char *end = strrchr(__FILE__, '/');
    auto_free char *here = mem_dup(__FILE__, (size_t)(end - __FILE__));
    auto_free char *bin = mem_printf("%s/../fake/bin", here);
    auto_free char *bin_path = realpath(bin, NULL);
    auto_free char *script =
        mem_printf("#!/bin/sh\n%s exec %s/qemu-system-x86_64 \"$@\"\n", settings, bin_path);
    auto_free char *file = mem_printf("%s/qemu-system-x86_64", f->dir);
    auto_free char *path = mem_printf("%s:/usr/bin:/bin", f->dir);

    assert_non_null(bin_path);
    assert_int_equal(file_write_at(AT_FDCWD, file, script, strlen(script), 0700, NULL), 0);
    setenv("PATH", path, 1);
}

static int set_up(void **state)
{
    struct fixture *f = mem_zalloc(1, sizeof(*f));

    snprintf(f->dir, sizeof(f->dir), "/tmp/agentvm-test.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->console = mem_printf("%s/con,sole", f->dir);
    f->log = mem_printf("%s/log", f->dir);
    f->config = (struct vm_config){.id = "12345678",
                                   .kernel = "/k",
                                   .cmdline = "x",
                                   .cpus = 1,
                                   .memory = 1 << 28,
                                   .console = f->console,
                                   .stderr_log = f->log};
    f->loop = loop_new();
    f->channel = -1;
    f->driver = vm_driver_find("qemu", &f->e);
    assert_non_null(f->driver);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    f->driver->free(f->vm);
    loop_free(f->loop);
    close_fd(&f->channel);
    assert_int_equal(file_remove_tree_at(AT_FDCWD, f->dir, NULL), 0);
    err_clear(&f->e);
    err_clear(&f->why);
    err_clear(&f->save_failure);
    free(f->console);
    free(f->log);
    free(f);
    return 0;
}

/* Runs a machine with those settings to its end. */
static void play(struct fixture *f, const char *settings)
{
    struct vm_events ev = events_for(f);

    install_fake(f, settings);
    f->vm = f->driver->start(&f->config, f->loop, &ev, &f->channel, &f->e);
    if (!f->vm)
        fail_msg("%s", err_msg(&f->e));
    assert_true(f->channel >= 0 && (fcntl(f->channel, F_GETFL) & O_NONBLOCK));
    assert_int_equal(kill(f->driver->pid(f->vm), 0), 0);
    loop_timer(f->loop, 20000, on_deadline, f);
    loop_run(f->loop);
}

static void expect_why(struct fixture *f, const char *part)
{
    assert_int_equal(f->stopped, 1);
    if (!f->why.msg || !strstr(f->why.msg, part))
        fail_msg("the reason is: %s", f->why.msg ? f->why.msg : "none");
}

static void test_stop(void **state)
{
    struct fixture *f = *state;
    struct stat st;

    f->stop_when_started = true;
    play(f, "FAKE_QEMU=ok");
    assert_int_equal(f->started, 1);
    assert_int_equal(f->stopped, 1);
    assert_null(f->why.msg);
    assert_int_equal(stat(f->console, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

static void test_guest_opens_and_powers_off(void **state)
{
    struct fixture *f = *state;

    play(f, "FAKE_QEMU=ok FAKE_GUESTD=/bin/true");
    assert_int_equal(f->started, 1);
    assert_int_equal(f->opened, 0); /* once open, once closed */
    assert_null(f->why.msg);
}

static void test_exit_at_once(void **state)
{
    struct fixture *f = *state;

    play(f, "FAKE_QEMU=exit1");
    expect_why(f, "QEMU failed with exit code 1: qemu-system-x86_64: fake: could not start");
    assert_non_null(strstr(f->why.detail, "could not start"));
    assert_int_equal(f->started, 0);
}

static void test_crash(void **state)
{
    struct fixture *f = *state;

    play(f, "FAKE_QEMU=crash");
    expect_why(f, "QEMU was killed by signal 6 (Aborted)");
    assert_non_null(strstr(f->why.detail, "fake assertion failed"));
    assert_false(f->outside);
}

static void test_guest_restarts(void **state)
{
    struct fixture *f = *state;

    play(f, "FAKE_QEMU=reset");
    expect_why(f, "the guest's kernel panicked: not syncing: fake");
    assert_non_null(strstr(f->why.detail, "Kernel panic - not syncing: fake"));
}

static void test_guest_powers_off(void **state)
{
    struct fixture *f = *state;

    play(f, "FAKE_QEMU=poweroff");
    assert_int_equal(f->stopped, 1);
    assert_null(f->why.msg);
}

static void test_garbage(void **state)
{
    struct fixture *f = *state;

    play(f, "FAKE_QEMU=garbage");
    expect_why(f, "not a JSON object");
}

static void test_disk_full(void **state)
{
    struct fixture *f = *state;

    play(f, "FAKE_QEMU=enospc");
    expect_why(f, "No space left on device");
    assert_true(f->outside);
}

/* Takes as long as two steps of the ladder. */
static void test_hang(void **state)
{
    struct fixture *f = *state;
    int64_t start = clock_ms();

    f->stop_when_started = true;
    play(f, "FAKE_QEMU=hang");
    expect_why(f, "did not end when asked to and was killed");
    assert_in_range(clock_ms() - start, 3900, 15000);
}

static void test_stop_before_answer(void **state)
{
    struct fixture *f = *state;
    struct vm_events ev = events_for(f);

    install_fake(f, "FAKE_QEMU=no-qmp");
    f->vm = f->driver->start(&f->config, f->loop, &ev, &f->channel, &f->e);
    assert_non_null(f->vm);
    f->driver->stop(f->vm);
    f->driver->stop(f->vm); /* again is harmless */
    loop_run(f->loop);
    assert_int_equal(f->stopped, 1);
    assert_int_equal(f->started, 0);
    assert_null(f->why.msg);
}

static void test_free_in_callback(void **state)
{
    struct fixture *f = *state;

    f->free_when_started = true;
    play(f, "FAKE_QEMU=ok");
    assert_int_equal(f->stopped, 0);
    assert_null(f->vm);
}

/* Secrets of the caller's environment do not reach QEMU's. */
static void test_environment(void **state)
{
    struct fixture *f = *state;
    auto_free char *log = mem_printf("%s/starts", f->dir);
    auto_free char *settings = mem_printf("FAKE_QEMU=ok FAKE_LOG=%s", log);
    auto_buf struct buf text = BUF_INIT;

    setenv("ANTHROPIC_API_KEY", "secret", 1);
    f->stop_when_started = true;
    play(f, settings);
    unsetenv("ANTHROPIC_API_KEY");
    assert_int_equal(file_read_at(AT_FDCWD, log, 65536, &text, NULL), 0);
    assert_non_null(strstr(text.data, "\"argv\""));
    assert_null(strstr(text.data, "ANTHROPIC_API_KEY"));
    assert_null(strstr(text.data, "HOME"));
}

static void test_old_version(void **state)
{
    struct fixture *f = *state;

    install_fake(f, "FAKE_QEMU_VERSION=6.2.0");
    assert_int_equal(f->driver->check(NULL, &f->e), -1);
    assert_non_null(strstr(f->e.msg, "QEMU 6.2, which is too old: 7.2 is needed"));
    assert_non_null(strstr(f->e.advice, "apt install qemu-system-x86"));
    install_fake(f, "FAKE_QEMU_VERSION=10.0.8");
    assert_int_equal(f->driver->check(NULL, &f->e), 0);
}

/* A machine is saved, and another goes on from there; each version's own way. */
static void save_and_load(struct fixture *f, const char *version)
{
    auto_free char *ram = mem_printf("%s/ram-%s", f->dir, version);
    auto_free char *state = mem_printf("%s/state-%s", f->dir, version);
    auto_free char *settings = mem_printf("FAKE_QEMU_VERSION=%s", version);

    f->saved = f->resumed = f->stopped = 0;
    f->config.ram = ram;
    f->save_to = state;
    play(f, settings);
    f->save_to = NULL;
    if (f->save_failure.msg)
        fail_msg("%s", f->save_failure.msg);
    assert_int_equal(f->saved, 1);
    assert_int_equal(access(state, F_OK), 0);

    f->config.state = state;
    play(f, settings);
    assert_int_equal(f->resumed, 1);
    assert_null(f->why.msg);
    f->config.state = f->config.ram = NULL;
}

static void test_save_and_load(void **state)
{
    save_and_load(*state, "7.2.22");
    save_and_load(*state, "10.0.8");
}

static void test_save_fails(void **state)
{
    struct fixture *f = *state;
    auto_free char *ram = mem_printf("%s/ram", f->dir);

    f->config.ram = ram;
    f->save_to = "/nonexistent/state";
    play(f, "");
    assert_int_equal(f->saved, 1);
    assert_non_null(strstr(f->save_failure.msg, "/nonexistent/state"));
    err_clear(&f->save_failure);
    f->save_to = f->console;
    play(f, "FAKE_QEMU=migration-fails FAKE_QEMU_VERSION=10.0.8");
    assert_int_equal(f->saved, 2);
    assert_non_null(f->save_failure.msg);
}

static void test_load_fails(void **state)
{
    struct fixture *f = *state;
    auto_free char *saved = mem_printf("%s/saved", f->dir);

    f->config.ram = f->config.state = saved;
    assert_int_equal(file_write_at(AT_FDCWD, saved, "garbage", 7, 0600, NULL), 0);
    play(f, "");
    assert_int_equal(f->resumed, 0);
    expect_why(f, "QEMU failed with exit code 1");
    assert_false(f->outside);
}

/* Whose fault an end is: a signal from outside or a full disk is none of the machine's. */
static void test_foreign_end(void **state)
{
    static const struct {
        struct qemu_end end;
        bool foreign;
    } ends[] = {
        {{.status = {true, SIGKILL}}, true},
        {{.status = {true, SIGKILL}, .asked = true}, true}, /* it was on its way */
        {{.status = {true, SIGKILL}, .asked = true, .killed = true}, false},
        {{.status = {true, SIGTERM}}, true}, /* before it could take it in order */
        {{.status = {true, SIGTERM}, .asked = true}, false},
        {{.shutdown = "host-signal"}, true},
        {{.shutdown = "host-signal", .asked = true}, false},
        {{.status = {true, SIGABRT}}, false},
        {{.status = {true, SIGSEGV}}, false},
        {{.status = {true, SIGBUS}}, false},
        {{.status = {false, 1}}, false},
        {{.shutdown = "guest-panic"}, false},
        {{.status = {false, 0}}, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
        if (qemu_end_is_foreign(&ends[i].end) != ends[i].foreign)
            fail_msg("end %zu: %s", i, ends[i].foreign ? "is foreign" : "is its own");
}

static void test_unwritable_log(void **state)
{
    struct fixture *f = *state;
    struct vm_events ev = events_for(f);

    install_fake(f, "");
    f->config.stderr_log = "/nonexistent/log";
    f->vm = f->driver->start(&f->config, f->loop, &ev, &f->channel, &f->e);
    assert_null(f->vm);
    assert_non_null(strstr(f->e.msg, "/nonexistent/log"));
}

static void test_unknown_driver(void **state)
{
    struct fixture *f = *state;

    assert_null(vm_driver_find("lima", &f->e));
    assert_non_null(strstr(f->e.advice, "qemu"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_stop),
        TEST(test_guest_opens_and_powers_off),
        TEST(test_exit_at_once),
        TEST(test_crash),
        TEST(test_guest_restarts),
        TEST(test_guest_powers_off),
        TEST(test_garbage),
        TEST(test_disk_full),
        TEST(test_hang),
        TEST(test_stop_before_answer),
        TEST(test_free_in_callback),
        TEST(test_environment),
        TEST(test_old_version),
        TEST(test_save_and_load),
        TEST(test_save_fails),
        TEST(test_load_fails),
        TEST(test_foreign_end),
        TEST(test_unwritable_log),
        TEST(test_unknown_driver),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
