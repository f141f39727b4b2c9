/* The keys that end an attachment. */
#include "helpers.h"

#include "supervisor/detach_keys.h"

/* Types the parts, divided by '|'; returns what the program gets, with "!" where it was left. */
static void types(const char *keys, const char *expected)
{
    auto_free char *copy = mem_strdup(keys);
    auto_buf struct buf out = BUF_INIT;
    struct detach_keys k = {0};
    char *save = NULL;
    bool left = false;

    buf_puts(&out, "");
    for (char *part = strtok_r(copy, "|", &save); part && !left; part = strtok_r(NULL, "|", &save))
        left = detach_keys_take(&k, part, strlen(part), &out);
    if (left)
        buf_puts(&out, "!");
    assert_string_equal(out.data, expected);
}

static void leaves(void **state)
{
    (void)state;
    types("\035d", "!");
    types("\035|d", "!");
    types("abc\035dxyz", "abc!");
    types("\033[93;5ud", "!");
    types("\033[93;5u|\033[100u", "!");
    types("\033[27;5;93~d", "!");
    types("\035\035d", "\035!");
}

static void passes_the_rest(void **state)
{
    (void)state;
    types("plain", "plain");
    types("d", "d");
    types("\035x", "\035x");
    types("\035|xd", "\035xd");
    types("\033", "\033"); /* is not held back */
    types("\033[A\033[93;6u", "\033[A\033[93;6u");
    types("\033[93;5ux", "\033[93;5ux");
    types("\035", ""); /* waits for the next key */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(leaves), cmocka_unit_test(passes_the_rest)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
