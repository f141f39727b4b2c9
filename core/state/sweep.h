/* What killed commands and VMs left behind, and its removal. */
#ifndef AGENTVM_STATE_SWEEP_H
#define AGENTVM_STATE_SWEEP_H

#include "model/paths.h"

/* Removes it; whatever somebody uses stays. */
void state_sweep(const struct paths *p);

#endif
