/* Between call.c and call_child.c: what the forked process is to do, and how it answers. */
#ifndef AGENTVM_PLUGIN_CALL_JOB_H
#define AGENTVM_PLUGIN_CALL_JOB_H

#include <sys/types.h>

#include "plugin/plugin.h"

enum {
    ANSWER_MAX = 8 << 20, /* bytes of an answer with its letter */
    EXIT_MUTE = 121,      /* the child could not write its answer */
};

enum job_kind {
    JOB_INSPECT, /* answers D */
    JOB_FAULTS,  /* answers A */
    JOB_CALL,    /* answers P; N or R where a call was to fail */
};

struct job {
    enum job_kind kind;
    int so;      /* the checked file */
    int answer;  /* the pipe's writing end */
    int printed; /* takes what the plugin prints; -1: nobody wants it */
    pid_t parent;
    const struct plugin *plugin; /* of JOB_CALL, as are those below */
    enum plan_phase phase;
    const struct plugin_context *ctx;
    const struct plugin_trial *trial;
};

/* The child's whole life; arg is its job. */
int call_child_main(void *arg);

#endif
