/* What agentvm-fakehost is told on its command line. */
#ifndef AGENTVM_FAKEHOST_FAKEHOST_H
#define AGENTVM_FAKEHOST_FAKEHOST_H

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"
#include "plugin/plugin.h"

struct fakehost {
    const char *file;
    enum plan_phase phase;
    struct strv options;  /* KEY=VALUE of the plugin */
    struct strv host_env; /* NAME=VALUE */
    const char *login;
    struct plan offers; /* MCP servers */
    const char *home, *workspace;
    char *const *args; /* the agent's; NULL-terminated */
    unsigned fail_nth;
    bool fail_each, tty, secrets, help;
};

extern const char fakehost_help[];

/* Strings of argv are borrowed. */
int fakehost_parse(char **argv, struct fakehost *out, struct err *e);
void fakehost_free(struct fakehost *f);

struct plugin_context fakehost_context(const struct fakehost *f);
/* Puts the plugin's options into the profile and checks that they exist. */
int fakehost_set_options(const struct fakehost *f, const struct plugin *pl, struct profile *profile,
                         struct err *e);

#endif
