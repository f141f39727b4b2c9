/* Growing byte buffers and string vectors. */
#ifndef AGENTVM_BASE_STR_H
#define AGENTVM_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A growing buffer.  data is always NUL-terminated once non-NULL; len does not count that NUL. */
struct buf {
    char *data;
    size_t len;
    size_t cap;
};

#define BUF_INIT ((struct buf){0})
#define auto_buf __attribute__((cleanup(buf_free)))

void buf_append(struct buf *b, const void *data, size_t len);
void buf_puts(struct buf *b, const char *s);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Removes len bytes from the front. */
void buf_consume(struct buf *b, size_t len);
/* Makes room for at least extra more bytes; data + len may then be written by the caller. */
void buf_reserve(struct buf *b, size_t extra);
/* Hands the string over to the caller (never NULL) and empties the buffer. */
char *buf_steal(struct buf *b);
void buf_free(struct buf *b);

/* A NULL-terminated vector of owned strings, ready for execve. */
struct strv {
    char **v; /* NULL while empty */
    size_t n;
};

#define STRV_INIT ((struct strv){0})
#define auto_strv __attribute__((cleanup(strv_free)))

/* Appends a copy of s. */
void strv_push(struct strv *sv, const char *s);
void strv_pushf(struct strv *sv, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Appends s itself, taking ownership. */
void strv_take(struct strv *sv, char *s);
void strv_push_all(struct strv *sv, char *const *v);
/* Splits at runs of white space and appends the words. */
void strv_split(struct strv *sv, const char *text);
bool strv_has(const struct strv *sv, const char *s);
/* Sets NAME=value, replacing an earlier entry of that name. */
void strv_setenv(struct strv *sv, const char *name, const char *value);
/* Returns the value of NAME in a NAME=value vector, or NULL. */
const char *strv_getenv(const struct strv *sv, const char *name);
void strv_free(struct strv *sv);

bool str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);
/* Whether s is a C identifier: the shape of an environment variable's name. */
bool str_is_identifier(const char *s);
/* Parses a decimal number in [min, max]; the whole string must be one.  Returns 0 or -1. */
int str_to_u64(const char *s, uint64_t min, uint64_t max, uint64_t *out);
/* Parses a size in bytes: a number with an optional suffix K, M, G or T (powers of 1024). */
int str_to_size(const char *s, uint64_t *out);
/* Returns the candidate nearest to word (edit distance at most 1/3 of its length + 1), or NULL. */
const char *str_nearest(const char *word, const char *const *candidates, size_t n);
/* Writes 2*len lower-case hex digits and a NUL. */
void str_hex(char *out, const void *data, size_t len);
/* Returns the text quoted for one shell word if it needs it; what str_printable escapes is escaped
 * ($'\033'). The caller frees it. */
char *str_quote(const char *s);
/* Returns the text with control characters (C1 too), invalid UTF-8, and characters that reorder
 * text or cannot be seen written as \xNN; line feeds and tabs stay, carriage returns go.  The
 * caller frees it. */
char *str_printable(const char *s, size_t len);
/* Returns the last n lines of text, made printable; caller frees. */
char *str_tail(const char *text, size_t len, int n);

#endif
