/* Reading JSON, as little of it as this plugin needs. */
#ifndef CLAUDE_JSON_H
#define CLAUDE_JSON_H

#include <stddef.h>

/* Finds the value of the first member of that name in a JSON text, at any depth; returns its first
 * byte and its length, or NULL. */
const char *json_find(const char *json, size_t len, const char *key, size_t *value_len);

/* The same for a member of the object itself that the text is. */
const char *json_member(const char *json, size_t len, const char *key, size_t *value_len);

/* Whether a value is a string, a number, true, false or null, or an object of such. */
int json_is_plain(const char *value, size_t len);

/* Whether the text looks like one JSON object: it starts as one and ends where that does. */
int json_is_object(const char *s);

#endif
