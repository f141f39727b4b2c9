#include "json.h"

#include <string.h>

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

/* p is at a member's name.  Returns what follows its value, or NULL; *value and *value_end are the
 * value's. */
static const char *skip_member(const char *p, const char *end, const char **value,
                               const char **value_end)
{
    const char *after = p < end && *p == '"' ? skip_string(p, end) : NULL;
    const char *colon = after ? skip_space(after, end) : end;

    if (colon == end || *colon != ':')
        return NULL;
    *value = skip_space(colon + 1, end);
    *value_end = skip_value(*value, end);
    return *value_end && *value_end > *value ? skip_space(*value_end, end) : NULL;
}

const char *json_member(const char *json, size_t len, const char *key, size_t *value_len)
{
    const char *end = json + len, *p = skip_space(json, end), *value, *value_end;
    size_t key_len = strlen(key);

    while (p < end && (*p == '{' || *p == ',')) {
        const char *name = skip_space(p + 1, end);

        p = skip_member(name, end, &value, &value_end);
        if (!p)
            return NULL;
        if ((size_t)(value - name) > key_len + 2 && name[key_len + 1] == '"' &&
            memcmp(name + 1, key, key_len) == 0) {
            *value_len = (size_t)(value_end - value);
            return value;
        }
    }
    return NULL;
}

int json_is_plain(const char *value, size_t len)
{
    static const char bare[] = ":,}+-. \t\r\n0123456789abcdefghijklmnopqrstuvwxyzE";
    const char *end = value + len, *p = value + (len > 0 && *value == '{');

    while (p && p < end) {
        if (*p == '"')
            p = skip_string(p, end);
        else if (*p && strchr(bare, *p))
            p++;
        else
            return 0;
    }
    return p == end;
}

int json_is_object(const char *s)
{
    const char *end = s + strlen(s), *p = skip_space(s, end);

    if (*p != '{')
        return 0;
    p = skip_value(p, end);
    return p && skip_space(p, end) == end;
}
