/* Who commits: the host's name and e-mail address for git, as they hold in the project, reach the
 * guest below every configuration that it has of its own.
 */
#ifndef AGENTVM_SESSION_GIT_H
#define AGENTVM_SESSION_GIT_H

#include "base/err.h"
#include "base/str.h"

/* NULL: not set. */
struct git_identity {
    char *name, *email;
};

/* Asks git in the project; nothing is found where there is no git, nothing set, or nothing usable.
 */
void git_identity_find(const char *project, struct git_identity *out);
void git_identity_free(struct git_identity *id);

/* Where the guest has it, in the place of the system's own configuration file, which it includes.
 */
#define GIT_GUEST_CONFIG "/run/agentvm/gitconfig"
#define GIT_GUEST_VARIABLE "GIT_CONFIG_SYSTEM"

/* The text of that file; NULL if there is no identity.  The caller frees it. */
char *git_guest_config(const struct git_identity *id);
/* Takes what `git config -z --get-regexp` wrote. */
void git_identity_parse(const char *text, size_t len, struct git_identity *out);

#endif
