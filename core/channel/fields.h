/* Bodies made of tagged fields (see enum proto_tag): writing, and walking what a peer sent. */
#ifndef AGENTVM_CHANNEL_FIELDS_H
#define AGENTVM_CHANNEL_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

void field_put(struct buf *b, uint16_t tag, const void *data, size_t len);
void field_put_str(struct buf *b, uint16_t tag, const char *s);
void field_put_u32(struct buf *b, uint16_t tag, uint32_t v);
void field_put_u64(struct buf *b, uint16_t tag, uint64_t v);

struct field {
    uint16_t tag;
    uint32_t len;
    const uint8_t *data; /* borrowed */
};

/* Walks the fields of a body. */
struct field_reader {
    const uint8_t *p;
    size_t left;
    bool malformed;
};

struct field_reader field_reader(const void *data, size_t len);
/* Next field; false at the end or at the first malformed one (then r->malformed is set). */
bool field_next(struct field_reader *r, struct field *f);

/* The field's bytes as a string without NUL inside; NULL if there is one.  The caller frees it. */
char *field_str(const struct field *f);
/* The field as a number; fallback if it has not the right length. */
uint32_t field_u32(const struct field *f, uint32_t fallback);
uint64_t field_u64(const struct field *f, uint64_t fallback);

#endif
