/* Text of others on a terminal: what could drive it, or deceive its reader, is made visible. */
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

/* Length of the valid UTF-8 sequence at p (at most len bytes), or 0; RFC 3629, section 4. */
static size_t utf8_length(const unsigned char *p, size_t len)
{
    size_t n = *p < 0x80 ? 1 : *p >= 0xf0 ? 4 : *p >= 0xe0 ? 3 : 2;
    unsigned char min = 0x80, max = 0xbf; /* of the second byte */

    if (n == 1)
        return 1;
    if (*p < 0xc2 || *p > 0xf4 || n > len)
        return 0;
    if (*p == 0xe0 || *p == 0xf0) /* overlong */
        min = *p == 0xe0 ? 0xa0 : 0x90;
    else if (*p == 0xed || *p == 0xf4) /* surrogates, beyond U+10FFFF */
        max = *p == 0xed ? 0x9f : 0x8f;
    else if (*p == 0xc2) /* C1 controls drive terminals too */
        min = 0xa0;
    for (size_t i = 2; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return p[1] >= min && p[1] <= max ? n : 0;
}

/* Characters that show a text as something else than its bytes, by Unicode 16: those that reorder
 * it (UAX #9), those that break a line, those that take no room at all.  The two joiners, U+200C
 * and U+200D, stay: scripts and emoji need them. */
static const struct {
    uint32_t first, last;
} deceptive[] = {
    {0x00ad, 0x00ad}, {0x061c, 0x061c}, {0x180e, 0x180e}, {0x200b, 0x200b}, {0x200e, 0x200f},
    {0x2028, 0x202e}, {0x2060, 0x206f}, {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe007f},
};

/* The character that a valid sequence of n bytes stands for. */
static uint32_t utf8_value(const unsigned char *p, size_t n)
{
    uint32_t c = n == 1 ? *p : *p & (0x7fu >> n);

    for (size_t i = 1; i < n; i++)
        c = c << 6 | (p[i] & 0x3f);
    return c;
}

/* Length of the harmless character at p, or 0. */
static size_t printable_length(const unsigned char *p, size_t len)
{
    size_t n = utf8_length(p, len);
    uint32_t c = n ? utf8_value(p, n) : 0;

    if (c < 0x20 || c == 0x7f)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(deceptive); i++)
        if (c >= deceptive[i].first && c <= deceptive[i].last)
            return 0;
    return n;
}

static bool is_printable(const char *s)
{
    size_t len = strlen(s), n = 1;

    for (size_t i = 0; i < len && n; i += n)
        n = printable_length((const unsigned char *)s + i, len - i);
    return n != 0;
}

/* As $'...', which bash, zsh, ksh and POSIX.1-2024 read; octal, because \x has no fixed length. */
static char *quote_bytes(const char *s)
{
    struct buf b = BUF_INIT;
    size_t len = strlen(s);

    buf_puts(&b, "$'");
    for (size_t i = 0; i < len;) {
        size_t n = printable_length((const unsigned char *)s + i, len - i);

        if (n == 0)
            buf_printf(&b, "\\%03o", (unsigned char)s[i]);
        else if (s[i] == '\'' || s[i] == '\\')
            buf_printf(&b, "\\%c", s[i]);
        else
            buf_append(&b, s + i, n);
        i += n ? n : 1;
    }
    buf_puts(&b, "'");
    return buf_steal(&b);
}

char *str_quote(const char *s)
{
    struct buf b = BUF_INIT;
    size_t plain = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                             "_-+=./:,@%");

    if (*s && s[plain] == '\0')
        return mem_strdup(s);
    if (!is_printable(s))
        return quote_bytes(s);
    buf_puts(&b, "'");
    for (; *s; s++) {
        if (*s == '\'')
            buf_puts(&b, "'\\''");
        else
            buf_append(&b, s, 1);
    }
    buf_puts(&b, "'");
    return buf_steal(&b);
}

char *str_printable(const char *s, size_t len)
{
    struct buf b = BUF_INIT;
    const unsigned char *p = (const unsigned char *)s;

    for (size_t i = 0; i < len;) {
        size_t n = p[i] == '\n' || p[i] == '\t' ? 1 : printable_length(p + i, len - i);

        if (n > 0)
            buf_append(&b, p + i, n);
        else if (p[i] != '\r')
            buf_printf(&b, "\\x%02x", p[i]);
        i += n ? n : 1;
    }
    return buf_steal(&b);
}

char *str_tail(const char *text, size_t len, int n)
{
    size_t start;

    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
        len--;
    start = len;
    while (start > 0 && !(text[start - 1] == '\n' && --n <= 0))
        start--;
    return str_printable(text + start, len - start);
}
