/* agent.ini of a project that is not trusted. */
#include <string.h>

#include <cjson/cJSON.h>

#include "base/mem.h"
#include "fuzz.h"
#include "model/plan.h"
#include "model/profile.h"

/* What an error or a description shows to the user. */
static void check_shown(const char *text, const char *also_allowed)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++)
        FUZZ_HOLDS((*p >= 0x20 && *p != 0x7f) || strchr(also_allowed, *p));
}

static void check_names(const struct strv *names)
{
    for (size_t i = 0; i < names->n; i++)
        FUZZ_HOLDS(names->v[i][0] && names->v[i][0] != '-' && !strpbrk(names->v[i], " \t\n/="));
}

/* What becomes a step of the plan is one that a plan may have. */
static void check_server(const struct profile_mcp *m)
{
    struct plan_step step = {.op = PLAN_OFFER_MCP, .name = m->name, .env = m->env};

    strv_push(&step.argv, m->command);
    strv_push_all(&step.argv, m->args.v);
    FUZZ_HOLDS(plan_check_step(&step, NULL) == 0);
    strv_free(&step.argv);
}

static void check_profile(const struct profile *p)
{
    auto_free char *text = profile_describe(p), *json = profile_to_json(p);
    cJSON *parsed = cJSON_Parse(json);

    check_shown(text, "\n");
    FUZZ_HOLDS(parsed);
    cJSON_Delete(parsed);
    for (size_t i = 0; i < p->nmcp; i++)
        check_server(&p->mcp[i]);
    FUZZ_HOLDS(p->cpus >= 1 && p->cpus <= 64);
    FUZZ_HOLDS(p->memory >= (uint64_t)512 << 20 && p->memory <= (uint64_t)1 << 40);
    FUZZ_HOLDS(p->disk >= (uint64_t)10 << 30 && p->disk <= (uint64_t)16 << 40);
    FUZZ_HOLDS(p->boot_timeout >= 10 && p->boot_timeout <= 3600);
    FUZZ_HOLDS(strcmp(p->backend, "qemu") == 0);
    for (size_t i = 0; i < p->project_widens.n; i++)
        check_shown(p->project_widens.v[i], "");
    check_names(&p->packages);
    check_names(&p->base_packages);
    check_names(&p->tools);
    for (size_t i = 0; i < p->env.n; i++) {
        auto_free char *name = mem_dup(p->env.v[i], strcspn(p->env.v[i], "="));

        FUZZ_HOLDS(str_is_identifier(name));
    }
}

/* What passes as narrowing must narrow. */
static void check_narrower(const struct profile *p, const struct profile *before)
{
    FUZZ_HOLDS(p->cpus <= before->cpus && p->memory <= before->memory);
    FUZZ_HOLDS(p->disk <= before->disk && p->boot_timeout <= before->boot_timeout);
    FUZZ_HOLDS(p->packages.n == 0 && p->base_packages.n == 0 && p->env.n == 0);
    FUZZ_HOLDS(p->nmcp == 0 && strcmp(p->agent, before->agent) == 0);
    for (size_t i = 0; i < p->tools.n; i++)
        FUZZ_HOLDS(strv_has(&before->tools, p->tools.v[i]));
}

static void prepare(struct profile *p)
{
    profile_defaults(p);
    profile_set(p, "--cpus", "vm", "cpus", "4", NULL);
    profile_set(p, "--memory", "vm", "memory", "4G", NULL);
    profile_set(p, "--tools", "agent", "tools", "chrome-mcp other", NULL);
}

/* As the user's file: read to its end, or every problem told. */
static void check_alone(const char *data, size_t size)
{
    auto_strv struct strv problems = STRV_INIT;
    auto_err struct err e = ERR_INIT;
    struct profile p;
    bool fine;

    profile_defaults(&p);
    fine = profile_apply(&p, PROFILE_USER, "agent.ini", data, size, &e) == 0;
    profile_check("agent.ini", data, size, &problems);
    FUZZ_HOLDS(fine == (problems.n == 0));
    for (size_t i = 0; i < problems.n; i++) {
        FUZZ_HOLDS(str_starts(problems.v[i], "agent.ini:"));
        check_shown(problems.v[i], "");
    }
    for (size_t i = 0; fine && i < p.nnamed; i++)
        FUZZ_HOLDS(profile_select(&p, p.named[i].name, "agent.ini", NULL) == 0);
    if (fine)
        check_profile(&p);
    profile_free(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct profile before, p;
    auto_err struct err e = ERR_INIT;

    check_alone((const char *)data, size);
    prepare(&before);
    prepare(&p);
    if (profile_apply(&p, PROFILE_PROJECT, "agent.ini", (const char *)data, size, &e) == 0) {
        check_profile(&p);
        if (p.project_widens.n == 0)
            check_narrower(&p, &before);
    } else {
        FUZZ_HOLDS(str_starts(err_msg(&e), "agent.ini:"));
        FUZZ_HOLDS(strlen(err_msg(&e)) < 1000);
        check_shown(err_msg(&e), "");
    }
    profile_free(&p);
    profile_free(&before);
    return 0;
}
