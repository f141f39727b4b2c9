/* What a program in the guest switched on and did not switch off, because it was killed, say. */
#include <string.h>

#include "base/mem.h"
#include "guest/terminal.h"

/* Private modes that may be set. */
static const struct mode {
    uint16_t number;
    enum { OFF, ON, NEITHER } normally; /* NEITHER: it is an action, not a state */
} table[] = {
    {1049, OFF},     {1047, OFF}, {47, OFF}, /* alternate screen; first, see is_alternate */
    {1, OFF},                                /* cursor keys of applications */
    {5, OFF},                                /* reverse video */
    {6, OFF},                                /* origin */
    {7, ON},                                 /* wrap */
    {12, OFF},                               /* blinking cursor */
    {25, ON},                                /* cursor */
    {66, OFF},                               /* keypad of applications */
    {9, OFF},        {1000, OFF}, {1002, OFF}, {1003, OFF}, /* mouse */
    {1005, OFF},     {1006, OFF}, {1015, OFF}, {1016, OFF},
    {1007, OFF},     {1004, OFF}, /* reports of focus */
    {1048, NEITHER},              /* keeps the cursor's place */
    {2004, OFF},                  /* bracketed paste */
    {2026, OFF},                  /* screen is not updated */
    {2031, OFF},                  /* reports of light and dark */
    {2048, OFF},                  /* reports of size */
};

enum { ALTERNATE = 7 /* the first three rows */ };

int terminal_private_mode(uint32_t number)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].number == number)
            return (int)i;
    return -1;
}

static bool is_alternate(const struct terminal_modes *on)
{
    return (on->modes & ALTERNATE) != 0;
}

/* With the cursor's place a terminal brings back what came with it. */
static void note_restore(struct terminal_modes *on)
{
    on->attributes = on->charset = true;
}

static void note_private_modes(struct terminal_modes *on, const struct terminal_csi *c)
{
    bool set = c->final == 'h';

    for (size_t i = 0; i < c->n; i++) {
        int row = terminal_private_mode(c->v[i]);

        if (!set && (c->v[i] == 1048 || c->v[i] == 1049))
            note_restore(on);
        if (table[row].normally == NEITHER)
            continue;
        if (set == (table[row].normally == OFF))
            on->modes |= 1u << row;
        else
            on->modes &= ~(1u << row);
    }
}

static void note_keyboard(struct terminal_modes *on, const struct terminal_csi *c)
{
    unsigned *depth = &on->kitty[is_alternate(on)];
    unsigned count = c->n > 0 && c->v[0] > 1 ? c->v[0] : 1;

    if (c->prefix == '>')
        *depth += *depth < UINT16_MAX;
    else if (c->prefix == '<')
        *depth -= count < *depth ? count : *depth;
    else if (c->prefix == '=')
        on->kitty_set = c->v[0] > 0;
}

static bool is_zero(const struct terminal_csi *c)
{
    return c->n == 0 || (c->n == 1 && c->v[0] == 0);
}

/* Control sequences without prefix and intermediate. */
static void note_plain(struct terminal_modes *on, const struct terminal_csi *c)
{
    switch (c->final) {
    case 'm':
        on->attributes = !is_zero(c);
        break;
    case 'r':
        on->scroll_region = c->n > 0;
        break;
    case 'u':
        note_restore(on);
        break;
    case 'h':
    case 'l':
        on->insert = c->final == 'h';
        break;
    }
}

void terminal_note_csi(struct terminal_modes *on, const struct terminal_csi *c)
{
    if (c->intermediate == ' ')
        on->cursor_style = !is_zero(c);
    else if (c->intermediate)
        return;
    else if (!c->prefix)
        note_plain(on, c);
    else if (c->final == 'u')
        note_keyboard(on, c);
    else if (c->prefix == '?' && (c->final == 'h' || c->final == 'l'))
        note_private_modes(on, c);
    else if (c->prefix == '>' && (c->final == 'm' || c->final == 'n'))
        on->modify_keys = c->n > 1 && c->v[1] > 0;
}

void terminal_note_escape(struct terminal_modes *on, const uint8_t *seq, size_t len)
{
    if (len == 3 && seq[1] != '#')
        on->charset = on->charset || seq[2] != 'B';
    else if (seq[1] == '=' || seq[1] == '>')
        on->keypad = seq[1] == '=';
    else if (seq[1] == '8' && len == 2)
        note_restore(on);
    else if (seq[1] == 'c')
        *on = (struct terminal_modes){0};
}

void terminal_note_control(struct terminal_modes *on, uint8_t c)
{
    if (c == 0x0e) /* SO: the second character set */
        on->charset = true;
}

static void put_if(bool on, const char *text, struct buf *out)
{
    if (on)
        buf_puts(out, text);
}

static void reset_keyboard(unsigned pushed, struct buf *out)
{
    if (pushed > 0)
        buf_printf(out, "\033[<%uu", pushed);
}

void terminal_reset(const struct terminal_filter *f, struct buf *out)
{
    const struct terminal_modes *on = &f->on;

    put_if(on->link, "\033]8;;\033\\", out);
    if (is_alternate(on))
        reset_keyboard(on->kitty[1], out);
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (on->modes & 1u << i)
            buf_printf(out, "\033[?%u%c", table[i].number, table[i].normally == ON ? 'h' : 'l');
    reset_keyboard(on->kitty[0], out);
    put_if(on->kitty_set, "\033[=0u", out);
    put_if(on->modify_keys, "\033[>4m", out);
    put_if(on->keypad, "\033>", out);
    put_if(on->insert, "\033[4l", out);
    put_if(on->scroll_region, "\0337\033[r\0338", out); /* which moves the cursor */
    put_if(on->cursor_style, "\033[0 q", out);
    put_if(on->charset, "\017\033(B", out);
    put_if(on->attributes || is_alternate(on), "\033[m", out);
}
