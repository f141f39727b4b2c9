/* What an agent's terminal shows, painted on another one. */
#include "helpers.h"

#include <stdlib.h>

#include "guest/screen.h"

enum { ROWS = 6, COLUMNS = 20 };

/* Writes text as a program would; returns what the screen shows after that in *on. */
static struct screen *show(const char *text, struct terminal_modes *on)
{
    auto_free struct terminal_filter *f = mem_zalloc(1, sizeof(*f));
    auto_buf struct buf passed = BUF_INIT;
    struct screen *s = screen_new(ROWS, COLUMNS);

    terminal_filter(f, text, strlen(text), &passed);
    screen_feed(s, passed.data, passed.len, NULL);
    *on = f->on;
    return s;
}

/* All that can be seen of a screen: a painting of it, with nothing of what it had on before. */
static char *paint(const struct screen *s, const struct terminal_modes *on)
{
    static const struct terminal_modes none;
    struct buf out = BUF_INIT;

    screen_paint(s, on, &none, false, &out);
    return buf_steal(&out);
}

/* A painting, shown, paints itself again, and is nothing that the filter changes. */
static void comes_back(const char *text)
{
    struct terminal_modes on, again;
    struct screen *first = show(text, &on), *second;
    auto_free char *painted = paint(first, &on);
    auto_free char *repainted = NULL;
    auto_free struct terminal_filter *f = mem_zalloc(1, sizeof(*f));
    auto_buf struct buf passed = BUF_INIT;

    second = show(painted, &again);
    repainted = paint(second, &again);
    assert_string_equal(repainted, painted);
    for (unsigned row = 0; row < ROWS; row++) {
        auto_free char *a = screen_row(first, row);
        auto_free char *b = screen_row(second, row);

        assert_string_equal(a, b);
    }
    terminal_filter(f, painted, strlen(painted), &passed);
    assert_int_equal(passed.len, strlen(painted));
    screen_free(first);
    screen_free(second);
}

static void paints_it_again(void **state)
{
    static const char *const texts[] = {
        "",
        "plain\r\ntext",
        "\033[1mbold\033[0m \033[3;4mslanted\033[0m \033[7mreverse\033[0m \033[9;21mstruck",
        "\033[31mred \033[92mgreen \033[38;5;200mpink \033[38;2;1;2;3mrgb \033[44mon blue",
        "\033[41m\033[2J\033[5;5Hon red\033[0m",
        "日本語 wide\r\n\033[2;19Hx日",
        "e\314\201 combined \360\237\230\200",
        "\033[6;20Hcorner",
        "1\r\n2\r\n3\r\n4\r\n5\r\n6\r\n7\r\n8",
        "\033[?1049h\033[2Jon the other screen\033[3;4H\033[?25l",
        "before\033[?1049hinside\033[?1049lafter",
        "\033[?2004h\033[?1000h\033[?1006h\033[?1h\033=\033[>1u\033[>4;2m\033[5 q",
        "\033[2;4r\033[?6h\033[2;3Hin the region",
        "\033[?5hall reversed \033[7mtwice",
        "\033[?7lno wrap at the end of the line",
        "\033[1;3;4:3;5;7;9;11m\033[38;2;1;2;3m\033[48;2;4;5;6mall at once",
        "\033[4hinsert\r\033[1;35mpen",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        comes_back(texts[i]);
}

/* REP, also where there is nothing to repeat or nothing that has a width: an emulator must not go
 * on for ever. */
static void repeats(void **state)
{
    static const char *const cases[][2] = {
        {"\033[b", ""},
        {"\033[999999b", ""},
        {"\342\200\213\033[999999b", "\342\200\213\342\200\213"}, /* of no width */
        {"ab\033[b", "abb"},
        {"ab\033[31m\033[3bc", "abbbbc"},
        {"\303\251\033[2b", "\303\251\303\251\303\251"},
        {"x\033[999999b", "xxxxxxxxxxxxxxxxxxxx"},
        {"\033#8a\033[2b", "aaa"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct terminal_modes on;
        struct screen *s = show(cases[i][0], &on);
        auto_free char *row = screen_row(s, 0);

        assert_string_equal(row, cases[i][1]);
        screen_free(s);
    }
}

/* As many parameters as an emulator has room for, and more. */
static void takes_many_parameters(void **state)
{
    static const char separators[] = {':', ';'};

    (void)state;
    for (size_t i = 0; i < 2 * 31; i++) {
        auto_buf struct buf text = BUF_INIT;
        struct terminal_modes on;
        struct screen *s;
        auto_free char *row = NULL;

        buf_puts(&text, "a\033[");
        for (size_t n = 0; n <= i / 2; n++)
            buf_append(&text, &separators[i % 2], 1);
        buf_puts(&text, "4mb");
        s = show(text.data, &on);
        row = screen_row(s, 0);
        assert_string_equal(row, "ab");
        screen_free(s);
    }
}

/* A wide character on the narrowest terminal. */
static void takes_one_column(void **state)
{
    struct screen *s = screen_new(1, 1);

    (void)state;
    screen_feed(s, "\346\227\245x", 4, NULL);
    screen_free(s);
}

static bool paints(const char *text, const char *part)
{
    struct terminal_modes on;
    struct screen *s = show(text, &on);
    auto_free char *painted = paint(s, &on);

    screen_free(s);
    return strstr(painted, part) != NULL;
}

static void sets_modes(void **state)
{
    (void)state;
    assert_true(paints("\033[?1049h", "\033[?1049h"));
    assert_false(paints("\033[?1049h\033[?1049l", "\033[?1049"));
    assert_true(paints("\033[?25l", "\033[?25l"));
    assert_true(paints("\033[?2004h", "\033[?2004h"));
    assert_true(paints("\033[>5u", "\033[>5u"));
    assert_true(paints("\033[>5u\033[?u", "\033[>5u")); /* a question changes nothing */
    assert_true(paints("\033[=3u", "\033[=3u"));
    assert_true(paints("\033[3 q", "\033[3 q"));
    assert_true(paints("\033[2;5r", "\033[2;5r"));
    assert_true(paints("x\033[3;7H", "\033[3;7H"));
    assert_false(paints("\033]52;c;eA==\a", "52"));
}

/* What a terminal has on that the program has not any more is switched off first. */
static void switches_off(void **state)
{
    struct terminal_modes on, shown;
    struct screen *s = show("now", &on), *before = show("\033[?1049h\033[?1000h", &shown);
    auto_buf struct buf out = BUF_INIT;

    (void)state;
    screen_paint(s, &on, &shown, false, &out);
    assert_non_null(strstr(out.data, "\033[?1049l"));
    assert_non_null(strstr(out.data, "\033[?1000l"));
    screen_free(s);
    screen_free(before);
}

static void moves_lines_away(void **state)
{
    static const struct terminal_modes none;
    struct terminal_modes on;
    struct screen *s = show("now", &on);
    auto_buf struct buf out = BUF_INIT;

    (void)state;
    screen_paint(s, &on, &none, true, &out);
    assert_non_null(strstr(out.data, "\033[6H\n\n\n\n\n\n"));
    screen_free(s);
}

static void answers(void **state)
{
    struct screen *s = screen_new(ROWS, COLUMNS);
    auto_buf struct buf said = BUF_INIT;

    (void)state;
    screen_feed(s, "\033[2;3H\033[6n", 10, NULL);
    screen_feed(s, "\033[6n", 4, &said);
    assert_string_equal(said.data, "\033[2;3R");
    for (int i = 0; i < SCREEN_ANSWERS_MAX; i++) /* nobody takes them */
        screen_feed(s, "\033[6n", 4, &said);
    assert_in_range(said.len, 1, SCREEN_ANSWERS_MAX);
    screen_free(s);
}

static void resizes(void **state)
{
    struct terminal_modes on;
    struct screen *s = show("one\r\ntwo", &on);
    auto_free char *row = NULL;

    (void)state;
    screen_resize(s, 3, 10, &on);
    row = screen_row(s, 1);
    assert_string_equal(row, "two");
    screen_resize(s, 0, 0, &on);
    screen_resize(s, 65535, 65535, &on);
    screen_feed(s, "more", 4, NULL);
    screen_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paints_it_again),
        cmocka_unit_test(repeats),
        cmocka_unit_test(takes_many_parameters),
        cmocka_unit_test(takes_one_column),
        cmocka_unit_test(sets_modes),
        cmocka_unit_test(switches_off),
        cmocka_unit_test(moves_lines_away),
        cmocka_unit_test(answers),
        cmocka_unit_test(resizes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
