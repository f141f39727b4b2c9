/* Trials that call a hook more than once. */
#include <string.h>

#include "base/mem.h"
#include "plugin/host.h"
#include "plugin/plugin.h"

enum { CALLS_MAX = 4096 }; /* of services by one hook that are made to fail, one after the other */

int plugin_try_each(const struct plugin *pl, enum plan_phase phase,
                    const struct plugin_context *ctx, unsigned *calls, struct err *e)
{
    struct plugin_trial trial = {.deadline_ms = PLUGIN_DEADLINE_MS};

    for (*calls = 0; *calls < CALLS_MAX; (*calls)++) {
        struct plan none;

        trial.fail_nth = *calls + 1;
        if (plugin_try(pl, phase, ctx, &trial, &none, e) < 0)
            return err_prefix(e, "when its service call number %u fails", trial.fail_nth);
        if (!trial.reached)
            return 0;
    }
    return 0;
}

int plugin_try_again(const struct plugin *pl, enum plan_phase phase,
                     const struct plugin_context *ctx, const struct plan *first, struct err *e)
{
    struct plugin_trial trial = {.deadline_ms = PLUGIN_DEADLINE_MS, .elsewhere = true};
    auto_plan struct plan p = PLAN_INIT;
    auto_free char *expected = plan_to_private_json(first), *got = NULL;

    if (plugin_try(pl, phase, ctx, &trial, &p, e) < 0)
        return err_prefix(e, "called again, without environment variables and in another folder");
    got = plan_to_private_json(&p);
    if (strcmp(expected, got) == 0)
        return 0;
    err_set(e,
            "plugin %s, hook %s: makes another plan when it is called again, without environment "
            "variables and in another folder",
            pl->name, plan_phase_name(phase));
    return err_advise(e, "it may depend on options and facts only");
}
