/* JSON, as little of it as this plugin needs. */
#ifndef CLAUDE_TEXT_H
#define CLAUDE_TEXT_H

#include <stddef.h>

/* A growing text.  Never freed: a hook's process ends with the hook. */
struct text {
    char *s; /* NUL-terminated once something was added */
    size_t n;
};

void text_add(struct text *t, const char *s);
void text_add_bytes(struct text *t, const char *s, size_t n);
/* Adds s as a JSON string, in quotes. */
void text_add_json(struct text *t, const char *s);
/* Adds the strings as a JSON list. */
void text_add_json_list(struct text *t, const char *const *v);

/* Finds the value of the first member of that name in a JSON text, at any depth; returns its first
 * byte and its length, or NULL. */
const char *json_find(const char *json, size_t len, const char *key, size_t *value_len);

#endif
