/* What a terminal would show: an emulator that a program in the guest writes to while nobody
 * watches.  It is fed with what terminal_filter lets pass, and believes it; see emulator.h. */
#ifndef AGENTVM_GUEST_SCREEN_H
#define AGENTVM_GUEST_SCREEN_H

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "guest/terminal.h"

enum {
    SCREEN_ROWS_MAX = 300,
    SCREEN_COLUMNS_MIN = 2, /* a wide character in the only column ends libvterm 0.1 */
    SCREEN_COLUMNS_MAX = 800,
    SCREEN_ANSWERS_MAX = 4096,
};

struct screen;

/* Cuts a size to the bounds above, and to a row at least. */
static inline void screen_fit(unsigned *rows, unsigned *columns)
{
    *rows = *rows < 1 ? 1 : *rows > SCREEN_ROWS_MAX ? SCREEN_ROWS_MAX : *rows;
    *columns = *columns < SCREEN_COLUMNS_MIN   ? SCREEN_COLUMNS_MIN
               : *columns > SCREEN_COLUMNS_MAX ? SCREEN_COLUMNS_MAX
                                               : *columns;
}

/* Sizes are cut to what fits. */
struct screen *screen_new(unsigned rows, unsigned columns);
void screen_free(struct screen *s);
/* The lines around the cursor stay.  Scroll region and origin mode end, which on is told, too. */
void screen_resize(struct screen *s, unsigned rows, unsigned columns, struct terminal_modes *on);
/* answers: gets what the emulator answers to questions, at most SCREEN_ANSWERS_MAX bytes; NULL: a
 * real terminal does. */
void screen_feed(struct screen *s, const void *data, size_t len, struct buf *answers);

/* What a painting takes at most: of a cell its look, two colours and six characters. */
static inline size_t screen_painting_max(unsigned rows, unsigned columns)
{
    return 4096 + rows * (16 + columns * (size_t)96);
}

/* Appends what makes a terminal of the same size show the same: cells with their colours, the
 * cursor, and what on says.  shown: what that terminal has on now; scroll: first moves its lines
 * out of the way rather than overwrite them. */
void screen_paint(const struct screen *s, const struct terminal_modes *on,
                  const struct terminal_modes *shown, bool scroll, struct buf *out);
/* The text of a row, without blanks at its end, for tests; the caller frees it. */
char *screen_row(const struct screen *s, unsigned row);

#endif
