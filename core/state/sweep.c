#include "state/sweep.h"

#include "image/store.h"
#include "state/local.h"
#include "state/persist.h"
#include "state/vms.h"

void state_sweep(const struct paths *p)
{
    local_sweep(p); /* vms_sweep leaves what this has not done */
    vms_sweep(p);
    persist_sweep(p);
    store_sweep(p);
}
