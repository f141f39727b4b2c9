#include "session/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "image/initrd.h"
#include "vm/accel.h"
#include "vm/qemu_version.h"

enum {
    RUN_GIB = 2, /* a machine whose disk grows by less than that does not get far */
    MEMINFO_MAX = 65536,
    MEMORY_STEP = 512 << 20, /* also the least that a profile may ask for */
};

#define GIB ((double)(1 << 30))

struct doctor {
    struct session s;
    struct findings *f;
    bool has_qemu;
    bool has_profile;          /* the profile is good, and approved as far as it has to be */
    struct template_keys keys; /* empty where they are not known */
};

/* ---- host ----------------------------------------------------------------------------------- */

static void examine_folders(struct doctor *d)
{
    paths_examine(&d->s.paths, d->f);
}

static void examine_user(struct doctor *d)
{
    auto_err struct err e = ERR_INIT;

    if (session_find_user(&d->s.user, &e) < 0) {
        finding_error(d->f, FINDING_PROBLEM, NULL, &e);
        return;
    }
    d->s.user.home = mem_strdup(d->s.paths.home);
    finding_ok(d->f, "%s (%u), home folder %s", d->s.user.name, d->s.user.uid,
               d->s.paths.home ? d->s.paths.home : "unknown");
}

static void examine_qemu(struct doctor *d)
{
    d->has_qemu = qemu_examine(d->s.paths.cache, d->f);
}

static void examine_programs(struct doctor *d)
{
    base_examine_programs(d->f);
}

static void examine_namespaces(struct doctor *d)
{
    base_examine_namespaces(d->f);
}

static void examine_ids(struct doctor *d)
{
    base_examine_ids(d->f);
}

static void examine_certificates(struct doctor *d)
{
    base_examine_certificates(BASE_CA_FOLDER, d->f);
}

/* ---- plugins and profile -------------------------------------------------------------------- */

static void examine_plugins(struct doctor *d)
{
    auto_buf struct buf names = BUF_INIT;
    struct plugin_list list;

    plugin_scan(&d->s.paths, &list, NULL);
    for (size_t i = 0; i < list.nfaults; i++) {
        auto_free char *file = str_quote(list.faults[i].path);
        auto_free char *fix = mem_printf("agentvm plugin check %s", file);

        finding_add(d->f, FINDING_PROBLEM, str_ends(list.faults[i].path, ".so") ? fix : NULL,
                    "%s: %s", list.faults[i].path, list.faults[i].why);
    }
    for (size_t i = 0; i < list.n; i++)
        buf_printf(&names, "%s%s %s", i ? ", " : "", list.plugins[i].name, list.plugins[i].version);
    if (list.n > 0)
        finding_ok(d->f, "%s", names.data);
    else
        finding_add(d->f, FINDING_PROBLEM, NULL,
                    "there is none in %s and %s; reinstall agentvm, its parts belong together",
                    d->s.paths.plugins_user, d->s.paths.plugins_system);
    plugin_list_free(&list);
}

/* A folder that cannot be a project's, such as the home folder, is a fine place to ask from. */
static void examine_project(struct doctor *d)
{
    auto_err struct err e = ERR_INIT;
    struct session *s = &d->s;

    if (paths_project(&s->paths, s->options.project, &s->project, &e) < 0)
        finding_error(d->f, s->options.project ? FINDING_PROBLEM : FINDING_WARNING, NULL, &e);
    else if (trust_read(s->project, PATHS_PROJECT_INI, &s->project_ini, &e) < 0 ||
             trust_read(s->project, PATHS_PROJECT_RUNTIME, &s->project_runtime, &e) < 0)
        finding_error(d->f, FINDING_PROBLEM, NULL, &e);
    else
        finding_ok(d->f, "%s", s->project);
}

/* Whether a run would take the file as it is; what is not approved is a finding. */
static bool is_approved(struct doctor *d, const struct trust_file *file, const char *fix)
{
    enum trust_state state = TRUST_APPROVED;
    auto_err struct err e = ERR_INIT;

    if (trust_state(&d->s.paths, d->s.project, file, &state, &e) < 0)
        finding_error(d->f, FINDING_PROBLEM, NULL, &e);
    else if (state != TRUST_APPROVED)
        finding_add(d->f, FINDING_WARNING, fix, "this folder's %s %s, so a run asks first",
                    file->name,
                    state == TRUST_CHANGED ? "changed since you approved it" : "is not approved");
    else
        return true;
    return false;
}

static bool find_keys(struct doctor *d, struct err *e)
{
    auto_plan struct plan plan = PLAN_INIT;

    if (session_provision_plan(&d->s, &plan, e) == 0 &&
        template_keys(&d->s, &plan, &d->keys, e) == 0)
        return true;
    d->keys = (struct template_keys){0};
    return false;
}

static void examine_profile(struct doctor *d)
{
    const struct profile *p = &d->s.profile;
    auto_err struct err e = ERR_INIT;
    bool approved = true;

    if (session_build_profile(&d->s, &e) < 0 || !vm_driver_find(p->backend, &e)) {
        finding_error(d->f, FINDING_PROBLEM, NULL, &e);
        return;
    }
    if (d->s.project_runtime.present)
        is_approved(d, &d->s.project_runtime, "agentvm trust");
    if (p->project_widens.n > 0)
        approved = is_approved(d, &d->s.project_ini, "agentvm trust");
    if (!approved) /* nothing may be done that it says */
        return;
    d->has_profile = true;
    if (find_keys(d, &e))
        finding_ok(d->f, "agent %s, %u CPU%s, %.1fG of memory, %.1fG of disk", p->agent, p->cpus,
                   p->cpus == 1 ? "" : "s", (double)p->memory / GIB, (double)p->disk / GIB);
    else
        finding_error(d->f, FINDING_PROBLEM, NULL, &e);
}

/* By name: what the hooks of a run would hand over. */
static void examine_credentials(struct doctor *d)
{
    auto_plan struct plan plan = PLAN_INIT;
    auto_err struct err e = ERR_INIT;
    size_t before = d->f->n;

    if (!d->has_profile)
        return;
    if (session_plan(&d->s, PLAN_AUTH, &plan, &e) < 0) {
        finding_error(d->f, FINDING_PROBLEM, NULL, &e);
        return;
    }
    for (size_t i = 0; i < plan.n; i++) {
        const struct plan_step *step = &plan.steps[i];

        if (step->op == PLAN_SECRET_ENV || step->op == PLAN_SECRET_FILE)
            finding_ok(d->f, "%s gets %s", step->plugin,
                       step->op == PLAN_SECRET_ENV ? step->name : step->path);
    }
    if (d->f->n == before)
        finding_ok(d->f, "agent %s gets none", d->s.profile.agent);
}

/* ---- resources ------------------------------------------------------------------------------ */

uint64_t doctor_parse_meminfo(const char *text)
{
    const char *line = strstr(text, "MemAvailable:");
    unsigned long long kib = 0;

    return line && sscanf(line, "MemAvailable: %llu kB", &kib) == 1 ? (uint64_t)kib << 10 : 0;
}

void doctor_examine_memory(uint64_t wanted, uint64_t total, uint64_t available, struct findings *f)
{
    uint64_t half = (available ? available : total) / 2 / MEMORY_STEP * MEMORY_STEP;
    auto_free char *fix =
        mem_printf("agentvm --memory %lluM",
                   (unsigned long long)(half > MEMORY_STEP ? half : MEMORY_STEP) >> 20);

    if (wanted > total)
        finding_add(f, FINDING_PROBLEM, fix, "a VM gets %.1fG, and this host has %.1fG",
                    (double)wanted / GIB, (double)total / GIB);
    else if (available && wanted > available)
        finding_add(f, FINDING_WARNING, fix, "a VM gets %.1fG, and of this host's %.1fG are free",
                    (double)wanted / GIB, (double)available / GIB);
    else
        finding_ok(f, "a VM gets %.1fG of this host's %.1fG", (double)wanted / GIB,
                   (double)total / GIB);
}

static void examine_memory(struct doctor *d)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    auto_close int fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
    auto_buf struct buf text = BUF_INIT;
    uint64_t available = 0;

    if (!d->has_profile || pages <= 0 || page <= 0)
        return;
    if (fd >= 0 && file_read_fd(fd, MEMINFO_MAX, &text, NULL) == 0)
        available = doctor_parse_meminfo(text.data);
    doctor_examine_memory(d->s.profile.memory, (uint64_t)pages * (uint64_t)page, available, d->f);
}

/* What is told and advised of the folder of layers is about XDG_DATA_HOME. */
static void examine_space(struct doctor *d, const char *folder, unsigned needed_gib,
                          const char *what)
{
    bool is_ours = folder == d->s.paths.layers;
    const char *fix = is_ours ? "agentvm prune --all" : NULL;
    auto_err struct err e = ERR_INIT;
    uint64_t bytes;

    if (file_free_space(folder, &bytes, &e) < 0)
        finding_error(d->f, FINDING_PROBLEM, NULL, &e);
    else if (bytes >= (uint64_t)(needed_gib > RUN_GIB ? needed_gib : RUN_GIB) << 30)
        finding_ok(d->f, "%.1fG free in %s", (double)bytes / GIB, folder);
    else if (bytes < (uint64_t)needed_gib << 30)
        finding_add(d->f, FINDING_PROBLEM, fix,
                    "%s needs %uG in %s, and %.1fG are free; free some "
                    "space%s",
                    what, needed_gib, folder, (double)bytes / GIB,
                    is_ours ? ", or point XDG_DATA_HOME at a larger disk" : "");
    else
        finding_add(d->f, FINDING_WARNING, fix, "only %.1fG are free in %s, into which VMs write",
                    (double)bytes / GIB, folder);
}

static void examine_disk(struct doctor *d)
{
    const struct template_keys *k = &d->keys;
    bool no_base = k->base[0] && !store_has(&d->s.paths, k->base);
    bool no_disk = k->provisioned[0] && !store_has(&d->s.paths, k->provisioned);
    unsigned gib = 0;

    if (no_base)
        gib += BASE_LAYER_GIB;
    if (no_disk)
        gib += TEMPLATE_PROVISION_GIB;
    if (no_base || no_disk)
        gib += TEMPLATE_WARM_GIB;
    examine_space(d, d->s.paths.layers, gib, "the template");
    if (no_base)
        examine_space(d, BASE_BUILD_FOLDER, BASE_BUILD_GIB, "making the VM's image");
}

static void examine_layers(struct doctor *d)
{
    doctor_examine_layers(&d->s.paths, d->f);
}

/* ---- accelerator ---------------------------------------------------------------------------- */

/* With the kernel of the profile's image, as a start would. */
static void examine_accelerator(struct doctor *d)
{
    struct accel_request r = {.cache = d->s.paths.cache};
    auto_layer struct layer base = LAYER_INIT;
    auto_free char *kernel = NULL, *initrd = NULL;
    auto_err struct err e = ERR_INIT;

    if (d->has_qemu && d->keys.base[0] && store_hold(&d->s.paths, d->keys.base, &base, &e) == 0) {
        if (initrd_cached(&d->s.paths, &base, &initrd, &e) == 0)
            r.kernel = kernel = layer_file(&base, BASE_KERNEL);
        r.initrd = initrd;
    }
    if (e.msg)
        finding_error(d->f, FINDING_PROBLEM, NULL, &e);
    log_status(r.kernel ? "agentvm: testing hardware virtualization" : NULL);
    accel_examine(&r, d->f);
    log_status(NULL);
}

/* ---- all of them ---------------------------------------------------------------------------- */

/* In this order: later ones use what earlier ones found out. */
static const struct check {
    const char *name;
    bool needs_home; /* and the names of folders */
    bool needs_user;
    void (*examine)(struct doctor *d);
} checks[] = {
    {"folders", false, false, examine_folders},
    {"user", false, false, examine_user},
    {"qemu", false, false, examine_qemu},
    {"programs", false, false, examine_programs},
    {"namespaces", false, false, examine_namespaces},
    {"ids", false, false, examine_ids},
    {"certificates", false, false, examine_certificates},
    {"plugins", true, false, examine_plugins},
    {"project", true, false, examine_project},
    {"profile", true, true, examine_profile},
    {"credentials", true, true, examine_credentials},
    {"memory", false, false, examine_memory},
    {"disk", true, false, examine_disk},
    {"layers", true, false, examine_layers},
    {"accelerator", true, false, examine_accelerator},
};

void doctor_examine(const struct session_options *o, struct findings *f)
{
    struct doctor d = {.f = f};

    session_start(&d.s, o);
    for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
        const struct check *c = &checks[i];

        f->check = c->name;
        if ((d.s.paths.home || !c->needs_home) && (d.s.user.name || !c->needs_user))
            c->examine(&d);
    }
    session_free(&d.s);
}
