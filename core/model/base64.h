/* Base64 as in RFC 4648, section 4, with padding. */
#ifndef AGENTVM_MODEL_BASE64_H
#define AGENTVM_MODEL_BASE64_H

#include <stddef.h>

#include "base/str.h"

/* Returns the encoded text; the caller frees it. */
char *base64_encode(const void *data, size_t len);
/* Appends the decoded bytes to out.  Strict: whole groups of four, padding at the end only and its
 * spare bits zero, so that each byte string has one spelling.  Returns 0 or -1. */
int base64_decode(const char *text, struct buf *out);

#endif
