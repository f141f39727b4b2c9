#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "proc/spawn.h"
#include "vm/qcow2.h"

struct fixture {
    char dir[64];
    int dirfd;
    char *path;
};

static int set_up(void **state)
{
    struct fixture *f = mem_zalloc(1, sizeof(*f));

    snprintf(f->dir, sizeof(f->dir), "/tmp/agentvm-test.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->dirfd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(f->dirfd >= 0);
    f->path = mem_printf("%s/disk", f->dir);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(file_remove_tree_at(AT_FDCWD, f->dir, NULL), 0);
    close_fd(&f->dirfd);
    free(f->path);
    free(f);
    return 0;
}

static void test_header(void **state)
{
    static const unsigned char start[] = {'Q', 'F', 'I', 0xfb, 0, 0, 0, 3,  0, 0, 0, 0, 0, 0, 0, 0,
                                          0,   0,   0,   0,    0, 0, 0, 16, 0, 0, 0, 5, 0, 0, 0, 0};
    struct fixture *f = *state;
    auto_buf struct buf bytes = BUF_INIT;
    struct stat st;

    assert_int_equal(qcow2_create(f->dirfd, "disk", UINT64_C(20) << 30, NULL), 0);
    assert_int_equal(file_read_at(f->dirfd, "disk", 1 << 20, &bytes, NULL), 0);
    assert_memory_equal(bytes.data, start, sizeof(start));
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_size, 4 * 65536);
    assert_true(st.st_blocks <= 3 * 16); /* sparse */
}

static void test_refusals(void **state)
{
    struct fixture *f = *state;
    auto_err struct err e = ERR_INIT;

    assert_int_equal(qcow2_create(f->dirfd, "disk", 0, &e), -1);
    assert_int_equal(qcow2_create(f->dirfd, "disk", QCOW2_SIZE_MAX + 1, &e), -1);
    assert_int_equal(faccessat(f->dirfd, "disk", F_OK, 0), -1);
    assert_int_equal(qcow2_create(f->dirfd, "disk", 1, &e), 0);
    assert_int_equal(qcow2_create(f->dirfd, "disk", 1, &e), -1); /* never over another */
    assert_non_null(strstr(e.msg, "disk"));
}

static void qemu_img(const char *command, const char *path, struct buf *out)
{
    char *argv[] = {(char[]){"qemu-img"},
                    (char *)command,
                    (char[]){"-f"},
                    (char[]){"qcow2"},
                    (char[]){"--output=json"},
                    (char *)path,
                    NULL};
    struct exit_status status = {0};

    assert_int_equal(spawn_capture(argv, 65536, 10000, out, NULL, &status, NULL), 0);
    assert_int_equal(exit_status_code(status), 0);
}

static double number(const struct buf *json, const char *key)
{
    cJSON *o = cJSON_Parse(json->data);
    const cJSON *item = cJSON_GetObjectItem(o, key);
    double value = cJSON_IsNumber(item) ? item->valuedouble : -1;

    cJSON_Delete(o);
    return value;
}

/* What qemu-img thinks of images of many sizes: no leak, no corruption, the size asked for. */
static void test_qemu_img_agrees(void **state)
{
    static const uint64_t sizes[] = {1,
                                     512,
                                     (UINT64_C(1) << 29) - 512,
                                     UINT64_C(1) << 29,
                                     (UINT64_C(1) << 29) + 1,
                                     UINT64_C(20) << 30,
                                     (UINT64_C(4) << 40) + 512, /* an L1 table of two clusters */
                                     QCOW2_SIZE_MAX};
    struct fixture *f = *state;
    auto_free char *program = spawn_find("qemu-img");

    if (!program)
        skip();
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        auto_buf struct buf check = BUF_INIT, info = BUF_INIT;

        assert_int_equal(unlinkat(f->dirfd, "disk", 0) == 0 || errno == ENOENT, 1);
        assert_int_equal(qcow2_create(f->dirfd, "disk", sizes[i], NULL), 0);
        qemu_img("check", f->path, &check);
        assert_true(number(&check, "check-errors") < 1);
        assert_true(number(&check, "leaks") < 1 && number(&check, "corruptions") < 1);
        qemu_img("info", f->path, &info);
        assert_true((uint64_t)number(&info, "virtual-size") == (sizes[i] + 511) / 512 * 512);
        assert_null(strstr(info.data, "backing"));
        assert_non_null(strstr(info.data, "\"compat\": \"1.1\""));
    }
}

/* Writes and reads pass through QEMU: data stays where it was, the rest is zeros. */
static void qemu_io(const char *path, const char *command)
{
    char *argv[] = {(char[]){"qemu-io"},
                    (char[]){"-f"},
                    (char[]){"qcow2"},
                    (char[]){"-c"},
                    (char *)command,
                    (char *)path,
                    NULL};
    auto_buf struct buf out = BUF_INIT;
    struct exit_status status = {0};

    assert_int_equal(spawn_capture(argv, 65536, 10000, &out, NULL, &status, NULL), 0);
    assert_int_equal(exit_status_code(status), 0);
    if (strstr(out.data, "failed") || strstr(out.data, "error"))
        fail_msg("%s: %s", command, out.data);
}

static void test_grow(void **state)
{
    static const uint64_t sizes[] = {UINT64_C(20) << 30, UINT64_C(21) << 30, UINT64_C(4) << 40};
    struct fixture *f = *state;
    auto_free char *program = spawn_find("qemu-io");

    if (!program)
        skip();
    assert_int_equal(qcow2_create(f->dirfd, "disk", UINT64_C(10) << 30, NULL), 0);
    qemu_io(f->path, "write -P 7 10737352704 65536"); /* its last cluster */
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        auto_buf struct buf check = BUF_INIT, info = BUF_INIT;
        auto_free char *end = mem_printf("write -P 9 %llu 512", (unsigned long long)sizes[i] - 512);

        assert_int_equal(qcow2_grow(f->path, sizes[i], NULL), 0);
        qemu_io(f->path, "read -P 7 10737352704 65536");
        qemu_io(f->path, "read -P 0 10737418240 65536");
        qemu_io(f->path, end);
        qemu_img("check", f->path, &check);
        assert_true(number(&check, "check-errors") < 1);
        assert_true(number(&check, "leaks") < 1 && number(&check, "corruptions") < 1);
        qemu_img("info", f->path, &info);
        assert_true((uint64_t)number(&info, "virtual-size") == sizes[i]);
    }
}

static void test_grow_refusals(void **state)
{
    struct fixture *f = *state;
    auto_err struct err e = ERR_INIT;
    auto_close int fd = -1;

    assert_int_equal(qcow2_grow(f->path, 1 << 20, &e), -1);
    assert_int_equal(qcow2_create(f->dirfd, "disk", UINT64_C(20) << 30, NULL), 0);
    assert_int_equal(qcow2_grow(f->path, (UINT64_C(20) << 30) - 512, &e), -1);
    assert_non_null(strstr(e.msg, "it has 21474836480 bytes already"));
    assert_int_equal(qcow2_grow(f->path, (UINT64_C(4) << 40) + 512, &e), -1);
    assert_non_null(strstr(e.msg, "cannot grow beyond 4096 GiB"));
    assert_int_equal(qcow2_grow(f->path, QCOW2_SIZE_MAX + 512, &e), -1);
    fd = open(f->path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "\1", 1, 79), 1); /* "dirty", of the incompatible features */
    assert_int_equal(qcow2_grow(f->path, UINT64_C(40) << 30, &e), -1);
    assert_non_null(strstr(e.msg, "no image that can be grown"));
    assert_int_equal(pwrite(fd, "\0", 1, 79), 1);
    assert_int_equal(qcow2_grow(f->path, UINT64_C(40) << 30, &e), 0);
    assert_int_equal(ftruncate(fd, 10), 0);
    assert_int_equal(qcow2_grow(f->path, UINT64_C(50) << 30, &e), -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_header), TEST(test_refusals),      TEST(test_qemu_img_agrees),
        TEST(test_grow),   TEST(test_grow_refusals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
