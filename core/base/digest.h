/* SHA-256 over labelled fields: the key of a layer, the fingerprint of approved bytes. */
#ifndef AGENTVM_BASE_DIGEST_H
#define AGENTVM_BASE_DIGEST_H

#include <stddef.h>

#include "base/err.h"

enum { DIGEST_HEX = 64 }; /* hex digits of SHA-256, without the NUL */

struct digest; /* owned by the caller, freed by digest_final */

struct digest *digest_new(void);
/* Adds a field: its label, its length and its bytes, so that no two field lists collide. */
void digest_field(struct digest *d, const char *label, const void *data, size_t len);
void digest_str(struct digest *d, const char *label, const char *s);
/* Adds the bytes of a file as a field. */
int digest_file(struct digest *d, const char *label, const char *path, struct err *e);
/* Writes the lower-case hex digest and frees d; hex may be NULL to only free. */
void digest_final(struct digest *d, char hex[DIGEST_HEX + 1]);
/* The plain SHA-256 of bytes, in hex. */
void digest_bytes(const void *data, size_t len, char hex[DIGEST_HEX + 1]);

#endif
