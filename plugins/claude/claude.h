#ifndef CLAUDE_H
#define CLAUDE_H

#include "agentvm/plugin.h"

/* What a fresh home must contain lest Claude Code asks about colours and accounts first. */
#define CLAUDE_ONBOARDED "\"hasCompletedOnboarding\": true"

/* Hands over one credential (auth.c). */
int claude_auth(struct agentvm_host *h);

#endif
