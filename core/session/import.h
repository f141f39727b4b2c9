/* Copying files of the user's home into the guest. */
#ifndef AGENTVM_SESSION_IMPORT_H
#define AGENTVM_SESSION_IMPORT_H

#include "base/err.h"
#include "model/plan.h"
#include "session/session.h"

/* Limits of all imports of a session. */
enum {
    IMPORT_ENTRIES_MAX = 2000, /* files and folders */
    IMPORT_BYTES_MAX = 32 << 20,
    IMPORT_DEPTH_MAX = 16, /* folders within each other */
};

/* Carries out the plan's imports: what each names below the home, as files of the guest's user.
 * Told and left out is what is named like a credential, a link that leads out of the home or in a
 * circle, and what is neither file nor folder.  What is over a limit is an error. */
int import_files(struct session *s, const struct plan *p, struct err *e);

#endif
