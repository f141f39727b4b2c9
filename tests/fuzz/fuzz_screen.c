/* The screen of a detached agent: any bytes as its output, cut anywhere, with sizes that change.
 * What is painted is nothing that the filter would change, and paints the same again. */
#include <string.h>

#include "base/mem.h"
#include "fuzz.h"
#include "guest/screen.h"

struct shown {
    struct terminal_filter filter;
    struct screen *screen;
};

static void feed(struct shown *t, const void *data, size_t len, struct buf *answers)
{
    auto_buf struct buf passed = BUF_INIT;

    terminal_filter(&t->filter, data, len, &passed);
    screen_feed(t->screen, passed.data, passed.len, answers);
}

static void paint(struct shown *t, struct buf *out)
{
    static const struct terminal_modes none;

    screen_paint(t->screen, &t->filter.on, &none, false, out);
}

static void check_painting(const struct buf *painted, unsigned rows, unsigned columns)
{
    struct shown *again = mem_zalloc(1, sizeof(*again));
    auto_buf struct buf passed = BUF_INIT;

    again->screen = screen_new(rows, columns);
    terminal_filter(&again->filter, painted->data, painted->len, &passed);
    FUZZ_HOLDS(passed.len == painted->len && memcmp(passed.data, painted->data, passed.len) == 0);
    screen_feed(again->screen, passed.data, passed.len, NULL);
    screen_free(again->screen);
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct shown *t = mem_zalloc(1, sizeof(*t));
    auto_buf struct buf painted = BUF_INIT, answers = BUF_INIT;
    unsigned rows = 24, columns = 80;

    t->screen = screen_new(rows, columns);
    while (size > 3) {
        size_t part = data[0] < size - 3 ? data[0] : size - 3;

        if (data[0] & 1) {
            rows = data[1] % 50 + 1;
            columns = data[2] % 150 + 1;
            screen_resize(t->screen, rows, columns, &t->filter.on);
        }
        feed(t, data + 3, part, &answers);
        data += 3 + part;
        size -= 3 + part;
    }
    FUZZ_HOLDS(answers.len <= SCREEN_ANSWERS_MAX);
    paint(t, &painted);
    check_painting(&painted, rows, columns);
    screen_free(t->screen);
    free(t);
    return 0;
}
