#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <cjson/cJSON.h>
#include <fcntl.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "vm/qemu_args.h"

static const struct qemu_info debian12 = {(char[]){"/usr/bin/qemu-system-x86_64"}, 7, 2, 22};

static struct vm_config plain(void)
{
    return (struct vm_config){
        .id = "12ab34cd",
        .kernel = "/layers/k/vmlinuz",
        .initrd = "/layers/k/initrd",
        .cmdline = "console=ttyS0 root=/dev/vda",
        .disks = {{"/layers/k/root.ext4", "raw"},
                  {"/layers/p/disk.qcow2", "qcow2"},
                  {"/vms/1/overlay.qcow2", "qcow2"}},
        .ndisks = 3,
        .cpus = 2,
        .memory = UINT64_C(2) << 30,
        .accel = VM_ACCEL_TCG,
        .share = "/home/u/project",
        .kept = "/sessions/1/claude/kept.d",
        .console = "/logs/console",
        .stderr_log = "/logs/qemu",
    };
}

/* The golden files stand beside this one; one argument a line, quoted as for a shell. */
static void check_golden(const char *name, const struct vm_config *c, const struct qemu_info *q)
{
    const char *dir_end = strrchr(__FILE__, '/');
    auto_free char *dir = mem_dup(__FILE__, (size_t)(dir_end - __FILE__));
    auto_free char *path = mem_printf("%s/golden/%s", dir, name);
    auto_buf struct buf want = BUF_INIT, got = BUF_INIT;
    auto_strv struct strv argv = STRV_INIT;
    struct err e = ERR_INIT;

    assert_int_equal(qemu_args(c, q, &argv, &e), 0);
    for (size_t i = 0; i < argv.n; i++) {
        auto_free char *quoted = str_quote(argv.v[i]);

        buf_printf(&got, "%s\n", quoted);
    }
    if (getenv("GOLDEN_UPDATE"))
        assert_int_equal(file_write_at(AT_FDCWD, path, got.data, got.len, 0644, &e), 0);
    assert_int_equal(file_read_at(AT_FDCWD, path, 1 << 20, &want, &e), 0);
    assert_string_equal(got.data, want.data);
}

static void test_plain(void **state)
{
    struct vm_config c = plain();

    (void)state;
    check_golden("qemu_args_tcg.txt", &c, &debian12);
}

/* Newer ones emulate each CPU in a thread of its own. */
static void test_threads(void **state)
{
    static const struct {
        int major, minor;
        const char *accel;
    } cases[] = {
        {7, 2, "tcg,thread=single,tb-size=512"},
        {8, 0, "tcg,thread=single,tb-size=512"},
        {8, 1, "tcg,thread=multi,tb-size=512"},
        {10, 0, "tcg,thread=multi,tb-size=512"},
    };
    struct vm_config c = plain();

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct qemu_info q = {(char[]){"qemu"}, cases[i].major, cases[i].minor, 0};
        auto_strv struct strv argv = STRV_INIT;

        assert_int_equal(qemu_args(&c, &q, &argv, NULL), 0);
        assert_true(strv_has(&argv, cases[i].accel));
    }
}

static void test_kvm_without_extras(void **state)
{
    struct qemu_info newer = {(char[]){"/opt/qemu"}, 11, 1, 0};
    struct vm_config c = plain();

    (void)state;
    c.accel = VM_ACCEL_KVM;
    c.share = NULL;
    c.console = NULL;
    c.ndisks = 0;
    c.memory += 12345; /* rounded down to whole large pages */
    check_golden("qemu_args_kvm.txt", &c, &newer);
}

#define WEIRD "/p/a,b=c 'd\" \\ \n%s,,\xc3\xa9"

static void test_weird_names(void **state)
{
    struct vm_config c = plain();

    (void)state;
    c.share = c.kept = c.console = c.kernel = c.initrd = WEIRD;
    c.disks[0].path = c.disks[2].path = WEIRD;
    c.id = "1,2";
    check_golden("qemu_args_weird.txt", &c, &debian12);
}

static const char *after(const struct strv *argv, const char *option, const char *part)
{
    for (size_t i = 0; i + 1 < argv->n; i++)
        if (strcmp(argv->v[i], option) == 0 && strstr(argv->v[i + 1], part))
            return argv->v[i + 1];
    return NULL;
}

static void test_restrictions(void **state)
{
    auto_strv struct strv argv = STRV_INIT;
    struct vm_config c = plain();

    (void)state;
    assert_non_null(c.share);
    c.share_readonly = c.offline = true;
    assert_int_equal(qemu_args(&c, &debian12, &argv, NULL), 0);
    assert_non_null(strstr(after(&argv, "-netdev", "user"), "\"restrict\":true"));
    assert_non_null(strstr(after(&argv, "-fsdev", "id=share"), "readonly=on"));
    assert_non_null(strstr(after(&argv, "-fsdev", "id=kept"), "readonly=off"));
}

/* A JSON option gives back the very bytes of the name. */
static void test_json_keeps_bytes(void **state)
{
    struct vm_config c = plain();
    auto_strv struct strv argv = STRV_INIT;
    cJSON *node;

    (void)state;
    c.disks[0].path = WEIRD;
    assert_int_equal(qemu_args(&c, &debian12, &argv, NULL), 0);
    node = cJSON_Parse(after(&argv, "-blockdev", "disk0-file"));
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(node, "filename")), WEIRD);
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(node, "read-only")));
    cJSON_Delete(node);
    assert_non_null(after(&argv, "-machine", "pc-q35-7.2,"));
}

static void test_machine_type(void **state)
{
    static const struct {
        int major, minor;
        const char *type;
    } cases[] = {{7, 2, "pc-q35-7.2,"},
                 {8, 1, "pc-q35-8.1,"},
                 {10, 0, "pc-q35-10.0,"},
                 {10, 1, "pc-q35-10.0,"},
                 {11, 0, "pc-q35-10.0,"}};
    struct vm_config c = plain();

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_strv struct strv argv = STRV_INIT;
        struct qemu_info q = {(char[]){"q"}, cases[i].major, cases[i].minor, 0};

        assert_int_equal(qemu_args(&c, &q, &argv, NULL), 0);
        assert_non_null(after(&argv, "-machine", cases[i].type));
    }
}

static void expect_refused(const struct vm_config *c, const char *part)
{
    auto_strv struct strv argv = STRV_INIT;
    auto_err struct err e = ERR_INIT;

    assert_int_equal(qemu_args(c, &debian12, &argv, &e), -1);
    assert_non_null(strstr(e.msg, part));
    assert_int_equal(argv.n, 0);
}

static void test_refusals(void **state)
{
    struct vm_config c = plain();

    (void)state;
    c.disks[1].format = "raw"; /* raw has no backing */
    expect_refused(&c, "place 1");
    c = plain();
    c.disks[0].format = "vmdk";
    expect_refused(&c, "vmdk");
    c = plain();
    c.ndisks = VM_DISKS_MAX + 1;
    expect_refused(&c, "at most");
    c = plain();
    c.cpus = 0;
    expect_refused(&c, "CPU");
    c = plain();
    c.kernel = NULL;
    expect_refused(&c, "kernel");
}

static void test_version(void **state)
{
    struct qemu_info q = QEMU_INFO_INIT;
    auto_err struct err e = ERR_INIT;

    (void)state;
    assert_int_equal(qemu_version_parse("QEMU emulator version 7.2.22 (Debian 1:7.2)\n", &q, &e),
                     0);
    assert_true(q.major == 7 && q.minor == 2 && q.micro == 22);
    assert_int_equal(qemu_version_parse("QEMU emulator version 10.0\n", &q, &e), 0);
    assert_true(q.major == 10 && q.minor == 0);
    assert_int_equal(qemu_version_parse("", &q, &e), -1);
    assert_int_equal(qemu_version_parse("QEMU emulator version \x1b[2J\n", &q, &e), -1);
    assert_null(strchr(e.msg, '\x1b'));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_kvm_without_extras),
        cmocka_unit_test(test_weird_names),
        cmocka_unit_test(test_json_keeps_bytes),
        cmocka_unit_test(test_restrictions),
        cmocka_unit_test(test_machine_type),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_version),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
