#include "base/str.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void buf_reserve(struct buf *b, size_t extra)
{
    size_t need = b->len + extra + 1;
    size_t cap = b->cap ? b->cap : 64;

    if (need <= b->cap)
        return;
    while (cap < need)
        cap *= 2;
    b->data = mem_realloc(b->data, cap, 1);
    b->data[b->len] = '\0';
    b->cap = cap;
}

void buf_append(struct buf *b, const void *data, size_t len)
{
    buf_reserve(b, len);
    if (len)
        memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = '\0';
}

void buf_puts(struct buf *b, const char *s)
{
    buf_append(b, s, strlen(s));
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    auto_free char *s = NULL;
    va_list ap;

    va_start(ap, fmt);
    if (vasprintf(&s, fmt, ap) < 0)
        s = NULL;
    va_end(ap);
    if (s)
        buf_puts(b, s);
}

void buf_consume(struct buf *b, size_t len)
{
    if (len == 0)
        return;
    b->len -= len;
    memmove(b->data, b->data + len, b->len + 1);
}

char *buf_steal(struct buf *b)
{
    char *s = b->data ? b->data : mem_strdup("");

    *b = BUF_INIT;
    return s;
}

void buf_free(struct buf *b)
{
    free(b->data);
    *b = BUF_INIT;
}

void strv_take(struct strv *sv, char *s)
{
    sv->v = mem_realloc(sv->v, sv->n + 2, sizeof(*sv->v));
    sv->v[sv->n++] = s;
    sv->v[sv->n] = NULL;
}

void strv_push(struct strv *sv, const char *s)
{
    strv_take(sv, mem_strdup(s));
}

void strv_pushf(struct strv *sv, const char *fmt, ...)
{
    char *s = NULL;
    va_list ap;

    va_start(ap, fmt);
    if (vasprintf(&s, fmt, ap) < 0)
        s = NULL;
    va_end(ap);
    strv_take(sv, s ? s : mem_strdup(""));
}

void strv_push_all(struct strv *sv, char *const *v)
{
    for (; v && *v; v++)
        strv_push(sv, *v);
}

void strv_split(struct strv *sv, const char *text)
{
    static const char space[] = " \t\r\n";

    for (text += strspn(text, space); *text; text += strspn(text, space)) {
        size_t len = strcspn(text, space);

        strv_take(sv, mem_dup(text, len));
        text += len;
    }
}

bool strv_has(const struct strv *sv, const char *s)
{
    for (size_t i = 0; i < sv->n; i++)
        if (strcmp(sv->v[i], s) == 0)
            return true;
    return false;
}

static char **find_env(const struct strv *sv, const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; i < sv->n; i++)
        if (strncmp(sv->v[i], name, len) == 0 && sv->v[i][len] == '=')
            return &sv->v[i];
    return NULL;
}

void strv_setenv(struct strv *sv, const char *name, const char *value)
{
    char **old = find_env(sv, name);
    char *entry = mem_printf("%s=%s", name, value);

    if (!old) {
        strv_take(sv, entry);
        return;
    }
    free(*old);
    *old = entry;
}

const char *strv_getenv(const struct strv *sv, const char *name)
{
    char **entry = find_env(sv, name);

    return entry ? *entry + strlen(name) + 1 : NULL;
}

void strv_free(struct strv *sv)
{
    for (size_t i = 0; i < sv->n; i++)
        free(sv->v[i]);
    free(sv->v);
    *sv = STRV_INIT;
}

bool str_starts(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *s, const char *suffix)
{
    size_t len = strlen(s), suffix_len = strlen(suffix);

    return len >= suffix_len && strcmp(s + len - suffix_len, suffix) == 0;
}

bool str_is_identifier(const char *s)
{
    if (!isalpha((unsigned char)*s) && *s != '_')
        return false;
    for (; *s; s++)
        if (!isalnum((unsigned char)*s) && *s != '_')
            return false;
    return true;
}

int str_to_u64(const char *s, uint64_t min, uint64_t max, uint64_t *out)
{
    char *end;
    unsigned long long value;

    if (!isdigit((unsigned char)*s))
        return -1;
    errno = 0;
    value = strtoull(s, &end, 10);
    if (errno || *end || value < min || value > max)
        return -1;
    *out = value;
    return 0;
}

int str_to_size(const char *s, uint64_t *out)
{
    static const char suffixes[] = "KMGT";
    size_t len = strlen(s);
    const char *suffix = len > 1 ? strchr(suffixes, toupper((unsigned char)s[len - 1])) : NULL;
    auto_free char *digits = mem_dup(s, suffix ? len - 1 : len);
    uint64_t value;

    if (str_to_u64(digits, 0, UINT64_MAX, &value) < 0)
        return -1;
    for (long i = suffix ? suffix - suffixes + 1 : 0; i > 0; i--)
        if (__builtin_mul_overflow(value, (uint64_t)1024, &value))
            return -1;
    *out = value;
    return 0;
}

/* Levenshtein distance; words longer than the row are never near. */
static size_t edit_distance(const char *a, const char *b)
{
    enum { ROW = 64 };
    size_t row[ROW + 1], la = strlen(a), lb = strlen(b);

    if (la > ROW || lb > ROW)
        return SIZE_MAX;
    for (size_t j = 0; j <= lb; j++)
        row[j] = j;
    for (size_t i = 1; i <= la; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);

            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[lb];
}

const char *str_nearest(const char *word, const char *const *candidates, size_t n)
{
    size_t best = strlen(word) / 3 + 2;
    const char *nearest = NULL;

    for (size_t i = 0; i < n; i++) {
        size_t distance = edit_distance(word, candidates[i]);

        if (distance < best) {
            best = distance;
            nearest = candidates[i];
        }
    }
    return nearest;
}

void str_hex(char *out, const void *data, size_t len)
{
    const unsigned char *p = data;

    for (size_t i = 0; i < len; i++)
        snprintf(out + 2 * i, 3, "%02x", p[i]);
    out[2 * len] = '\0';
}
