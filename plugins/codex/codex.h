#ifndef CODEX_H
#define CODEX_H

#include "agentvm/plugin.h"

/* The model provider that auth describes and launch chooses. */
#define CODEX_PROVIDER "agentvm"

/* Values of option credential beside auto. */
#define CODEX_CREDENTIALS "codex-key, login, openai-key"

/* Asks for a key to keep (auth.c). */
int codex_login(struct agentvm_host *h);
/* Hands over one credential and says which server it is for (auth.c). */
int codex_auth(struct agentvm_host *h);
/* Writes the session's configuration (config.c). */
int codex_configure(struct agentvm_host *h);

#endif
