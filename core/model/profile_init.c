#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "model/profile.h"
#include "model/profile_keys.h"

void profile_defaults(struct profile *p)
{
    const uint64_t mib = (uint64_t)1 << 20;
    long cpus = sysconf(_SC_NPROCESSORS_ONLN), pages = sysconf(_SC_PHYS_PAGES);
    uint64_t half = pages > 0 ? (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE) / 2 : 0;

    *p = (struct profile){
        .agent = mem_strdup("claude"),
        .sessions = mem_strdup("keep"),
        .backend = mem_strdup("qemu"),
        .cpus = cpus < 1   ? 1
                : cpus > 4 ? 4
                           : (unsigned)cpus,
        .memory = 4096 * mib,
        .disk = 20480 * mib,
        .boot_timeout = 120,
        .git_identity = true,
    };
    if (half < p->memory)
        p->memory = half < 512 * mib ? 512 * mib : half / mib * mib;
}

void profile_free(struct profile *p)
{
    free(p->agent);
    free(p->sessions);
    free(p->backend);
    strv_free(&p->packages);
    strv_free(&p->base_packages);
    strv_free(&p->masks);
    strv_free(&p->mounts_readonly);
    strv_free(&p->mounts_writable);
    strv_free(&p->env);
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
