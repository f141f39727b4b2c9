/* guest/terminal: what of a guest's output reaches the user's terminal, however it is cut up. */
#include "helpers.h"

#include "guest/terminal.h"

#define ST "\033\\"
#define CHARS_C1(c) "\xc2" c /* U+0080 to U+009F, in UTF-8 */

struct example {
    const char *in, *out; /* out NULL: the same */
};

static char *filter_parts(const char *in, size_t len, size_t part)
{
    struct terminal_filter f = {0};
    struct buf out = BUF_INIT;

    for (size_t at = 0; at < len; at += part)
        terminal_filter(&f, in + at, len - at < part ? len - at : part, &out);
    buf_puts(&out, "");
    return buf_steal(&out);
}

static char *filter_split(const char *in, size_t len, size_t at)
{
    struct terminal_filter f = {0};
    struct buf out = BUF_INIT;

    terminal_filter(&f, in, at, &out);
    assert_true(out.len + terminal_held(&f) <= at);
    terminal_filter(&f, in + at, len - at, &out);
    assert_true(out.len + terminal_held(&f) <= len);
    buf_puts(&out, "");
    return buf_steal(&out);
}

static void check_same(const char *in, char *got, const char *want)
{
    if (strcmp(got, want) != 0) {
        auto_free char *a = str_quote(in), *b = str_quote(got), *c = str_quote(want);

        fail_msg("%s became %s, not %s", a, b, c);
    }
    free(got);
}

static void check(const char *in, const char *want)
{
    size_t len = strlen(in);

    check_same(in, filter_parts(in, len, 1), want);
    for (size_t at = 0; at <= len; at++)
        check_same(in, filter_split(in, len, at), want);
}

/* Each also between texts, which it must not touch. */
static void check_all(const struct example *examples, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct example *e = &examples[i];
        const char *out = e->out ? e->out : e->in;
        auto_free char *in = mem_printf("a%s|z", e->in), *want = mem_printf("a%s|z", out);

        check(e->in, out);
        check(in, want);
    }
}

static void test_text(void **state)
{
    static const struct example examples[] = {
        {"plain\ttext\r\n\b\a\v\f\016\017"},
        {"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"},
        /* bytes of C1 in characters: U+015B, U+075B, U+201C, U+1F4DD */
        {"\xc5\x9b\xdd\x9b\xe2\x80\x9c\xf0\x9f\x93\x9d"},
        {"\xc2\xa0\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf"}, /* first and last ones */
        /* what is no UTF-8, C1 as bytes too */
        {"\x80|\x9b|\xff|\xc0\x80", "?|?|?|??"},
        {"\xe2\x82|\xf0\x9f\x98|\xc3|", "?|?|?|"},
        {"\xe2\x9b\x31;2c", "?1;2c"},
        {"\xed\xa0\x80|\xf4\x90\x80\x80|\xe0\x9f\xbf|\xf0\x8f\xbf\xbf", "???|????|???|????"},
        {"\xc3\xc3\xbc", "?\xc3\xbc"},
        {"\xc3\033[m", "?\033[m"},
        {"\001\002\003\004\005\006\020\021\023\024\030\032\034\037\177", ""},
    };

    (void)state;
    check("\xc3", ""); /* its rest may still come */
    check_all(examples, ARRAY_LEN(examples));
}

static void test_passes(void **state)
{
    static const struct example examples[] = {
        {"\033[m"},
        {"\033[1;31m"},
        {"\033[38;2;1;2;3;48:2::4:5:6;4:3m"},
        {"\033[H"},
        {"\033[12;40H"},
        {"\033[999999C"},
        {"\033[2J"},
        {"\033[3J"},
        {"\033[K"},
        {"\033[?2J"},
        {"\033[5;20r"},
        {"\033[s\033[u"},
        {"\0337\0338"},
        {"\033[4h\033[4l"},
        {"\033[3T"},
        {"\033[2 q"},
        {"\033[!p"},
        {"\033[?1049h"},
        {"\033[?1000;1002;1006h"},
        {"\033[?25l"},
        {"\033[?2004h"},
        {"\033[?2026h"},
        {"\033[?7l"},
        {"\033="},
        {"\033>"},
        {"\033M"},
        {"\033c"},
        {"\033(0"},
        {"\033(B"},
        {"\033)0"},
        {"\033#8"},
        /* keyboards */
        {"\033[>1u"},
        {"\033[<u"},
        {"\033[<2u"},
        {"\033[=5;1u"},
        {"\033[?u"},
        {"\033[>4;2m"},
        {"\033[>4m"},
        {"\033[?4m"},
        {"\033[>4n"},
        /* questions */
        {"\033[c"},
        {"\033[0c"},
        {"\033[>c"},
        {"\033[>0q"},
        {"\033[5n"},
        {"\033[6n"},
        {"\033[?6n"},
        {"\033[?996n"},
        {"\033[?2026$p"},
        {"\033[4$p"},
        {"\033[14t"},
        {"\033[16t"},
        {"\033[18t"},
        {"\033[22;0;0t"},
        {"\033[23;0t"},
        {"\033]10;?\a"},
        {"\033]11;?" ST},
        /* titles and links */
        {"\033]0;a title\a"},
        {"\033]2;\xe2\x9c\xb3 t\xc5\x9c\xc5\x9b" ST},
        {"\033]1;\a"},
        {"\033]8;;https://example.org/?a=b;c\atext\033]8;;\a"},
        {"\033]8;id=1;http://[::1]/" ST},
        /* C1 as characters is ESC and a letter */
        {CHARS_C1("\x9b") "1m", "\033[1m"},
        {CHARS_C1("\x85") CHARS_C1("\x8d"), "\033E\033M"},
        {CHARS_C1("\x9d") "0;t" CHARS_C1("\x9c"), "\033]0;t" ST},
    };

    (void)state;
    check_all(examples, ARRAY_LEN(examples));
}

static void test_drops_strings(void **state)
{
    static const struct example examples[] = {
        /* the clipboard, a file, a notification, colours, fonts, folders */
        {"\033]52;c;ZXZpbA==\a", ""},
        {"\033]52;c;?" ST, ""},
        {"\033]1337;File=name=eA==:eA==\a", ""},
        {"\033]9;hi\a", ""},
        {"\033]777;notify;a;b\a", ""},
        {"\033]99;;hi" ST, ""},
        {"\033]4;1;?\a", ""},
        {"\033]4;1;red\a", ""},
        {"\033]10;red\a", ""},
        {"\033]11;?;?\a", ""},
        {"\033]50;?\a", ""},
        {"\033]7;file:///\a", ""},
        {"\033]133;A\a", ""},
        {"\033]\a", ""},
        {"\033]0\a", ""},
        {"\033]05;x\a", ""},
        {"\033]L" ST, ""},
        /* titles with something in them */
        {"\033]0;a\nb\a", ""},
        {"\033]0;a\x80\a", ""},
        {"\033]0;a\xe2\x80\xae\a", ""},
        {"\033]0;a" CHARS_C1("\x9b") "b\a", ""},
        {"\033]0;a\030", ""},
        {"\033]0;a\032", ""},
        /* links to other than the web: the text is in none */
        {"\033]8;;file:///etc/passwd\a", "\033]8;;\a"},
        {"\033]8;;ssh://x" ST, "\033]8;;" ST},
        {"\033]8;;https://a b\a", "\033]8;;\a"},
        {"\033]8;id=1;\a", "\033]8;;\a"},
        {"\033]8;\a", ""},
        {"\033]8;x" ST, ""},
        /* DCS: what a setting is, capabilities, graphics, macros, another terminal's sequences */
        {"\033P$qm" ST, ""},
        {"\033P+q544e" ST, ""},
        {"\033Pq#0~~" ST, ""},
        {"\033P\a\n" ST, ""},
        {"\033P1;0;1!z414243" ST, ""},
        {"\033Ptmux;\033\033]52;c;eA==\a" ST, ""},
        /* APC, PM, SOS, a title of screen's */
        {"\033_Gt=f;L2V0Yw==" ST, ""},
        {"\033^x" ST, ""},
        {"\033Xx" ST, ""},
        {"\033kx" ST, ""},
        {CHARS_C1("\x90") "x" CHARS_C1("\x9c"), ""},
        {CHARS_C1("\x9f") "x" ST, ""},
        {CHARS_C1("\x98") "x" ST CHARS_C1("\x9e") "x" ST, ""},
        {CHARS_C1("\x9d") "52;c;?" CHARS_C1("\x9c"), ""},
    };

    (void)state;
    check_all(examples, ARRAY_LEN(examples));
}

static void test_drops_controls(void **state)
{
    static const struct example examples[] = {
        /* the window, its title, the printer, the keyboard */
        {"\033[21t", ""},
        {"\033[20t", ""},
        {"\033[2t", ""},
        {"\033[3;1;1t", ""},
        {"\033[8;1;1t", ""},
        {"\033[9;1t", ""},
        {"\033[>2t", ""},
        {"\033[1;21t", ""},
        {"\033[t", ""},
        {"\033[21;0;0t", ""},
        {CHARS_C1("\x9b") "21t", ""},
        {"\033[5i", ""},
        {"\033[i", ""},
        {"\033[?5i", ""},
        {"\033[2h", ""},
        {"\033[4;2h", ""},
        {"\033[12h", ""},
        /* modes in which a terminal reads something else, or is another */
        {"\033[?2l", ""},
        {"\033[?38h", ""},
        {"\033[?3h", ""},
        {"\033[?40h", ""},
        {"\033[?h", ""},
        {"\033[?1049;38h", ""},
        {"\033[?5522h", ""},
        {"\033[61\"p", ""},
        {"\033%@", ""},
        {"\033 G", ""},
        {"\033N", ""},
        {"\033Z", ""},
        {"\033n", ""},
        {"\033-A", ""},
        {"\033(K", ""},
        /* questions whose answers are text, or what is on the screen */
        {"\033[=c", ""},
        {"\033[x", ""},
        {"\033[1;1;1;1;1;1*y", ""},
        {"\033[?15n", ""},
        {"\033[?62n", ""},
        {"\033[1;1'z", ""},
        {"\033[?1;1;0S", ""},
        {"\033[1$w", ""},
        {"\033[1;2;3;4;5T", ""},
        /* damaged ones */
        {"\033[1\n2m", "\n2m"},
        {"\033[1\xe2\x82\xac", "\xe2\x82\xac"},
        {"\033\033[m", "\033[m"},
        {"\033[\033[m", "\033[m"},
        {"\033[1?h", ""},
        {"\033[1 2q", ""},
        {"\033[1234567A", ""},
        {"\033[4:3A", ""},
        {"\033[?1:2h", ""},
        {"\033[\030m", "m"},
        {"\033]0;a\033[m", "\033[m"},
        {"\033P\033]0;t\a", "\033]0;t\a"},
        {"\033[!!p", ""},
        {"\033((B", ""},
        {ST, ""},
        {"\033[<>u", ""},
    };

    (void)state;
    check_all(examples, ARRAY_LEN(examples));
}

static void test_long(void **state)
{
    static const char *const starts[] = {"\033]0;", "\033P", "\033_G", "\033["};
    static const char *const ends[] = {"\a", ST, ST, "m"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(starts); i++) {
        struct terminal_filter f = {0};
        auto_buf struct buf out = BUF_INIT;

        terminal_filter(&f, starts[i], strlen(starts[i]), &out);
        for (int n = 0; n < 100000; n++) {
            terminal_filter(&f, "1111111111", 10, &out);
            assert_true(terminal_held(&f) <= TERMINAL_HELD_MAX);
        }
        assert_int_equal(out.len, 0);
        terminal_filter(&f, ends[i], strlen(ends[i]), &out);
        terminal_filter(&f, "after", 5, &out);
        assert_string_equal(out.data, "after");
        assert_int_equal(terminal_held(&f), 0);
    }
}

/* The longest link that passes, and one byte more. */
static void test_longest(void **state)
{
    static const char start[] = "\033]8;;https://";
    auto_free char *link = mem_zalloc(1, TERMINAL_HELD_MAX + 16);

    (void)state;
    memset(link, 'x', TERMINAL_HELD_MAX);
    memcpy(link, start, strlen(start));
    link[TERMINAL_HELD_MAX] = '\a';
    check_same("a long link", filter_parts(link, strlen(link), 1000), link);
    link[TERMINAL_HELD_MAX] = 'x';
    link[TERMINAL_HELD_MAX + 1] = '\a';
    check_same("a longer one", filter_parts(link, strlen(link), 1000), "");
}

static void test_nul(void **state)
{
    static const char in[] = "a\0b\033[1\0m\033]0;x\0y\ac";
    struct terminal_filter f = {0};
    auto_buf struct buf out = BUF_INIT;

    (void)state;
    terminal_filter(&f, in, sizeof(in) - 1, &out);
    assert_string_equal(out.data, "abmc");
}

static void test_reset(void **state)
{
    static const struct example examples[] = {
        {"text\033[1m\033[0m\033[?25l\033[?25h\033[>1u\033[<u\033=\033>", ""},
        {"\033[1m", "\033[m"},
        {"\033[1m\033[m", ""},
        {"\033[?25l", "\033[?25h"},
        {"\033[?7l", "\033[?7h"},
        {"\033[?1049h", "\033[?1049l\033[m"},
        {"\033[?1000;1006h\033[?2004h\033[?1h", "\033[?1l\033[?1000l\033[?1006l\033[?2004l"},
        {"\033[?1000;1006h\033[?1006;1000l", ""},
        {"\033[>1u\033[>3u\033[<u", "\033[<1u"},
        {"\033[>1u\033[?1049h\033[>1u\033[>1u", "\033[<2u\033[?1049l\033[<1u\033[m"},
        {"\033[<5u\033[>1u", "\033[<1u"},
        {"\033[=1u", "\033[=0u"},
        {"\033[>4;2m", "\033[>4m"},
        {"\033[>4;2m\033[>4n", ""},
        {"\033=", "\033>"},
        {"\033[4h", "\033[4l"},
        {"\033[2;5r", "\0337\033[r\0338"},
        {"\033[2;5r\033[r", ""},
        {"\033[3 q", "\033[0 q"},
        {"\033(0", "\017\033(B"},
        {"\016", "\017\033(B"},
        {"\033]8;;https://a\a", "\033]8;;" ST},
        {"\033]8;;https://a\a\033]8;;file:///a\a", ""},
        {"\033[1m\0337\033[m\0338", "\017\033(B\033[m"},
        {"\033[?1049h\033[?25l\033[1m\033=\033c", ""},
        {"\033[?38h\033]52;c;", ""}, /* what was dropped did nothing */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(examples); i++) {
        struct terminal_filter f = {0};
        auto_buf struct buf out = BUF_INIT;
        struct buf reset = BUF_INIT;

        terminal_filter(&f, examples[i].in, strlen(examples[i].in), &out);
        buf_puts(&reset, "");
        terminal_reset(&f, &reset);
        check(reset.data, reset.data); /* it is harmless itself */
        check_same(examples[i].in, buf_steal(&reset), examples[i].out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),          cmocka_unit_test(test_passes),
        cmocka_unit_test(test_drops_strings), cmocka_unit_test(test_drops_controls),
        cmocka_unit_test(test_long),          cmocka_unit_test(test_longest),
        cmocka_unit_test(test_nul),           cmocka_unit_test(test_reset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
