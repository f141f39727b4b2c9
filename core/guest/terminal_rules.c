/* Which sequences pass.  What is in no table does not.
 *
 * A question passes if its answer is what the terminal alone chooses, or where the cursor is:
 * full-screen programs depend on these, and nothing in them is the guest's text.  Names of
 * sequences are those of ECMA-48, of DEC, or of xterm's list of control sequences. */
#include <string.h>

#include "base/mem.h"
#include "guest/terminal.h"

enum { DIGITS_MAX = 6 }; /* programs ask for column 999999 to learn the width; nothing needs more */

/* How many parameters there may be and what they may say. */
enum params {
    ANY,
    PARTS, /* any, and they may have parts */
    NONE,  /* none at all */
    ONE,   /* one at most */
    ZERO,  /* 0 or none */
    FIRST, /* the first is one of the list */
    ALL,   /* each is one of the list */
    MODES, /* each is a private mode that may be set */
};

struct rule {
    char prefix, intermediate;
    const char *finals;
    enum params params;
    uint16_t list[6]; /* ends with 0 */
};

static const struct rule rules[] = {
    /* cursor, insert, delete, erase, scroll, tabs, repeat, scroll region */
    {0, 0, "@ABCDEFGHIJKLMPSXZ`abdefgr", ANY},
    {'?', 0, "JK", ANY},
    {0, 0, "T", ONE},   /* with more it is mouse tracking that waits for an answer */
    {0, 0, "su", NONE}, /* the cursor's place; with parameters s is margins */
    {0, 0, "m", PARTS}, /* colours */
    {0, ' ', "q", ONE}, /* the cursor's shape */
    {0, '!', "p", NONE},
    {0, 0, "hl", ALL, {4}}, /* not 2, which locks the keyboard */
    {'?', 0, "hl", MODES},
    /* keyboard: kitty's protocol, and xterm's modifyOtherKeys */
    {'?', 0, "u", NONE},
    {'>', 0, "u", ONE},
    {'<', 0, "u", ONE},
    {'=', 0, "u", ANY},
    {'>', 0, "mn", FIRST, {4}},
    {'?', 0, "m", FIRST, {4}},
    /* questions: what the terminal is, its state, the cursor, light or dark, a mode */
    {0, 0, "c", ZERO},
    {'>', 0, "cq", ZERO},
    {0, 0, "n", ALL, {5, 6}},
    {'?', 0, "n", ALL, {6, 996}},
    {0, '$', "p", ONE},
    {'?', '$', "p", ONE},
    /* the window: its size in pixels, a character's, that in characters, titles kept on a stack.
     * Not its title, and nothing that moves, resizes or hides it. */
    {0, 0, "t", FIRST, {14, 16, 18, 22, 23}},
};

static bool is_listed(const struct rule *r, uint32_t n)
{
    for (size_t i = 0; i < ARRAY_LEN(r->list) && r->list[i]; i++)
        if (r->list[i] == n)
            return true;
    return false;
}

static bool are_listed(const struct rule *r, const struct terminal_csi *c)
{
    for (size_t i = 0; i < c->n; i++)
        if (r->params == MODES ? terminal_private_mode(c->v[i]) < 0 : !is_listed(r, c->v[i]))
            return false;
    return c->n > 0;
}

static bool fit(const struct rule *r, const struct terminal_csi *c)
{
    if (c->colons && r->params != PARTS)
        return false;
    switch (r->params) {
    case NONE:
        return c->n == 0;
    case ONE:
        return c->n <= 1;
    case ZERO:
        return c->n == 0 || (c->n == 1 && c->v[0] == 0);
    case FIRST:
        return c->n > 0 && is_listed(r, c->v[0]);
    case ALL:
    case MODES:
        return are_listed(r, c);
    default:
        return true;
    }
}

bool terminal_may_csi(const struct terminal_csi *c)
{
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        const struct rule *r = &rules[i];

        if (r->prefix == c->prefix && r->intermediate == c->intermediate &&
            strchr(r->finals, c->final) && fit(r, c))
            return true;
    }
    return false;
}

/* Takes parameters at *at up to the first byte that is in none. */
static bool parse_params(const uint8_t *seq, size_t len, size_t *at, struct terminal_csi *out)
{
    size_t digits = 0;

    for (; *at < len && seq[*at] >= '0' && seq[*at] <= ';'; (*at)++) {
        uint8_t c = seq[*at];

        if (out->n == 0)
            out->n = 1;
        if (c == ';' || c == ':') {
            if (out->n == ARRAY_LEN(out->v))
                return false;
            out->n++;
            out->colons = out->colons || c == ':';
            digits = 0;
        } else {
            if (++digits > DIGITS_MAX)
                return false;
            out->v[out->n - 1] = out->v[out->n - 1] * 10 + (c - '0');
        }
    }
    return true;
}

bool terminal_parse_csi(const uint8_t *seq, size_t len, struct terminal_csi *out)
{
    size_t at = 2;

    *out = (struct terminal_csi){.final = (char)seq[len - 1]};
    if (seq[at] >= '<' && seq[at] <= '?')
        out->prefix = (char)seq[at++];
    if (!parse_params(seq, len, &at, out))
        return false;
    if (seq[at] >= ' ' && seq[at] <= '/')
        out->intermediate = (char)seq[at++];
    return at == len - 1;
}

bool terminal_may_escape(const uint8_t *seq, size_t len)
{
    /* Keypad, cursor kept and brought back, index, next line, tab stop, reverse index, reset. */
    static const char plain[] = "78=>DEHMc";

    if (len == 2)
        return strchr(plain, seq[1]) != NULL;
    if (len != 3)
        return false;
    if (strchr("()*+", seq[1])) /* character sets: British, ASCII, line drawing */
        return strchr("AB0", seq[2]) != NULL;
    return seq[1] == '#' && strchr("34568", seq[2]); /* large letters, a screen full of E */
}

size_t terminal_sequence_length(const char *text, size_t len)
{
    size_t n = 2;

    if (len < 2)
        return len;
    if (text[1] == '[') {
        while (n < len && (text[n] < '@' || text[n] > '~'))
            n++;
        n++;
    } else if (text[1] == ']') {
        while (n < len && text[n] != '\a' && text[n] != '\033')
            n++;
        n += n < len && text[n] == '\033' ? 2 : 1;
    } else if (strchr("#()*+", text[1])) {
        n = 3;
    }
    return n < len ? n : len;
}

static bool has_prefix(const uint8_t *text, size_t len, const char *prefix)
{
    size_t n = strlen(prefix);

    return len >= n && memcmp(text, prefix, n) == 0;
}

static bool is_equal(const uint8_t *text, size_t len, const char *what)
{
    return len == strlen(what) && has_prefix(text, len, what);
}

/* 8;PARAMETERS;ADDRESS: on the web only.  What a file: link opens is the host's file. */
static enum terminal_verdict judge_link(const uint8_t *text, size_t len)
{
    const uint8_t *semicolon = memchr(text + 2, ';', len - 2);
    size_t left;

    if (!semicolon)
        return TERMINAL_DROP;
    for (size_t i = 0; i < len; i++)
        if (text[i] <= ' ' || text[i] > '~')
            return TERMINAL_UNLINK;
    left = len - (size_t)(semicolon + 1 - text);
    if (left == 0)
        return len == 3 ? TERMINAL_PASS : TERMINAL_UNLINK;
    return has_prefix(semicolon + 1, left, "https://") || has_prefix(semicolon + 1, left, "http://")
               ? TERMINAL_PASS
               : TERMINAL_UNLINK;
}

/* Whether it is UTF-8 without any control character. */
static bool is_text(const uint8_t *text, size_t len)
{
    auto_free char *copy = str_printable((const char *)text, len);

    return strlen(copy) == len && memcmp(copy, text, len) == 0 && !memchr(text, '\n', len) &&
           !memchr(text, '\t', len);
}

enum terminal_verdict terminal_judge_osc(const uint8_t *text, size_t len)
{
    if (has_prefix(text, len, "8;"))
        return judge_link(text, len);
    /* The text's, the background's and the cursor's colour are asked for; they are not set. */
    if (is_equal(text, len, "10;?") || is_equal(text, len, "11;?") || is_equal(text, len, "12;?"))
        return TERMINAL_PASS;
    if (len >= 2 && text[0] >= '0' && text[0] <= '2' && text[1] == ';') /* title */
        return is_text(text, len) ? TERMINAL_PASS : TERMINAL_DROP;
    return TERMINAL_DROP;
}
