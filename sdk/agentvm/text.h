/* Help for plugins that write configuration files: a growing text and a growing list.
 *
 * Header-only, C11, optional: plugin.h does not need it.  Nothing is ever freed, because a hook's
 * process ends with the hook; where memory runs out, that process is aborted and agentvm reports
 * it.
 */
#ifndef AGENTVM_TEXT_H
#define AGENTVM_TEXT_H

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Starts zeroed.  s is NULL until something was added and NUL-terminated after that. */
struct agentvm_text {
    char *s;
    size_t n; /* bytes without the NUL */
};

static inline void agentvm_text_add_bytes(struct agentvm_text *t, const char *s, size_t n)
{
    char *grown = realloc(t->s, t->n + n + 1);

    if (!grown)
        abort();
    memcpy(grown + t->n, s, n);
    t->s = grown;
    t->n += n;
    t->s[t->n] = '\0';
}

static inline void agentvm_text_add(struct agentvm_text *t, const char *s)
{
    agentvm_text_add_bytes(t, s, strlen(s));
}

/* Adds s as a string in quotes, in the form that both JSON and TOML (its basic strings) read. */
static inline void agentvm_text_add_string(struct agentvm_text *t, const char *s)
{
    char escape[8];

    agentvm_text_add(t, "\"");
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        int control = c < 0x20 || c == 0x7f;

        if (control || c == '"' || c == '\\') {
            snprintf(escape, sizeof(escape), control ? "\\u%04x" : "\\%c", c);
            agentvm_text_add(t, escape);
        } else {
            agentvm_text_add_bytes(t, s, 1);
        }
    }
    agentvm_text_add(t, "\"");
}

/* Adds the strings as a list in brackets, for JSON and TOML.  v ends with NULL. */
static inline void agentvm_text_add_strings(struct agentvm_text *t, const char *const *v)
{
    agentvm_text_add(t, "[");
    for (size_t i = 0; v[i]; i++) {
        agentvm_text_add(t, i ? ", " : "");
        agentvm_text_add_string(t, v[i]);
    }
    agentvm_text_add(t, "]");
}

/* Whether the n bytes at s are UTF-8, as JSON and TOML must be; names of files need not be. */
static inline int agentvm_text_is_utf8(const char *s, size_t n)
{
    static const unsigned long smallest[] = {0, 0x80, 0x800, 0x10000};

    for (size_t i = 0; i < n;) {
        unsigned char first = (unsigned char)s[i++];
        size_t more = first < 0x80 ? 0 : first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
        unsigned long code = first < 0x80 ? first : first & (0x3fu >> more);

        if ((first >= 0x80 && first < 0xc2) || first > 0xf4 || more > n - i)
            return 0;
        for (size_t k = 0; k < more; k++, i++) {
            if (((unsigned char)s[i] & 0xc0) != 0x80)
                return 0;
            code = code << 6 | ((unsigned char)s[i] & 0x3f);
        }
        if (code < smallest[more] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
            return 0;
    }
    return 1;
}

/* Starts zeroed, as {0}.  v is NULL until something was added and ends with NULL after that.  The
 * strings are borrowed. */
struct agentvm_list {
    const char **v;
    size_t n;
};

static inline void agentvm_list_add(struct agentvm_list *l, const char *s)
{
    const char **grown = realloc(l->v, (l->n + 2) * sizeof(*grown));

    if (!grown)
        abort();
    l->v = grown;
    l->v[l->n++] = s;
    l->v[l->n] = NULL;
}

/* v ends with NULL. */
static inline void agentvm_list_add_all(struct agentvm_list *l, const char *const *v)
{
    for (; *v; v++)
        agentvm_list_add(l, *v);
}

/* Adds the words of s, which blanks separate; there are no quotes.  s may be NULL. */
static inline void agentvm_list_add_words(struct agentvm_list *l, const char *s)
{
    static const char blanks[] = " \t\r\n";

    for (s = s ? s : ""; *(s += strspn(s, blanks));) {
        struct agentvm_text word = {0};

        agentvm_text_add_bytes(&word, s, strcspn(s, blanks));
        agentvm_list_add(l, word.s);
        s += word.n;
    }
}

#endif
