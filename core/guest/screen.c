/* The one door to libvterm, whose screen this paints.
 *
 * What libvterm does not keep is not painted: dim text, large letters, what lies under the
 * alternate screen. */
#include "guest/screen.h"

#include <stdlib.h>
#include <string.h>
#include <vterm.h>

#include "base/mem.h"

enum {
    SECOND_HALF = UINT32_MAX, /* the cell behind a wide character */
    PARAMETERS_MAX = 16,      /* of a sequence that libvterm has room for; it does not check */
};

struct screen {
    VTerm *vt;
    VTermScreen *screen;
    VTermState *state;
    int rows, columns;
    char last[4]; /* the last character that was written, nlast bytes of UTF-8 */
    size_t nlast;
    struct buf *answers;
};

static void on_answer(const char *s, size_t len, void *user)
{
    struct screen *screen = user;

    if (screen->answers && screen->answers->len + len <= SCREEN_ANSWERS_MAX)
        buf_append(screen->answers, s, len);
}

static void open_emulator(struct screen *s, unsigned rows, unsigned columns)
{
    screen_fit(&rows, &columns);
    s->rows = (int)rows;
    s->columns = (int)columns;
    s->vt = vterm_new(s->rows, s->columns);
    vterm_set_utf8(s->vt, 1);
    vterm_output_set_callback(s->vt, on_answer, s);
    s->screen = vterm_obtain_screen(s->vt);
    s->state = vterm_obtain_state(s->vt);
    vterm_screen_enable_altscreen(s->screen, 1);
    vterm_screen_set_damage_merge(s->screen, VTERM_DAMAGE_SCREEN);
    vterm_screen_reset(s->screen, 1);
}

struct screen *screen_new(unsigned rows, unsigned columns)
{
    struct screen *s = mem_zalloc(1, sizeof(*s));

    open_emulator(s, rows, columns);
    return s;
}

void screen_free(struct screen *s)
{
    if (!s)
        return;
    vterm_free(s->vt);
    free(s);
}

/* Keeps the last character of a text without sequences. */
static void note_last(struct screen *s, const char *text, size_t len)
{
    size_t end = len, start;

    while (end > 0 && (unsigned char)text[end - 1] < ' ')
        end--;
    if (end == 0)
        return;
    start = end - 1;
    while (start > 0 && end - start < sizeof(s->last) &&
           ((unsigned char)text[start] & 0xc0) == 0x80)
        start--;
    s->nlast = end - start;
    memcpy(s->last, text + start, s->nlast);
}

static VTermPos cursor_of(const struct screen *s)
{
    VTermPos pos;

    vterm_state_get_cursorpos(s->state, &pos);
    return pos;
}

/* REP, ESC [ count b: writes the last character again, while that moves the cursor to the right. */
static void repeat(struct screen *s, const struct terminal_csi *csi)
{
    VTermPos at = cursor_of(s), before;
    uint32_t left = csi->v[0] > 0 ? csi->v[0] : 1;

    do {
        before = at;
        vterm_input_write(s->vt, s->last, s->nlast);
        at = cursor_of(s);
    } while (--left > 0 && at.row == before.row && at.col > before.col);
}

/* What libvterm must not see: from a repetition of no character, or of one without width, it never
 * returns; large letters, which are not painted anyway, end old ones; and parameters that it has no
 * room for overwrite what lies behind. */
static bool is_harmful(const char *sequence, size_t len, struct terminal_csi *csi)
{
    csi->final = 0;
    if (len < 2 || sequence[1] != '[')
        return len > 1 && sequence[1] == '#';
    return len < 3 || !terminal_parse_csi((const uint8_t *)sequence, len, csi) ||
           csi->final == 'b' || csi->n > PARAMETERS_MAX;
}

void screen_feed(struct screen *s, const void *data, size_t len, struct buf *answers)
{
    const char *text = data, *end = text + len, *fed = text;
    struct terminal_csi csi;

    s->answers = answers;
    while (text < end) {
        const char *escape = memchr(text, '\033', (size_t)(end - text));
        size_t plain = (size_t)((escape ? escape : end) - text), n;

        note_last(s, text, plain);
        text += plain;
        n = terminal_sequence_length(text, (size_t)(end - text));
        if (is_harmful(text, n, &csi)) {
            vterm_input_write(s->vt, fed, (size_t)(text - fed));
            if (csi.final == 'b')
                repeat(s, &csi);
            fed = text + n;
        }
        text += n;
    }
    vterm_input_write(s->vt, fed, (size_t)(end - fed));
    vterm_screen_flush_damage(s->screen);
    s->answers = NULL;
}

/* ---- painting ------------------------------------------------------------------------------- */

static void put_character(uint32_t c, struct buf *out)
{
    uint8_t b[4];
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};

    for (size_t i = n; i > 1; i--, c >>= 6)
        b[i - 1] = 0x80 | (c & 0x3f);
    b[0] = (uint8_t)(lead[n] | c);
    buf_append(out, b, n);
}

/* base: 30 for the text's colour, 40 for the background's. */
static void put_colour(const VTermColor *c, int base, struct buf *out)
{
    if (base == 30 ? VTERM_COLOR_IS_DEFAULT_FG(c) : VTERM_COLOR_IS_DEFAULT_BG(c))
        return;
    buf_puts(out, "\033[");
    if (VTERM_COLOR_IS_RGB(c))
        buf_printf(out, "%d;2;%d;%d;%dm", base + 8, c->rgb.red, c->rgb.green, c->rgb.blue);
    else if (c->indexed.idx < 8)
        buf_printf(out, "%dm", base + c->indexed.idx);
    else if (c->indexed.idx < 16)
        buf_printf(out, "%dm", base + 60 + c->indexed.idx - 8);
    else
        buf_printf(out, "%d;5;%dm", base + 8, c->indexed.idx);
}

/* How a character looks. */
struct look {
    bool bold, italic, blink, reverse, strike;
    unsigned underline, font;
    VTermColor fg, bg;
};

static bool is_same_look(const struct look *a, const struct look *b)
{
    return a->bold == b->bold && a->italic == b->italic && a->blink == b->blink &&
           a->reverse == b->reverse && a->strike == b->strike && a->underline == b->underline &&
           a->font == b->font && vterm_color_is_equal(&a->fg, &b->fg) &&
           vterm_color_is_equal(&a->bg, &b->bg) &&
           VTERM_COLOR_IS_DEFAULT_FG(&a->fg) == VTERM_COLOR_IS_DEFAULT_FG(&b->fg) &&
           VTERM_COLOR_IS_DEFAULT_BG(&a->bg) == VTERM_COLOR_IS_DEFAULT_BG(&b->bg);
}

/* In several sequences: one with all that there may be has more than PARAMETERS_MAX parameters. */
static void put_look(const struct look *l, struct buf *out)
{
    static const char *const underlines[] = {"", ";4", ";21", ";4:3"};

    buf_puts(out, "\033[0");
    buf_puts(out, l->bold ? ";1" : "");
    buf_puts(out, l->italic ? ";3" : "");
    buf_puts(out, underlines[l->underline & 3]);
    buf_puts(out, l->blink ? ";5" : "");
    buf_puts(out, l->reverse ? ";7" : "");
    buf_puts(out, l->strike ? ";9" : "");
    if (l->font)
        buf_printf(out, ";%u", 10 + l->font);
    buf_puts(out, "m");
    put_colour(&l->fg, 30, out);
    put_colour(&l->bg, 40, out);
}

static struct look look_of(const VTermScreenCell *c, bool reversed)
{
    return (struct look){.bold = c->attrs.bold,
                         .italic = c->attrs.italic,
                         .blink = c->attrs.blink,
                         .reverse = c->attrs.reverse != reversed,
                         .strike = c->attrs.strike,
                         .underline = c->attrs.underline,
                         .font = c->attrs.font,
                         .fg = c->fg,
                         .bg = c->bg};
}

static int pen_number(const struct screen *s, VTermAttr attr)
{
    VTermValue v = {0};

    vterm_state_get_penattr(s->state, attr, &v);
    return vterm_get_attr_type(attr) == VTERM_VALUETYPE_BOOL ? v.boolean != 0 : v.number;
}

static VTermColor pen_colour(const struct screen *s, VTermAttr attr)
{
    VTermValue v = {0};

    vterm_state_get_penattr(s->state, attr, &v);
    return v.color;
}

/* That of the next character that the program writes. */
static struct look look_of_pen(const struct screen *s)
{
    return (struct look){.bold = pen_number(s, VTERM_ATTR_BOLD),
                         .italic = pen_number(s, VTERM_ATTR_ITALIC),
                         .blink = pen_number(s, VTERM_ATTR_BLINK),
                         .reverse = pen_number(s, VTERM_ATTR_REVERSE),
                         .strike = pen_number(s, VTERM_ATTR_STRIKE),
                         .underline = (unsigned)pen_number(s, VTERM_ATTR_UNDERLINE),
                         .font = (unsigned)pen_number(s, VTERM_ATTR_FONT),
                         .fg = pen_colour(s, VTERM_ATTR_FOREGROUND),
                         .bg = pen_colour(s, VTERM_ATTR_BACKGROUND)};
}

static VTermScreenCell cell_at(const struct screen *s, int row, int column)
{
    VTermScreenCell c = {.width = 1};

    vterm_screen_get_cell(s->screen, (VTermPos){row, column}, &c);
    return c;
}

static bool is_blank(const VTermScreenCell *c, bool reversed)
{
    return (c->chars[0] == 0 || c->chars[0] == ' ') && !c->chars[1] && !c->attrs.underline &&
           !c->attrs.strike && (c->attrs.reverse != 0) == reversed &&
           VTERM_COLOR_IS_DEFAULT_BG(&c->bg);
}

/* Columns up to the last that shows something. */
static int row_length(const struct screen *s, int row, bool reversed)
{
    for (int n = s->columns; n > 0; n--) {
        VTermScreenCell c = cell_at(s, row, n - 1);

        if (!is_blank(&c, reversed))
            return n;
    }
    return 0;
}

static void put_text(const VTermScreenCell *c, struct buf *out)
{
    if (c->chars[0] == 0)
        buf_puts(out, " ");
    for (int i = 0; i < VTERM_MAX_CHARS_PER_CELL && c->chars[i]; i++)
        put_character(c->chars[i], out);
}

/* The part of a screen that is painted. */
struct part {
    int first, rows, columns;
};

static void paint_row(const struct screen *s, int row, const struct part *p, bool reversed,
                      struct look *look, struct buf *out)
{
    int length = row_length(s, row, reversed);

    if (length > 0)
        buf_printf(out, "\033[%dH", row - p->first + 1);
    for (int column = 0; column < length; column++) {
        VTermScreenCell c = cell_at(s, row, column);
        struct look l = look_of(&c, reversed);

        if (c.chars[0] == SECOND_HALF || column + c.width > p->columns)
            continue;
        if (!is_same_look(&l, look))
            put_look(&l, out);
        *look = l;
        put_text(&c, out);
    }
}

static void paint_cells(const struct screen *s, const struct terminal_modes *on,
                        const struct part *p, struct buf *out)
{
    bool reversed = on->modes & 1u << terminal_private_mode(5);
    struct look look = {0};

    vterm_state_get_default_colors(s->state, &look.fg, &look.bg);
    look.fg.type |= VTERM_COLOR_DEFAULT_FG;
    look.bg.type |= VTERM_COLOR_DEFAULT_BG;
    for (int row = p->first; row < s->rows && row < p->first + p->rows; row++)
        paint_row(s, row, p, reversed, &look, out);
}

/* In origin mode rows count from the scroll region's first. */
static void paint_cursor(const struct screen *s, const struct terminal_modes *on, int first,
                         struct buf *out)
{
    bool origin = on->modes & 1u << terminal_private_mode(6);
    VTermPos pos = cursor_of(s);
    int top = first + (origin && on->scroll_region && on->top > 0 ? on->top - 1 : 0);

    buf_printf(out, "\033[%d;%dH", pos.row > top ? pos.row - top + 1 : 1, pos.col + 1);
}

static void paint_part(const struct screen *s, const struct terminal_modes *on,
                       const struct part *p, struct buf *out)
{
    struct look pen = look_of_pen(s);

    terminal_screen_on(on, out);
    buf_puts(out, "\033[H\033[2J\033[?7l");
    paint_cells(s, on, p, out);
    buf_puts(out, "\033[?7h");
    terminal_modes_on(on, out);
    put_look(&pen, out);
    paint_cursor(s, on, p->first, out);
}

void screen_paint(const struct screen *s, const struct terminal_modes *on,
                  const struct terminal_modes *shown, bool scroll, struct buf *out)
{
    struct part all = {0, s->rows, s->columns};

    terminal_modes_off(shown, out);
    buf_puts(out, "\033[m");
    if (scroll)
        buf_printf(out, "\033[%dH", s->rows);
    for (int i = 0; scroll && i < s->rows; i++)
        buf_puts(out, "\n");
    paint_part(s, on, &all, out);
}

/* The old emulator's screen is painted on a new one: libvterm's own way to another size leaves
 * places of the cursor and of the scroll region behind that are none, and writes there. */
void screen_resize(struct screen *s, unsigned rows, unsigned columns, struct terminal_modes *on)
{
    struct screen old = *s;
    auto_buf struct buf painted = BUF_INIT;
    struct part p;
    int cursor = cursor_of(s).row;

    screen_fit(&rows, &columns);
    if ((int)rows == s->rows && (int)columns == s->columns)
        return;
    terminal_note_resize(on);
    open_emulator(s, rows, columns);
    p = (struct part){cursor < s->rows ? 0 : cursor - s->rows + 1, s->rows, s->columns};
    paint_part(&old, on, &p, &painted);
    vterm_input_write(s->vt, painted.data, painted.len);
    vterm_free(old.vt);
}

char *screen_row(const struct screen *s, unsigned row)
{
    struct buf out = BUF_INIT;
    int length = row_length(s, (int)row, false);

    for (int column = 0; column < length; column++) {
        VTermScreenCell c = cell_at(s, (int)row, column);

        if (c.chars[0] != SECOND_HALF)
            put_text(&c, &out);
    }
    return buf_steal(&out);
}
