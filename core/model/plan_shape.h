/* What the steps of each operation consist of; shared by the three sources of plan. */
#ifndef AGENTVM_MODEL_PLAN_SHAPE_H
#define AGENTVM_MODEL_PLAN_SHAPE_H

#include <stdbool.h>

#include "model/plan.h"

enum plan_field {
    PLAN_HAS_NAME = 1 << 0,
    PLAN_HAS_USER = 1 << 1,
    PLAN_HAS_PATH = 1 << 2,
    PLAN_HAS_MODE = 1 << 3,
    PLAN_HAS_DATA = 1 << 4,
    PLAN_HAS_ARGV = 1 << 5,
    PLAN_HAS_ENV = 1 << 6,
};

struct plan_shape {
    const char *name;
    unsigned fields;  /* enum plan_field */
    unsigned phases;  /* 1 << enum plan_phase */
    bool secret;      /* data is left out of what is shown or hashed */
    const char *data; /* what the document calls data */
    const char *key;  /* what it calls name */
};

enum { PLAN_OPS = PLAN_ASK + 1 };

const struct plan_shape *plan_shape(enum plan_op op);

#endif
