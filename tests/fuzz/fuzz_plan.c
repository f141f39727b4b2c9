/* A plan as a plugin's process sends it.  What parses and is valid is written and parsed again, and
 * must be the same; no checker or writer may stumble over the rest. */
#include <string.h>

#include "base/mem.h"
#include "fuzz.h"
#include "model/plan.h"

static void check_round_trip(const struct plan *p)
{
    auto_free char *once = plan_to_private_json(p);
    auto_free char *twice = NULL;
    auto_plan struct plan again = PLAN_INIT;
    auto_err struct err e = ERR_INIT;

    FUZZ_HOLDS(plan_from_json(once, strlen(once), &again, &e) == 0);
    FUZZ_HOLDS(again.n == p->n);
    twice = plan_to_private_json(&again);
    FUZZ_HOLDS(strcmp(once, twice) == 0);
}

static bool is_valid(const struct plan *p)
{
    for (size_t i = 0; i < p->n; i++)
        if (!p->steps[i].plugin || plan_check_step(&p->steps[i], NULL) < 0)
            return false;
    return true;
}

static void check_public(const struct plan *p)
{
    auto_free char *text = plan_to_json(p);

    FUZZ_HOLDS(text);
    for (int phase = PLAN_PROVISION; phase <= PLAN_LAUNCH; phase++) {
        auto_err struct err e = ERR_INIT;

        FUZZ_HOLDS((plan_validate(p, (enum plan_phase)phase, &e) == 0) == (e.msg == NULL));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_plan struct plan p = PLAN_INIT;
    auto_err struct err e = ERR_INIT;

    if (plan_from_json((const char *)data, size, &p, &e) < 0) {
        FUZZ_HOLDS(e.msg);
        return 0;
    }
    FUZZ_HOLDS(p.n <= PLAN_STEPS_MAX);
    if (is_valid(&p))
        check_round_trip(&p);
    check_public(&p);
    return 0;
}
