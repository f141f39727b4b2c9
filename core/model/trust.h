/* What the user approved of a project: exact bytes, by digest, per project folder. */
#ifndef AGENTVM_MODEL_TRUST_H
#define AGENTVM_MODEL_TRUST_H

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"
#include "model/paths.h"

/* A project's file as read once, never following a symlink; what is used later is these bytes. */
struct trust_file {
    const char *name; /* PATHS_PROJECT_* */
    bool present;
    struct buf bytes;
};

enum { TRUST_FILE_MAX = 1 << 20 }; /* bytes; a longer project file is refused */

/* Reads a project file.  A symlink, a folder or a file over TRUST_FILE_MAX is an error. */
int trust_read(const char *project, const char *name, struct trust_file *out, struct err *e);
void trust_file_free(struct trust_file *f);

enum trust_state {
    TRUST_UNKNOWN,  /* nothing of this name was approved here */
    TRUST_APPROVED, /* these exact bytes were; or there is no file, which needs no approval */
    TRUST_CHANGED,  /* other bytes were */
};

/* What was approved for this project under this name.  A store that cannot be read or understood
 * approves nothing. */
int trust_state(const struct paths *p, const char *project, const struct trust_file *f,
                enum trust_state *state, struct err *e);
/* Remembers the approval, replacing an earlier one of that name; for an absent file forgets it. */
int trust_approve(const struct paths *p, const char *project, const struct trust_file *f,
                  struct err *e);
/* Forgets all approvals of the project. */
int trust_revoke(const struct paths *p, const char *project, struct err *e);

#endif
