#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void text_add_bytes(struct text *t, const char *s, size_t n)
{
    char *grown = realloc(t->s, t->n + n + 1);

    if (!grown)
        abort();
    memcpy(grown + t->n, s, n);
    t->s = grown;
    t->n += n;
    t->s[t->n] = '\0';
}

void text_add(struct text *t, const char *s)
{
    text_add_bytes(t, s, strlen(s));
}

void text_add_json(struct text *t, const char *s)
{
    char escape[8];

    text_add(t, "\"");
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;

        if (c >= 0x20 && c != '"' && c != '\\') {
            text_add_bytes(t, s, 1);
            continue;
        }
        snprintf(escape, sizeof(escape), c < 0x20 ? "\\u%04x" : "\\%c", c);
        text_add(t, escape);
    }
    text_add(t, "\"");
}

void text_add_json_list(struct text *t, const char *const *v)
{
    text_add(t, "[");
    for (size_t i = 0; v[i]; i++) {
        text_add(t, i ? ", " : "");
        text_add_json(t, v[i]);
    }
    text_add(t, "]");
}

static const char *skip_space(const char *p, const char *end)
{
    while (p < end && strchr(" \t\r\n", *p) && *p)
        p++;
    return p;
}

/* p is at a string's opening quote; returns what follows the closing one, or NULL. */
static const char *skip_string(const char *p, const char *end)
{
    for (p++; p < end; p++) {
        if (*p == '"')
            return p + 1;
        if (*p == '\\')
            p++;
    }
    return NULL;
}

/* Returns what follows the value at p, or NULL if it does not end. */
static const char *skip_value(const char *p, const char *end)
{
    size_t depth = 0;

    while (p && p < end) {
        if (*p == '"') {
            p = skip_string(p, end);
        } else if (*p == '{' || *p == '[') {
            depth++;
            p++;
        } else if (*p == '}' || *p == ']') {
            if (depth == 0)
                return p;
            depth--;
            p++;
        } else if (depth == 0 && strchr(", \t\r\n", *p)) {
            return p;
        } else {
            p++;
            continue;
        }
        if (depth == 0)
            return p;
    }
    return NULL;
}

const char *json_find(const char *json, size_t len, const char *key, size_t *value_len)
{
    const char *end = json + len, *p = memchr(json, '"', len);
    size_t key_len = strlen(key);

    while (p) {
        const char *name = p + 1, *after = skip_string(p, end);
        const char *colon = after ? skip_space(after, end) : end;

        if (colon < end && *colon == ':' && (size_t)(after - name) == key_len + 1 &&
            memcmp(name, key, key_len) == 0) {
            const char *value = skip_space(colon + 1, end);

            after = skip_value(value, end);
            *value_len = after ? (size_t)(after - value) : 0;
            return *value_len > 0 ? value : NULL;
        }
        p = after ? memchr(after, '"', (size_t)(end - after)) : NULL;
    }
    return NULL;
}
