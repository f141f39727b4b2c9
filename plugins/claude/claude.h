#ifndef CLAUDE_H
#define CLAUDE_H

#include "agentvm/plugin.h"

/* What a fresh home must contain lest Claude Code asks about colours and accounts first. */
#define CLAUDE_ONBOARDED "\"hasCompletedOnboarding\": true"

/* Values of option credential beside auto. */
#define CLAUDE_CREDENTIALS "oauth-token, login, file, auth-token, api-key"

/* Hands over one credential (auth.c). */
int claude_auth(struct agentvm_host *h);
/* Tells how to get one (auth.c). */
int claude_login(struct agentvm_host *h);
/* Keeps Claude Code from asking and from talking to others (claude.c). */
void claude_set_environment(struct agentvm_host *h);

/* Writes the settings that a session has without those of the user (import.c). */
int claude_settings(struct agentvm_host *h);
/* What option import asks for: imports, and the settings anew. */
int claude_import(struct agentvm_host *h);

#endif
