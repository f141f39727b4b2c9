/* What a hook sees of agentvm, in the process forked for it: the table of services, which record
 * the plan, and the rules of which hook may use which. */
#ifndef AGENTVM_PLUGIN_HOST_H
#define AGENTVM_PLUGIN_HOST_H

#include <stdbool.h>

#include "agentvm/plugin.h"
#include "plugin/plugin.h"

struct host {
    struct agentvm_host services; /* first: hooks pass its address back */
    const struct plugin *plugin;
    const struct plugin_context *ctx;
    enum plan_phase phase;
    struct plan plan;
    struct err err; /* the first misuse, or what agentvm_fail said */
    bool failed;
    bool refused;      /* the hook said so itself: agentvm_fail */
    unsigned fail_nth; /* which call of a service is made to fail, from 1; 0: none */
    unsigned calls;    /* of services, so far */
    bool injected;     /* that call was made */
    /* Called once, when err is made: the hook may crash over what its misuse returned. */
    void (*report)(struct host *h);
    void *report_arg;
    struct strv kept; /* strings handed out */
    struct agentvm_mcp *mcp;
    size_t nmcp;
};

void host_init(struct host *h, const struct plugin *pl, enum plan_phase phase,
               const struct plugin_context *ctx);
/* Judges the hook's end, given its return value: 0, or -1 with the reason in h->err. */
int host_finish(struct host *h, int returned);
void host_free(struct host *h);

/* ---- between host.c and host_read.c -------------------------------------------------------- */

/* Checks that the hook may use the service; misuse is recorded.  Returns NULL if it may not, or if
 * this is the call that a trial makes fail. */
struct host *host_enter(struct agentvm_host *services, const char *service, unsigned phases);
enum {
    HOST_AUTH = 1 << PLAN_AUTH,
    HOST_LAUNCH = 1 << PLAN_LAUNCH,
    HOST_LOGIN = 1 << PLAN_LOGIN,
    HOST_ANY = (1 << PLAN_PHASES) - 1,
};

/* Records a misuse: "agentvm_SERVICE: ...".  Returns -1. */
int host_misuse(struct host *h, const char *service, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Marks the call as failed for the reason in h->err and reports it.  Returns -1. */
int host_fail(struct host *h);
/* Keeps a string that is handed out; takes ownership. */
const char *host_keep(struct host *h, char *s);

/* The services that only read, and fail. */
void host_init_read(struct agentvm_host *services);

#endif
