/* What of an agent outlives its VMs: a folder on the host for each project and agent, which the
 * guest works in directly (a second share).
 *
 *     <data>/sessions/<sha256 of the project's path>/<agent>/
 *         store.json   whose it is, and which files in it are sessions
 *         kept.d/      the share; what is in it was written by a guest: hostile
 */
#ifndef AGENTVM_STATE_KEPT_H
#define AGENTVM_STATE_KEPT_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "guest/request.h"
#include "model/paths.h"
#include "model/plan.h"

/* What a VM gets of it; nothing where dir is NULL. */
struct kept {
    char *dir; /* the share, canonical */
    struct guest_keep *items;
    size_t n;
};

/* Makes the store as the steps PLAN_KEEP and PLAN_KEEP_FILE of an agent's launch want it; without
 * any, nothing happens. */
int kept_prepare(const struct paths *p, const char *project, const char *agent,
                 const struct plan *launch, struct kept *out, struct err *e);
void kept_free(struct kept *k);

/* A session of an agent: one of the files that its plugin's pattern names. */
struct kept_session {
    char *project, *agent;
    char *id;        /* the UUID at the end of the file's name, or the name without its ending */
    char *path;      /* of the file on the host */
    int64_t changed; /* seconds since the epoch */
    uint64_t size;   /* bytes */
};

struct kept_sessions {
    struct kept_session *v; /* the one that changed last comes last */
    size_t n;
};

#define auto_kept_sessions __attribute__((cleanup(kept_sessions_free)))

/* The sessions of a project, or of all (NULL).  What cannot be read is left out: a guest could have
 * made it so. */
int kept_list(const struct paths *p, const char *project, struct kept_sessions *out, struct err *e);
void kept_sessions_free(struct kept_sessions *s);

#endif
