#include "model/words.h"

#include <ctype.h>
#include <string.h>

#include "base/mem.h"

/* Reads a quoted part into word; p is behind the opening quote.  Returns what follows the closing
 * one, or NULL. */
static const char *take_quoted(const char *p, char quote, struct buf *word)
{
    for (; *p && *p != '\n'; p++) {
        if (*p == quote)
            return p + 1;
        if (quote == '"' && *p == '\\' && (p[1] == '"' || p[1] == '\\'))
            p++;
        buf_append(word, p, 1);
    }
    return NULL;
}

/* Reads one word; returns what follows it, or NULL. */
static const char *take_word(const char *p, struct buf *word, struct err *e)
{
    buf_puts(word, ""); /* '' is a word, too */
    while (*p && !isspace((unsigned char)*p)) {
        char c = *p++;

        if (c == '\'' || c == '"') {
            p = take_quoted(p, c, word);
            if (!p) {
                err_set(e, "the quote %c is not closed on its line", c);
                return NULL;
            }
        } else if (c == '\\') {
            if (!*p || *p == '\n') {
                err_set(e, "nothing follows the \\ at the end of a line");
                return NULL;
            }
            buf_append(word, p++, 1);
        } else {
            buf_append(word, &c, 1);
        }
    }
    return p;
}

int words_split(const char *text, struct strv *out, struct err *e)
{
    auto_strv struct strv words = STRV_INIT;

    for (const char *p = text;;) {
        auto_buf struct buf word = BUF_INIT;

        while (isspace((unsigned char)*p))
            p++;
        if (!*p)
            break;
        p = take_word(p, &word, e);
        if (!p)
            return -1;
        strv_take(&words, buf_steal(&word));
    }
    strv_push_all(out, words.v);
    return 0;
}

char *words_join(const struct strv *words)
{
    struct buf out = BUF_INIT;

    for (size_t i = 0; i < words->n; i++) {
        auto_free char *word = str_quote(words->v[i]);

        buf_printf(&out, "%s%s", i ? " " : "", word);
    }
    return buf_steal(&out);
}
