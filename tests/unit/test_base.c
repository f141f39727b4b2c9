/* base: strings, errors, digests, descriptors. */
#include "helpers.h"

#include <errno.h>

#include "base/digest.h"
#include "base/err.h"

/* ---- str ---- */

static void test_buf(void **state)
{
    auto_buf struct buf b = BUF_INIT;
    auto_free char *taken = NULL;

    (void)state;
    buf_reserve(&b, 10);
    assert_string_equal(b.data, "");
    buf_append(&b, NULL, 0);
    assert_int_equal(b.len, 0);
    buf_puts(&b, "hello ");
    buf_printf(&b, "%d", 42);
    assert_string_equal(b.data, "hello 42");
    buf_consume(&b, 6);
    assert_string_equal(b.data, "42");
    for (int i = 0; i < 1000; i++)
        buf_append(&b, "x\0y", 3);
    assert_int_equal(b.len, 3002);
    assert_int_equal(b.data[b.len], '\0');
    taken = buf_steal(&b);
    assert_memory_equal(taken, "42x\0y", 5);
    assert_null(b.data);
    free(taken);
    taken = buf_steal(&b);
    assert_string_equal(taken, "");
}

static void test_strv(void **state)
{
    auto_strv struct strv sv = STRV_INIT;

    (void)state;
    strv_split(&sv, "  one\ttwo\n three ");
    assert_int_equal(sv.n, 3);
    assert_string_equal(sv.v[2], "three");
    assert_null(sv.v[3]);
    assert_true(strv_has(&sv, "two"));
    assert_false(strv_has(&sv, "tw"));
    strv_setenv(&sv, "A", "1");
    strv_setenv(&sv, "AB", "2");
    strv_setenv(&sv, "A", "3=4");
    assert_int_equal(sv.n, 5);
    assert_string_equal(strv_getenv(&sv, "A"), "3=4");
    assert_string_equal(strv_getenv(&sv, "AB"), "2");
    assert_null(strv_getenv(&sv, "one"));
}

static void test_numbers(void **state)
{
    static const char *const bad[] = {
        "", "-1", "+1", " 1", "1 ", "1x", "0x10", "1.5", "18446744073709551616", "101", "9"};
    static const char *const bad_sizes[] = {"", "K", "1KB", "1 K", "-1K", "1P", "17179869184G"};
    uint64_t v = 7;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(str_to_u64(bad[i], 10, 100, &v), -1);
    assert_int_equal(v, 7);
    assert_int_equal(str_to_u64("10", 10, 100, &v), 0);
    assert_int_equal(v, 10);
    assert_int_equal(str_to_u64("18446744073709551615", 0, UINT64_MAX, &v), 0);
    assert_true(v == UINT64_MAX);
    for (size_t i = 0; i < ARRAY_LEN(bad_sizes); i++)
        assert_int_equal(str_to_size(bad_sizes[i], &v), -1);
    assert_int_equal(str_to_size("4G", &v), 0);
    assert_true(v == (uint64_t)4 << 30);
    assert_int_equal(str_to_size("2t", &v), 0);
    assert_true(v == (uint64_t)2 << 40);
    assert_int_equal(str_to_size("512", &v), 0);
    assert_true(v == 512);
    assert_int_equal(str_to_size("16777215T", &v), 0);
}

static void test_nearest(void **state)
{
    static const char *const words[] = {"cpus", "memory", "disk", "packages"};
    auto_free char *longword = mem_zalloc(200, 1);

    (void)state;
    assert_string_equal(str_nearest("memmory", words, 4), "memory");
    assert_string_equal(str_nearest("cpu", words, 4), "cpus");
    assert_string_equal(str_nearest("pakcages", words, 4), "packages");
    assert_null(str_nearest("network", words, 4));
    assert_null(str_nearest("disk", words, 0));
    memset(longword, 'a', 199);
    assert_null(str_nearest(longword, words, 4));
}

static void check_quote(const char *in, const char *want)
{
    auto_free char *got = str_quote(in);

    assert_string_equal(got, want);
}

static void test_quote(void **state)
{
    (void)state;
    check_quote("a/b-c=d", "a/b-c=d");
    check_quote("", "''");
    check_quote("two words", "'two words'");
    check_quote("it's", "'it'\\''s'");
    check_quote("$(x)", "'$(x)'");
    check_quote("~", "'~'");
    check_quote("gr\xc3\xbc\xc3\x9f", "'gr\xc3\xbc\xc3\x9f'");
    check_quote("a\033[31m'b\\\n", "$'a\\033[31m\\'b\\\\\\012'");
    check_quote("\xff"
                "1",
                "$'\\3771'");
    check_quote("\xc2\x9b", "$'\\302\\233'"); /* CSI as a C1 control */
}

static void check_printable(const char *in, const char *want)
{
    auto_free char *got = str_printable(in, strlen(in));

    assert_string_equal(got, want);
}

static void test_printable(void **state)
{
    auto_free char *nul = str_printable("a\0b", 3);

    (void)state;
    assert_string_equal(nul, "a\\x00b");
    check_printable("tab\tline\r\n", "tab\tline\n");
    check_printable("\033]0;x\007", "\\x1b]0;x\\x07");
    check_printable("\x7f", "\\x7f");
    check_printable("\xe2\x82\xac\xf0\x9f\x98\x80", "\xe2\x82\xac\xf0\x9f\x98\x80");
    check_printable("\xe2\x82", "\\xe2\\x82");          /* truncated */
    check_printable("\xc0\xaf", "\\xc0\\xaf");          /* overlong */
    check_printable("\xe0\x80\xaf", "\\xe0\\x80\\xaf"); /* overlong */
    check_printable("\xed\xa0\x80", "\\xed\\xa0\\x80"); /* surrogate */
    check_printable("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80");
    check_printable("\xc2\x85", "\\xc2\\x85"); /* C1: next line */
    check_printable("\xc2\x9b"
                    "2J",
                    "\\xc2\\x9b2J");                             /* C1: starts an escape */
    check_printable("\xe2\x80\xae", "\\xe2\\x80\\xae");          /* right-to-left override */
    check_printable("\xe2\x81\xa6", "\\xe2\\x81\\xa6");          /* left-to-right isolate */
    check_printable("\xd8\x9c", "\\xd8\\x9c");                   /* Arabic letter mark */
    check_printable("\xe2\x80\xa8", "\\xe2\\x80\\xa8");          /* line separator */
    check_printable("\xe2\x80\x8b", "\\xe2\\x80\\x8b");          /* zero width space */
    check_printable("\xf3\xa0\x81\x81", "\\xf3\\xa0\\x81\\x81"); /* tag letter */
    check_printable("\xe2\x80\x8d\xd7\x90\xc2\xa0", "\xe2\x80\x8d\xd7\x90\xc2\xa0");
    check_printable("\xed\x9f\xbf\xef\xbf\xbd", "\xed\x9f\xbf\xef\xbf\xbd");
}

static void check_tail(const char *text, int n, const char *want)
{
    auto_free char *got = str_tail(text, strlen(text), n);

    assert_string_equal(got, want);
}

static void test_tail(void **state)
{
    (void)state;
    check_tail("a\nb\nc\n\n", 2, "b\nc");
    check_tail("a\nb", 5, "a\nb");
    check_tail("", 3, "");
    check_tail("\n\n", 3, "");
    check_tail("one", 1, "one");
    check_tail("a\n\033b", 1, "\\x1bb");
}

static void test_words(void **state)
{
    char hex[7];

    (void)state;
    assert_true(str_starts("abc", "ab"));
    assert_false(str_starts("a", "ab"));
    assert_true(str_ends("x.crt", ".crt"));
    assert_false(str_ends("crt", ".crt"));
    assert_true(str_is_identifier("_A1"));
    assert_false(str_is_identifier("1A"));
    assert_false(str_is_identifier(""));
    assert_false(str_is_identifier("A-B"));
    str_hex(hex, "\x00\xff\x1a", 3);
    assert_string_equal(hex, "00ff1a");
}

/* ---- err ---- */

static void test_err(void **state)
{
    auto_err struct err e = ERR_INIT;

    (void)state;
    assert_string_equal(err_msg(&e), "unknown error");
    assert_int_equal(err_exit_code(&e), EXIT_AGENTVM);
    assert_int_equal(err_errno(&e, ENOENT, "cannot open %s", "x"), -1);
    assert_string_equal(e.msg, "cannot open x: No such file or directory");
    err_prefix(&e, "layer %d", 1);
    assert_string_equal(e.msg, "layer 1: cannot open x: No such file or directory");
    err_advise(&e, "try %s", "again");
    err_detail(&e, mem_strdup("detail"));
    err_exit(&e, 3);
    assert_int_equal(err_exit_code(&e), 3);
    err_set(&e, "wrapped: %s", e.msg); /* its own text as an argument */
    assert_string_equal(e.msg, "wrapped: layer 1: cannot open x: No such file or directory");
    assert_null(e.advice);
    assert_null(e.detail);
    assert_int_equal(e.exit_code, 0);
}

static void test_err_null(void **state)
{
    (void)state;
    assert_int_equal(err_set(NULL, "x"), -1);
    assert_int_equal(err_errno(NULL, EIO, "x"), -1);
    assert_int_equal(err_prefix(NULL, "x"), -1);
    assert_int_equal(err_advise(NULL, "x"), -1);
    assert_int_equal(err_detail(NULL, mem_strdup("freed")), -1);
    assert_int_equal(err_exit(NULL, 3), -1);
    err_clear(NULL);
}

/* ---- digest ---- */

static void test_digest_vectors(void **state)
{
    char hex[DIGEST_HEX + 1];

    (void)state; /* FIPS 180-4's examples */
    digest_bytes("abc", 3, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    digest_bytes("", 0, hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void digest_two(const char *a, const char *x, const char *b, const char *y, char *hex)
{
    struct digest *d = digest_new();

    digest_str(d, a, x);
    digest_str(d, b, y);
    digest_final(d, hex);
}

static void test_digest_fields(void **state)
{
    char one[DIGEST_HEX + 1], two[DIGEST_HEX + 1];
    struct digest *d = digest_new();

    (void)state;
    digest_two("p", "a", "p", "b", one);
    digest_field(d, "p", "ap\0b", 4); /* the same bytes as one field */
    digest_final(d, two);
    assert_string_not_equal(one, two);
    digest_two("p", "ab", "p", "c", one);
    digest_two("p", "ab", "p", "c", two);
    assert_string_equal(one, two);
    digest_two("p", "a", "p", "bc", two);
    assert_string_not_equal(one, two);
    digest_two("q", "ab", "p", "c", two);
    assert_string_not_equal(one, two);
    digest_two("p", "c", "p", "ab", two);
    assert_string_not_equal(one, two);
    digest_final(digest_new(), NULL);
}

static void test_digest_file(void **state)
{
    auto_free char *path = mem_printf("%s/f", (char *)*state);
    auto_err struct err e = ERR_INIT;
    char one[DIGEST_HEX + 1], two[DIGEST_HEX + 1];
    struct digest *d = digest_new();

    write_text(path, "content");
    ASSERT_OK(e, digest_file(d, "l", path, &e));
    digest_final(d, one);
    d = digest_new();
    digest_str(d, "l", "content");
    digest_final(d, two);
    assert_string_equal(one, two);
    d = digest_new();
    assert_int_equal(digest_file(d, "l", "/nonexistent", &e), -1);
    assert_non_null(strstr(e.msg, "/nonexistent"));
    digest_final(d, NULL);
}

static void test_fds(void **state)
{
    int fd = open("/dev/null", O_RDONLY), taken;

    (void)state;
    taken = steal_fd(&fd);
    assert_int_equal(fd, -1);
    errno = EPROTO;
    close_fd(&fd);
    close_fd(&taken);
    assert_int_equal(errno, EPROTO);
    assert_int_equal(taken, -1);
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
        cmocka_unit_test(test_buf),
        cmocka_unit_test(test_strv),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_nearest),
        cmocka_unit_test(test_quote),
        cmocka_unit_test(test_printable),
        cmocka_unit_test(test_tail),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_err),
        cmocka_unit_test(test_err_null),
        cmocka_unit_test(test_digest_vectors),
        cmocka_unit_test(test_digest_fields),
        WITH_SCRATCH(test_digest_file),
        cmocka_unit_test(test_fds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
