/* What `agentvm plan` knows of a start, and its two forms. */
#ifndef AGENTVM_CLI_PLAN_VIEW_H
#define AGENTVM_CLI_PLAN_VIEW_H

#include <stdbool.h>

#include <cjson/cJSON.h>

#include "session/session.h"

struct plan_view {
    struct session *session; /* borrowed */
    struct plan provision, auth, launch;
    struct template_keys keys;
    char warm[DIGEST_HEX + 1];                /* "" where it is not known yet */
    bool has_base, has_provisioned, has_warm; /* whether the layers exist */
    struct persist kept;   /* with --keep, where it exists: the layers are those of its disk */
    bool kept_old;         /* the profile's template is another one by now */
    struct strv packages;  /* all of the image's, sorted, each once */
    char *user_runtime;    /* the user's runtime script, or NULL */
    bool runtime_approved; /* the project's, where there is one */
    struct err auth_error; /* no credential: shown, not fatal here */
    struct err ssh_error;  /* no ssh-agent, likewise */
};

/* The caller frees the text. */
char *plan_view_text(const struct plan_view *v);
/* As agentvm(1) documents it. */
char *plan_view_json(const struct plan_view *v);
/* The list of accounts in it. */
cJSON *plan_view_accounts(const struct plan *auth);

#endif
