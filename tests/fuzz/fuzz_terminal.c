/* A guest's output on its way to the user's terminal: any bytes.  The first byte says how they are
 * cut up.  What passes is read by a second parser, which knows nothing of the first one's tables
 * and which refuses whatever could make a terminal do more than show text. */
#include <stdbool.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "fuzz.h"
#include "guest/terminal.h"

enum { INPUT_MAX = 64 * 1024 };

static void run(struct terminal_filter *f, const uint8_t *data, size_t size, size_t piece,
                struct buf *out)
{
    for (size_t at = 0, taken; at < size; at += piece) {
        taken = size - at < piece ? size : at + piece;
        terminal_filter(f, data + at, taken - at, out);
        FUZZ_HOLDS(out->len + terminal_held(f) <= taken);
        FUZZ_HOLDS(terminal_held(f) <= TERMINAL_HELD_MAX);
    }
    buf_puts(out, "");
}

/* ESC [ ... up to its final byte; returns its length. */
static size_t check_csi(const char *s)
{
    size_t n = 2 + strspn(s + 2, "0123456789;:<=>?"), inter = strspn(s + n, " !$");
    char final = s[n + inter];

    FUZZ_HOLDS(final >= '@' && final <= '~' && inter <= 1);
    FUZZ_HOLDS(!strchr("ivwxyz{|}~N\\]^_VWOQUYt", final) || (final == 't' && inter == 0));
    FUZZ_HOLDS(final != 'p' || inter == 1); /* levels, pointers */
    if (final == 't') {
        unsigned op = (unsigned)strtoul(s + 2, NULL, 10);

        FUZZ_HOLDS(op == 14 || op == 16 || op == 18 || op == 22 || op == 23);
    }
    if (final == 'h' || final == 'l') {
        static const char *const bad[] = {"2", "3", "38", "40", "1001", "2005", "5522"};
        auto_free char *params = mem_dup(s + 2 + (s[2] == '?'), n - 2 - (s[2] == '?'));
        char *save = NULL;

        FUZZ_HOLDS(strspn(params, "0123456789;") == strlen(params));
        for (char *p = strtok_r(params, ";", &save); p; p = strtok_r(NULL, ";", &save))
            for (size_t i = 0; i < ARRAY_LEN(bad); i++)
                FUZZ_HOLDS(strtoul(p, NULL, 10) != strtoul(bad[i], NULL, 10));
    }
    return n + inter + 1;
}

static size_t check_osc(const char *s)
{
    size_t n = 2 + strcspn(s + 2, "\a\033"), end = s[n] == '\a' ? 1 : 2;

    FUZZ_HOLDS(s[n] == '\a' || (s[n] == '\033' && s[n + 1] == '\\'));
    FUZZ_HOLDS(strcspn(s + 2, "\n\t\r\b\v\f\016\017") > n - 2);
    if (s[2] == '8' && s[3] == ';') {
        const char *uri = strchr(s + 4, ';');

        FUZZ_HOLDS(uri && uri < s + n);
        FUZZ_HOLDS(uri + 1 == s + n || strncmp(uri + 1, "http", 4) == 0);
    } else if (s[2] == '1' && s[3] != ';') {
        FUZZ_HOLDS(s[3] >= '0' && s[3] <= '2' && s[4] == ';' && s[5] == '?' && n == 6);
    } else {
        FUZZ_HOLDS(s[2] >= '0' && s[2] <= '2' && s[3] == ';');
    }
    return n + end;
}

static size_t check_escape(const char *s)
{
    if (s[1] == '[')
        return check_csi(s);
    if (s[1] == ']')
        return check_osc(s);
    if (s[1] && strchr("()*+#", s[1])) {
        FUZZ_HOLDS(s[2] && strchr("AB034568", s[2]));
        return 3;
    }
    FUZZ_HOLDS(s[1] && strchr("78=>DEHMc", s[1]));
    return 2;
}

/* Characters are checked by what makes other texts printable; s has no NUL and one after it. */
static void check_text(const char *s, size_t len)
{
    FUZZ_HOLDS(strlen(s) == len);
    for (const char *p = s; *p;) {
        uint8_t c = (uint8_t)*p;

        FUZZ_HOLDS(c >= ' ' || (c >= 7 && c <= 15) || c == '\033');
        FUZZ_HOLDS(c != 0x7f && c != 0xc0 && c != 0xc1 && c < 0xf5);
        FUZZ_HOLDS(c != 0xc2 || (uint8_t)p[1] >= 0xa0);
        if (c >= 0x80) { /* not by itself, and all of it */
            size_t n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;

            FUZZ_HOLDS(c >= 0xc2);
            for (size_t i = 1; i < n; i++)
                FUZZ_HOLDS(((uint8_t)p[i] & 0xc0) == 0x80);
            p += n;
        } else {
            p += c == '\033' ? check_escape(p) : 1;
        }
    }
}

static void check_plain(const uint8_t *data, size_t size)
{
    auto_buf struct buf plain = BUF_INIT, out = BUF_INIT;
    struct terminal_filter f = {0};

    for (size_t i = 0; i < size; i++)
        if ((data[i] >= ' ' && data[i] < 0x7f) || (data[i] >= 7 && data[i] <= 15))
            buf_append(&plain, data + i, 1);
    run(&f, (const uint8_t *)plain.data, plain.len, 1 + size / 2, &out);
    FUZZ_HOLDS(out.len == plain.len && (out.len == 0 || !memcmp(out.data, plain.data, out.len)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_buf struct buf whole = BUF_INIT, parts = BUF_INIT, again = BUF_INIT, reset = BUF_INIT;
    struct terminal_filter a = {0}, b = {0}, c = {0};
    size_t piece = size > 0 ? 1 + data[0] : 1;

    size = size < INPUT_MAX ? size : INPUT_MAX;
    run(&a, data, size, size + 1, &whole);
    run(&b, data, size, piece, &parts);
    FUZZ_HOLDS(whole.len == parts.len && memcmp(whole.data, parts.data, whole.len) == 0);
    check_text(whole.data, whole.len);
    run(&c, (const uint8_t *)whole.data, whole.len, piece, &again); /* nothing is left to do */
    FUZZ_HOLDS(whole.len == again.len && memcmp(whole.data, again.data, whole.len) == 0);
    FUZZ_HOLDS(terminal_held(&c) == 0);
    terminal_reset(&a, &reset);
    buf_puts(&reset, "");
    check_text(reset.data, reset.len);
    check_plain(data, size);
    return 0;
}
