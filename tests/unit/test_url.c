#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "plugin/url.h"

static void test_url(void **state)
{
    static const char *const cases[][2] = {
        {"http://localhost:8080/v1", "http://GUEST:8080/v1"},
        {"http://LocalHost", "http://GUEST"},
        {"https://127.0.0.1/a?b=127.0.0.1", "https://GUEST/a?b=127.0.0.1"},
        {"http://127.1:80", "http://GUEST:80"},
        {"http://127.200.3.4#x", "http://GUEST#x"},
        {"http://[::1]:80/", "http://GUEST:80/"},
        {"http://[0:0::1]", "http://GUEST"},
        {"http://me:pass@localhost:1/", "http://me:pass@GUEST:1/"},
        /* everything else stays as it is */
        {"https://example.org/localhost", NULL},
        {"https://localhost.example.org", NULL},
        {"https://127.0.0.1.example.org", NULL},
        {"https://127.0.0.1@example.org/", NULL},
        {"https://localhost:x@example.org/", NULL},
        {"http://[::2]/", NULL},
        {"http://[::1", NULL},
        {"http://[", NULL},
        {"http://128.0.0.1", NULL},
        {"http://", NULL},
        {"localhost:80", NULL},
        {"", NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_free char *url = url_for_guest(cases[i][0], "GUEST");

        assert_string_equal(url, cases[i][1] ? cases[i][1] : cases[i][0]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_url)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
