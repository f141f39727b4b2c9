#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "vm/accel.h"
#include "vm/accel_cache.h"
#include "vm/fingerprint.h"

/* A folder with a QEMU of our own making, first in PATH. */
struct fixture {
    char dir[64];
    int dirfd;
    struct accel_request request;
    char *kernel;
    char *device;
    enum vm_accel accel;
    struct buf reason;
    struct err e;
};

/* Answers --version, and counts its other starts. */
#define FAKE_START                                                            \
    "#!/bin/sh\n"                                                             \
    "[ \"$1\" = --version ] && { echo QEMU emulator version 9.0.0; exit; }\n" \
    "cd \"${0%/*}\" && echo start >> starts\n"

#define FAKE_WORKS FAKE_START "echo noise agentvm-probe-ok > accel.console\n"
#define FAKE_ABORTS \
    FAKE_START "echo 'qemu: error: failed to set MSR 0x10a' >&2; echo 'Assertion x' >&2; exit 1\n"
#define FAKE_HANGS FAKE_START "exec sleep 100\n"
#define FAKE_SILENT FAKE_START "exit 0\n"

static void put(struct fixture *f, const char *name, const char *text, mode_t mode)
{
    assert_int_equal(file_write_at(f->dirfd, name, text, strlen(text), mode, NULL), 0);
}

static int set_up(void **state)
{
    struct fixture *f = mem_zalloc(1, sizeof(*f));
    auto_free char *path = NULL;

    snprintf(f->dir, sizeof(f->dir), "/tmp/agentvm-test.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->dirfd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    f->kernel = mem_printf("%s/kernel", f->dir);
    f->device = mem_printf("%s/kvm", f->dir);
    put(f, "kernel", "kernel", 0600);
    put(f, "kvm", "", 0600);
    f->request = (struct accel_request){.kernel = f->kernel,
                                        .initrd = f->kernel,
                                        .cache = f->dir,
                                        .device = f->device,
                                        .deadline_ms = 5000};
    path = mem_printf("%s:/usr/bin:/bin", f->dir);
    setenv("PATH", path, 1);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(file_remove_tree_at(AT_FDCWD, f->dir, NULL), 0);
    close_fd(&f->dirfd);
    buf_free(&f->reason);
    err_clear(&f->e);
    free(f->kernel);
    free(f->device);
    free(f);
    return 0;
}

static void fake(struct fixture *f, const char *script)
{
    put(f, "qemu-system-x86_64", script, 0700);
}

static void choose(struct fixture *f, enum vm_accel want, const char *reason)
{
    assert_int_equal(accel_choose(&f->request, &f->accel, &f->reason, &f->e), 0);
    assert_int_equal(f->accel, want);
    if (!strstr(f->reason.data, reason))
        fail_msg("reason: %s", f->reason.data);
}

/* How often the fake was started as a machine. */
static int starts(struct fixture *f)
{
    auto_buf struct buf text = BUF_INIT;
    int n = 0;

    if (file_read_at(f->dirfd, "starts", 4096, &text, NULL) != 0)
        return 0;
    for (const char *p = text.data; (p = strchr(p, '\n')); p++)
        n++;
    return n;
}

static void test_kvm_works(void **state)
{
    struct fixture *f = *state;

    fake(f, FAKE_WORKS);
    choose(f, VM_ACCEL_KVM, "");
    assert_int_equal(f->reason.len, 0);
    choose(f, VM_ACCEL_KVM, "");
    assert_int_equal(starts(f), 1); /* the second answer is the cached one */
}

static void test_qemu_aborts(void **state)
{
    struct fixture *f = *state;

    fake(f, FAKE_ABORTS);
    choose(f, VM_ACCEL_TCG, "failed to set MSR 0x10a");
    choose(f, VM_ACCEL_TCG, "failed to set MSR 0x10a");
    assert_int_equal(starts(f), 1);
}

static void test_guest_says_nothing(void **state)
{
    struct fixture *f = *state;

    fake(f, FAKE_SILENT);
    choose(f, VM_ACCEL_TCG, "a test boot with KVM failed");
}

static void test_hang(void **state)
{
    struct fixture *f = *state;
    int64_t start = clock_ms();

    fake(f, FAKE_HANGS);
    f->request.deadline_ms = 100;
    choose(f, VM_ACCEL_TCG, "no sign of life");
    assert_true(clock_ms() - start < 5000);
}

/* Another QEMU, kernel or a broken cache file asks again. */
static void test_cache_is_keyed(void **state)
{
    struct fixture *f = *state;

    fake(f, FAKE_ABORTS);
    choose(f, VM_ACCEL_TCG, "MSR");
    fake(f, FAKE_WORKS);
    choose(f, VM_ACCEL_KVM, "");
    assert_int_equal(starts(f), 2);
    put(f, "kernel", "another kernel", 0600);
    choose(f, VM_ACCEL_KVM, "");
    assert_int_equal(starts(f), 3);
    put(f, "accel.json", "{\"key\": 7}", 0600);
    choose(f, VM_ACCEL_KVM, "");
    assert_int_equal(starts(f), 4);
    choose(f, VM_ACCEL_KVM, "");
    assert_int_equal(starts(f), 4);
}

static void test_no_device(void **state)
{
    struct fixture *f = *state;

    fake(f, FAKE_WORKS);
    f->request.device = "/nonexistent/kvm";
    choose(f, VM_ACCEL_TCG, "there is no /nonexistent/kvm");
    assert_int_equal(starts(f), 0);
    if (geteuid() == 0)
        return; /* root may open anything */
    f->request.device = f->device;
    assert_int_equal(chmod(f->device, 0), 0);
    choose(f, VM_ACCEL_TCG, "group kvm");
    assert_int_equal(starts(f), 0);
}

static void test_no_qemu(void **state)
{
    struct fixture *f = *state;

    setenv("PATH", f->dir, 1);
    assert_int_equal(accel_choose(&f->request, &f->accel, &f->reason, &f->e), -1);
    assert_non_null(strstr(f->e.msg, "QEMU is not installed"));
    assert_non_null(strstr(f->e.advice, "apt install qemu-system-x86"));
}

static void test_verdict_text(void **state)
{
    struct accel_verdict no = {VM_ACCEL_TCG, (char[]){"because\x1b[2J"}}, back = {0};
    auto_free char *text = accel_cache_format(NULL, 0, &no, "key", 1000);

    (void)state;
    assert_true(accel_cache_parse(text, strlen(text), "key", 1000 + 60, &back));
    assert_int_equal(back.accel, VM_ACCEL_TCG);
    assert_string_equal(back.reason, "because\\x1b[2J"); /* the file may have been tampered with */
    free(back.reason);
    assert_false(accel_cache_parse(text, strlen(text), "other", 1000, &back));
    assert_false(accel_cache_parse(text, strlen(text), "key", 1000 + ACCEL_RETRY_S, &back));
    assert_false(accel_cache_parse(text, strlen(text), "key", 999, &back));
    for (size_t len = 0; len + 1 < strlen(text); len++)
        assert_false(accel_cache_parse(text, len, "key", 1000, &back));
}

static bool is_kvm(const char *text, const char *key)
{
    struct accel_verdict v = {0};
    bool found = accel_cache_parse(text, strlen(text), key, 1000, &v);

    free(v.reason);
    return found && v.accel == VM_ACCEL_KVM;
}

/* Two images in turn are not tried again each time; a key's last verdict counts, and the oldest
 * ones go. */
static void test_several_verdicts(void **state)
{
    struct accel_verdict no = {VM_ACCEL_TCG, (char[]){"no"}}, yes = {VM_ACCEL_KVM, (char[]){""}};
    char *text = accel_cache_format("{\"key\": 1", 9, &no, "b", 1000), *old;
    char key[16];

    (void)state;
    text = accel_cache_format(old = text, strlen(text), &yes, "a", 1000);
    free(old);
    assert_true(is_kvm(text, "a") && !is_kvm(text, "b"));
    text = accel_cache_format(old = text, strlen(text), &yes, "b", 1000);
    free(old);
    assert_true(is_kvm(text, "a") && is_kvm(text, "b"));
    for (int i = 0; i < ACCEL_VERDICTS_MAX - 1; i++) {
        snprintf(key, sizeof(key), "%d", i);
        text = accel_cache_format(old = text, strlen(text), &yes, key, 1000);
        free(old);
    }
    assert_true(is_kvm(text, "0") && is_kvm(text, "b") && !is_kvm(text, "a"));
    free(text);
}

static void test_cpuinfo(void **state)
{
    auto_buf struct buf out = BUF_INIT, none = BUF_INIT;

    (void)state;
    fingerprint_cpu("processor\t: 0\nmodel\t\t: 1\nmodel name\t: AMD EPYC\nmicrocode\t: 0x1065\n"
                    "\nprocessor\t: 1\nmodel name\t: other\n",
                    &out);
    assert_string_equal(out.data, "AMD EPYC\n0x1065\n");
    fingerprint_cpu("", &none);
    assert_string_equal(none.data, "\n\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_kvm_works),
        TEST(test_qemu_aborts),
        TEST(test_guest_says_nothing),
        TEST(test_hang),
        TEST(test_cache_is_keyed),
        TEST(test_no_device),
        TEST(test_no_qemu),
        cmocka_unit_test(test_verdict_text),
        cmocka_unit_test(test_several_verdicts),
        cmocka_unit_test(test_cpuinfo),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
