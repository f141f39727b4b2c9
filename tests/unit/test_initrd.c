/* image/initrd: a cpio archive behind another, as the kernel wants it; image/base_image: the key.
 */
#include "paths_fixture.h"

#include "image/base_image.h"
#include "image/initrd.h"
#include "proc/spawn.h"

enum { CPIO_HEADER = 110 };

struct fixture {
    char *dir;
    struct paths paths;
    char *base, *guestd, *out;
};

static int set_up(void **state)
{
    struct fixture *f = mem_zalloc(1, sizeof(*f));

    f->dir = scratch_make();
    f->paths = paths_make(f->dir);
    f->base = mem_printf("%s/initrd.img", f->dir);
    f->guestd = mem_printf("%s/guestd", f->dir);
    f->out = mem_printf("%s/out", f->dir);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    free(f->base);
    free(f->guestd);
    free(f->out);
    paths_free(&f->paths);
    scratch_remove(f->dir);
    free(f);
    return 0;
}

static unsigned header_field(const char *header, int n)
{
    char hex[9] = {0};

    memcpy(hex, header + 6 + 8 * n, 8);
    return (unsigned)strtoul(hex, NULL, 16);
}

/* Every length of what comes before and of guestd keeps the archive's parts aligned. */
static void test_alignment(void **state)
{
    struct fixture *f = *state;

    for (size_t before = 0; before < 4; before++)
        for (size_t size = 0; size < 4; size++) {
            auto_buf struct buf b = BUF_INIT;
            auto_err struct err e = ERR_INIT;
            const char *entry, *data;
            size_t at = (before + 3) / 4 * 4, next;

            assert_int_equal(file_write_at(AT_FDCWD, f->base, "BASE", before, 0600, NULL), 0);
            assert_int_equal(file_write_at(AT_FDCWD, f->guestd, "ELF!", size, 0700, NULL), 0);
            ASSERT_OK(e, initrd_write(f->base, f->guestd, f->out, &e));
            ASSERT_OK(e, file_read_at(AT_FDCWD, f->out, 4096, &b, &e));
            assert_memory_equal(b.data, "BASE", before);
            entry = b.data + at;
            assert_memory_equal(entry, "070701", 6);
            assert_int_equal(header_field(entry, 1), S_IFREG | 0755);
            assert_int_equal(header_field(entry, 6), size);
            assert_int_equal(header_field(entry, 11), sizeof("agentvm-guestd"));
            assert_string_equal(entry + CPIO_HEADER, "agentvm-guestd");
            data = entry + (CPIO_HEADER + sizeof("agentvm-guestd") + 3) / 4 * 4;
            assert_memory_equal(data, "ELF!", size);
            next = ((size_t)(data - b.data) + size + 3) / 4 * 4;
            assert_memory_equal(b.data + next, "070701", 6);
            assert_string_equal(b.data + next + CPIO_HEADER, "TRAILER!!!");
            assert_int_equal(b.len % 4, 0);
        }
}

/* The archive as cpio(1) sees it. */
static void test_cpio(void **state)
{
    struct fixture *f = *state;
    auto_free char *cpio = spawn_find("cpio");
    char *argv[] = {cpio, "-i", "--to-stdout", "-v", "-F", f->out, NULL};
    auto_err struct err e = ERR_INIT;
    auto_buf struct buf text = BUF_INIT, names = BUF_INIT;
    struct exit_status status;

    if (!cpio)
        skip();
    write_text(f->base, "");
    write_text(f->guestd, "the program");
    ASSERT_OK(e, initrd_write(f->base, f->guestd, f->out, &e));
    ASSERT_OK(e, spawn_capture(argv, 4096, TEST_DEADLINE_MS, &text, &names, &status, &e));
    assert_int_equal(exit_status_code(status), 0);
    assert_string_equal(text.data, "the program");
    assert_non_null(strstr(names.data, "agentvm-guestd\n"));
}

static void test_missing(void **state)
{
    struct fixture *f = *state;
    auto_err struct err e = ERR_INIT;

    assert_int_equal(initrd_write(f->base, f->guestd, f->out, &e), -1);
    assert_non_null(strstr(e.msg, f->base));
    assert_int_equal(access(f->out, F_OK), -1);
}

static char *cached(struct fixture *f, const char *key, struct err *e)
{
    struct layer layer = {.dir = f->dir, .lock = -1};
    char *path = NULL;

    snprintf(layer.key, sizeof(layer.key), "%s", key);
    if (initrd_cached(&f->paths, &layer, &path, e) < 0)
        return NULL;
    assert_int_equal(access(path, R_OK), 0);
    return path;
}

/* Made once for a base image and a guestd, and again when either changes. */
static void test_cached(void **state)
{
    struct fixture *f = *state;
    auto_err struct err e = ERR_INIT;
    auto_free char *first = NULL, *again = NULL, *other_base = NULL, *other_guestd = NULL;

    f->paths.guestd = mem_strdup(f->guestd);
    assert_null(cached(f, "a", &e));
    assert_non_null(strstr(e.msg, "cannot find the guest daemon"));
    assert_non_null(e.advice);
    write_text(f->base, "BASE");
    write_text(f->guestd, "one");
    first = cached(f, "a", &e);
    again = cached(f, "a", &e);
    assert_string_equal(first, again);
    assert_int_equal(count_entries(f->paths.cache), 1);
    other_base = cached(f, "b", &e);
    assert_string_not_equal(first, other_base);
    write_text(f->guestd, "two!");
    other_guestd = cached(f, "a", &e);
    assert_string_not_equal(first, other_guestd);
}

/* ---- the base image's key ---- */

static struct base_request request(struct strv packages)
{
    return (struct base_request){
        .packages = packages,
        .user = {"ann", "staff", "/home/ann", "/bin/bash", 1000, 1000},
    };
}

static void key_of(const struct base_request *r, char *key)
{
    auto_err struct err e = ERR_INIT;

    ASSERT_OK(e, base_image_key(r, key, &e));
    assert_int_equal(strspn(key, "0123456789abcdef"), DIGEST_HEX);
}

static void test_key_packages(void **state)
{
    auto_strv struct strv one = STRV_INIT, two = STRV_INIT, three = STRV_INIT;
    struct base_request a, b, c;
    char ka[DIGEST_HEX + 1], kb[DIGEST_HEX + 1], kc[DIGEST_HEX + 1];

    (void)state;
    strv_split(&one, "git jq sudo");
    strv_split(&two, "jq git git"); /* order, repetition and what is there anyway do not matter */
    strv_split(&three, "jq git vim");
    a = request(one);
    b = request(two);
    c = request(three);
    key_of(&a, ka);
    key_of(&b, kb);
    key_of(&c, kc);
    assert_string_equal(ka, kb);
    assert_string_not_equal(ka, kc);
}

static void test_key_user(void **state)
{
    struct base_request base = request(STRV_INIT), r[6];
    char keys[ARRAY_LEN(r)][DIGEST_HEX + 1], key[DIGEST_HEX + 1];

    (void)state;
    key_of(&base, key);
    for (size_t i = 0; i < ARRAY_LEN(r); i++)
        r[i] = base;
    r[0].user.name = "bob";
    r[1].user.group = "users";
    r[2].user.home = "/home/bob";
    r[3].user.shell = "/bin/zsh";
    r[4].user.uid = 1001;
    r[5].user.gid = 1001;
    for (size_t i = 0; i < ARRAY_LEN(r); i++) {
        key_of(&r[i], keys[i]);
        assert_string_not_equal(keys[i], key);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(keys[i], keys[j]);
    }
}

/* A program that is missing is named, with what to install. */
static void test_check(void **state)
{
    struct fixture *f = *state;
    auto_free char *path = mem_strdup(getenv("PATH"));
    auto_free char *mmdebstrap = spawn_find("mmdebstrap");
    auto_err struct err e = ERR_INIT;

    setenv("PATH", f->dir, 1);
    if (mmdebstrap && !str_starts(mmdebstrap, "/usr/sbin/")) {
        assert_int_equal(base_image_check(&e), -1);
        assert_non_null(strstr(e.msg, "mmdebstrap is not installed"));
        assert_string_equal(e.advice, "run: sudo apt install mmdebstrap");
    }
    setenv("PATH", path, 1);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(test_alignment),
        WITH_FIXTURE(test_cpio),
        WITH_FIXTURE(test_missing),
        WITH_FIXTURE(test_cached),
        cmocka_unit_test(test_key_packages),
        cmocka_unit_test(test_key_user),
        WITH_FIXTURE(test_check),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
