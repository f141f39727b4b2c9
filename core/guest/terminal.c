/* Theory of operation
 *
 * Bytes that show something, and harmless control characters, pass at once.  A sequence is held
 * until it is complete, then passes as a whole or not at all, so the terminal never sees a part of
 * one and cannot disagree about where it ends.  One that grows too long is spoilt: its rest is
 * skipped without being kept.
 *
 * What a terminal's own parser would do with a damaged sequence differs from one to the next.  Here
 * it is given up, and the byte that damaged it is looked at afresh.
 *
 * The C1 control characters have two forms.  As characters, U+0080 to U+009F, they are two bytes
 * long in UTF-8 and mean the same as ESC and a letter, which they are turned into.  As bytes, 0x80
 * to 0x9f, they are no UTF-8 unless they continue a character; a terminal that reads UTF-8 takes
 * them for damaged text, and so does this.  Damaged text becomes question marks: no terminal is
 * left to guess at it.
 */
#include "guest/terminal.h"

#include <string.h>

enum { BEL = 0x07, CAN = 0x18, SUB = 0x1a, ESC = 0x1b, DEL = 0x7f };

enum state {
    GROUND,
    CHARACTER, /* some bytes of a character beyond ASCII */
    ESCAPE,
    CSI,
    STRING,
    STRING_ESC, /* ESC in a string: its end, if '\' follows */
};

static void take_byte(struct terminal_filter *f, uint8_t c, struct buf *out);

static void start(struct terminal_filter *f, enum state state, uint8_t c)
{
    f->state = (uint8_t)state;
    f->spoilt = false;
    f->held[0] = c;
    f->nheld = 1;
}

static void hold(struct terminal_filter *f, uint8_t c, size_t max)
{
    if (f->nheld < max && !f->spoilt)
        f->held[f->nheld++] = c;
    else
        f->spoilt = true;
}

static void give_up(struct terminal_filter *f)
{
    f->state = GROUND;
    f->nheld = 0;
}

static void pass(struct terminal_filter *f, struct buf *out)
{
    buf_append(out, f->held, f->nheld);
    give_up(f);
}

/* The sequence is damaged by a byte that may be the start of something else. */
static void retake(struct terminal_filter *f, uint8_t c, struct buf *out)
{
    give_up(f);
    take_byte(f, c, out);
}

/* How many bytes a character has that begins with c; 0: none does. */
static size_t character_length(uint8_t c)
{
    if (c >= 0xc2 && c <= 0xdf)
        return 2;
    if ((c & 0xf0) == 0xe0)
        return 3;
    return c >= 0xf0 && c <= 0xf4 ? 4 : 0;
}

/* Whether c may follow the bytes of a character that begins with first, as its n-th, from 1.  The
 * second byte excludes overlong forms, surrogates and what is beyond U+10FFFF. */
static bool continues(uint8_t first, size_t n, uint8_t c)
{
    uint8_t low = 0x80, high = 0xbf;

    if (n == 1) {
        low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : low;
        high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : high;
    }
    return c >= low && c <= high;
}

static void take_ground(struct terminal_filter *f, uint8_t c, struct buf *out)
{
    if (c == ESC)
        start(f, ESCAPE, c);
    else if (character_length(c) > 0)
        start(f, CHARACTER, c);
    else if (c >= 0x80)
        buf_puts(out, "?");
    else if ((c >= ' ' && c != DEL) || (c >= BEL && c <= 0x0f)) { /* BEL BS HT LF VT FF CR SO SI */
        terminal_note_control(&f->on, c);
        buf_append(out, &c, 1);
    }
}

static void take_character(struct terminal_filter *f, uint8_t c, struct buf *out)
{
    if (!continues(f->held[0], f->nheld, c)) {
        buf_puts(out, "?");
        retake(f, c, out);
        return;
    }
    f->held[f->nheld++] = c;
    if (f->nheld < character_length(f->held[0]))
        return;
    if (f->held[0] != 0xc2 || c >= 0xa0) {
        pass(f, out);
        return;
    }
    start(f, ESCAPE, ESC);
    take_byte(f, c - 0x40, out);
}

static void end_escape(struct terminal_filter *f, struct buf *out)
{
    if (f->spoilt || !terminal_may_escape(f->held, f->nheld)) {
        give_up(f);
        return;
    }
    terminal_note_escape(&f->on, f->held, f->nheld);
    pass(f, out);
}

/* DCS, SOS, OSC, PM and APC; and the title of the terminals that tmux and screen are. */
static bool starts_string(uint8_t c)
{
    return c == 'P' || c == 'X' || c == ']' || c == '^' || c == '_' || c == 'k';
}

static void take_escape(struct terminal_filter *f, uint8_t c, struct buf *out)
{
    if (c < ' ' || c >= DEL) {
        retake(f, c, out);
        return;
    }
    hold(f, c, TERMINAL_CSI_MAX);
    if (f->nheld == 2 && c == '[') {
        f->state = CSI;
    } else if (f->nheld == 2 && starts_string(c)) {
        f->state = STRING;
        f->string = c;
        f->last = 0;
        f->spoilt = c != ']';
    } else if (c >= '0') {
        end_escape(f, out);
    }
}

static void take_csi(struct terminal_filter *f, uint8_t c, struct buf *out)
{
    struct terminal_csi csi;

    if (c < ' ' || c >= DEL) {
        retake(f, c, out);
        return;
    }
    hold(f, c, TERMINAL_CSI_MAX);
    if (c < '@')
        return;
    if (f->spoilt || !terminal_parse_csi(f->held, f->nheld, &csi) || !terminal_may_csi(&csi)) {
        give_up(f);
        return;
    }
    terminal_note_csi(&f->on, &csi);
    pass(f, out);
}

/* The string is complete: end is how it ended, BEL or ESC \. */
static void end_string(struct terminal_filter *f, const char *end, struct buf *out)
{
    enum terminal_verdict verdict =
        f->spoilt ? TERMINAL_DROP : terminal_judge_osc(f->held + 2, f->nheld - 2u);

    if (verdict == TERMINAL_DROP) {
        give_up(f);
        return;
    }
    if (verdict == TERMINAL_UNLINK) {
        memcpy(f->held + 2, "8;;", 3);
        f->nheld = 5;
    }
    if (f->held[2] == '8')
        f->on.link = f->nheld > 5;
    pass(f, out);
    buf_puts(out, end);
}

static void take_string(struct terminal_filter *f, uint8_t c, struct buf *out)
{
    bool st = f->last == 0xc2 && c == 0x9c; /* ST as a character */

    f->last = c;
    if (c == ESC) {
        f->state = STRING_ESC;
    } else if (c == CAN || c == SUB) {
        give_up(f);
    } else if (c == BEL && (f->string == ']' || f->string == 'k')) {
        end_string(f, "\a", out);
    } else if (st) {
        if (!f->spoilt)
            f->nheld--;
        end_string(f, "\033\\", out);
    } else {
        hold(f, c, sizeof(f->held));
    }
}

static void take_string_esc(struct terminal_filter *f, uint8_t c, struct buf *out)
{
    if (c == '\\') {
        end_string(f, "\033\\", out);
        return;
    }
    start(f, ESCAPE, ESC);
    take_byte(f, c, out);
}

static void take_byte(struct terminal_filter *f, uint8_t c, struct buf *out)
{
    static void (*const take[])(struct terminal_filter *, uint8_t, struct buf *) = {
        [GROUND] = take_ground, [CHARACTER] = take_character, [ESCAPE] = take_escape,
        [CSI] = take_csi,       [STRING] = take_string,       [STRING_ESC] = take_string_esc,
    };

    take[f->state](f, c, out);
}

/* Length of the complete character at s, which is beyond ASCII; 0: that is something else. */
static size_t whole_character(const uint8_t *s, size_t len)
{
    size_t n = character_length(s[0]);

    if (n == 0 || n > len || (s[0] == 0xc2 && s[1] < 0xa0))
        return 0;
    for (size_t i = 1; i < n; i++)
        if (!continues(s[0], i, s[i]))
            return 0;
    return n;
}

/* Plain text is most of what there is: what of it may pass in one go. */
static size_t plain_length(const uint8_t *s, size_t len)
{
    size_t n = 0, more;

    for (;;) {
        while (n < len && ((s[n] >= ' ' && s[n] < DEL) || s[n] == '\n' || s[n] == '\r'))
            n++;
        more = n < len ? whole_character(s + n, len - n) : 0;
        if (more == 0)
            return n;
        n += more;
    }
}

void terminal_filter(struct terminal_filter *f, const void *in, size_t len, struct buf *out)
{
    const uint8_t *s = in;

    buf_reserve(out, f->nheld + len);
    while (len > 0) {
        size_t n = f->state == GROUND ? plain_length(s, len) : 0;

        if (n > 0) {
            buf_append(out, s, n);
        } else {
            take_byte(f, *s, out);
            n = 1;
        }
        s += n;
        len -= n;
    }
}

size_t terminal_held(const struct terminal_filter *f)
{
    return f->nheld;
}
