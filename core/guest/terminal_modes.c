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

enum { ALTERNATE_ROWS = 3, ALTERNATE = 7 /* the bits of the first three rows */ };

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

    if (c->prefix == '>' || c->prefix == '=')
        on->flags[is_alternate(on)] = (uint8_t)(c->n > 0 ? c->v[0] : 0);
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
        on->top = c->n > 0 ? (uint16_t)c->v[0] : 0;
        on->bottom = c->n > 1 ? (uint16_t)c->v[1] : 0;
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

static void note_modify_keys(struct terminal_modes *on, const struct terminal_csi *c)
{
    on->modify_keys = c->n > 1 && c->v[1] > 0;
    on->keys = (uint8_t)(on->modify_keys ? c->v[1] : 0);
}

void terminal_note_csi(struct terminal_modes *on, const struct terminal_csi *c)
{
    if (c->intermediate == ' ') {
        on->cursor_style = !is_zero(c);
        on->style = (uint8_t)(c->n > 0 ? c->v[0] : 0);
    } else if (c->intermediate)
        return;
    else if (!c->prefix)
        note_plain(on, c);
    else if (c->final == 'u')
        note_keyboard(on, c);
    else if (c->prefix == '?' && (c->final == 'h' || c->final == 'l'))
        note_private_modes(on, c);
    else if (c->prefix == '>' && (c->final == 'm' || c->final == 'n'))
        note_modify_keys(on, c);
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

void terminal_note_resize(struct terminal_modes *on)
{
    on->scroll_region = false;
    on->modes &= ~(1u << terminal_private_mode(6));
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

void terminal_modes_off(const struct terminal_modes *on, struct buf *out)
{
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

void terminal_reset(const struct terminal_filter *f, struct buf *out)
{
    terminal_modes_off(&f->on, out);
}

static void set_private_modes(const struct terminal_modes *on, size_t from, size_t to,
                              struct buf *out)
{
    for (size_t i = from; i < to; i++)
        if (on->modes & 1u << i)
            buf_printf(out, "\033[?%u%c", table[i].number, table[i].normally == ON ? 'l' : 'h');
}

void terminal_screen_on(const struct terminal_modes *on, struct buf *out)
{
    set_private_modes(on, 0, ALTERNATE_ROWS, out);
}

void terminal_modes_on(const struct terminal_modes *on, struct buf *out)
{
    bool alternate = is_alternate(on);

    if (on->scroll_region && on->bottom)
        buf_printf(out, "\033[%u;%ur", on->top, on->bottom);
    else if (on->scroll_region)
        buf_printf(out, "\033[%ur", on->top);
    set_private_modes(on, ALTERNATE_ROWS, ARRAY_LEN(table), out);
    if (on->kitty[alternate] > 0)
        buf_printf(out, "\033[>%uu", on->flags[alternate]);
    else if (on->kitty_set)
        buf_printf(out, "\033[=%uu", on->flags[alternate]);
    if (on->modify_keys)
        buf_printf(out, "\033[>4;%um", on->keys);
    put_if(on->keypad, "\033=", out);
    put_if(on->insert, "\033[4h", out);
    if (on->cursor_style)
        buf_printf(out, "\033[%u q", on->style);
}
