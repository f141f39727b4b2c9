#include <stdlib.h>

#include "base/mem.h"
#include "model/limits.h"
#include "model/profile.h"
#include "model/profile_keys.h"

enum { CPUS_DEFAULT = 4, MEMORY_MIN_MIB = 512 };

void profile_defaults(struct profile *p)
{
    const uint64_t mib = (uint64_t)1 << 20;
    struct limits host;
    unsigned cpus;
    uint64_t half;

    limits_find(&host);
    cpus = host.cpus / 2;
    half = host.memory / 2;
    *p = (struct profile){
        .agent = mem_strdup("claude"),
        .sessions = mem_strdup("keep"),
        .backend = mem_strdup("qemu"),
        .cpus = cpus < 1              ? 1
                : cpus > CPUS_DEFAULT ? CPUS_DEFAULT
                                      : cpus,
        .memory = 4096 * mib,
        .disk = 20480 * mib,
        .boot_timeout = 120,
        .ports_auto = mem_strdup("on"),
        .git_identity = true,
    };
    strv_push(&p->ports_allow, "1-65535");
    if (half < p->memory)
        p->memory = half < MEMORY_MIN_MIB * mib ? MEMORY_MIN_MIB * mib : half / mib * mib;
}

void profile_free(struct profile *p)
{
    free(p->agent);
    free(p->sessions);
    free(p->backend);
    strv_free(&p->packages);
    strv_free(&p->base_packages);
    strv_free(&p->masks);
    strv_free(&p->locals);
    strv_free(&p->mounts_readonly);
    strv_free(&p->mounts_writable);
    strv_free(&p->env);
    free(p->ports_auto);
    strv_free(&p->ports_allow);
    strv_free(&p->ports_deny);
    strv_free(&p->ports_fixed);
    strv_free(&p->tools);
    strv_free(&p->project_widens);
    for (size_t i = 0; i < p->nsettings; i++) {
        free(p->settings[i].plugin);
        free(p->settings[i].key);
        free(p->settings[i].value);
        free(p->settings[i].where);
    }
    free(p->settings);
    for (size_t i = 0; i < p->nmcp; i++)
        profile_mcp_free(&p->mcp[i]);
    free(p->mcp);
    for (size_t i = 0; i < p->nnamed; i++)
        profile_named_free(&p->named[i]);
    free(p->named);
    for (size_t i = 0; i < p->nnotes; i++)
        profile_note_free(&p->notes[i]);
    free(p->notes);
    *p = (struct profile){0};
}
