/* The initial RAM disk of a start: the image's own, with guestd appended.
 *
 * The kernel unpacks several cpio archives in a row, so a new guestd needs no new image: it travels
 * beside it, and the image's initramfs hook hands it over to the root file system. */
#ifndef AGENTVM_IMAGE_INITRD_H
#define AGENTVM_IMAGE_INITRD_H

#include <stdbool.h>

#include "base/err.h"
#include "image/store.h"
#include "model/paths.h"

/* Writes base followed by a cpio archive (newc) that holds guestd as /agentvm-guestd. */
int initrd_write(const char *base, const char *guestd, const char *out, struct err *e);

/* The same, made once: *out (the caller frees it) is a file in the cache folder, named after the
 * base layer and the state of guestd's binary.  Its time of access tells the last use; that of
 * change stays, as what is known of it depends on that.  Who has the base layer in use may rely on
 * the file. */
int initrd_cached(const struct paths *p, const struct layer *base, char **out, struct err *e);
/* The path of that file, which need not exist; the caller frees it.  NULL on error. */
char *initrd_path(const struct paths *p, const struct layer *base, struct err *e);
/* Takes the base layer's key out of the name of such a file, or of one that was being written. */
bool initrd_base(const char *name, char key[DIGEST_HEX + 1]);

#endif
