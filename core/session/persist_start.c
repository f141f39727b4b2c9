/* A session's kept VM: found, made, grown and started, or attached to.
 *
 * Whoever has its lock starts it.  For the others it runs, or is about to, or ends just now: they
 * try to attach, and if that fails for the lock again, until one of both works. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/profile_keys.h"
#include "session/session.h"
#include "state/local.h"
#include "state/vms.h"
#include "vm/qcow2.h"

enum {
    RETRY_MS = 100,   /* there is no event for a lock that another process gives up */
    WAIT_MS = 300000, /* longer than the longest end, and than a start */
    END_MS = 10000,   /* from a supervisor's last word to its end */
};

bool persist_is_wanted(const struct session *s)
{
    return s->profile.persist && !s->options.new_vm && !s->options.vm;
}

static const char *wanted_name(const struct session *s)
{
    return s->options.name ? s->options.name : PERSIST_DEFAULT;
}

/* A name is for one VM of the folder that runs or is kept. */
static int check_free(struct session *s, struct err *e)
{
    auto_vm_infos struct vm_infos vms = {0};
    auto_free char *dir = paths_kept_vm(&s->paths, s->project, s->options.name);

    if (access(dir, F_OK) == 0) {
        err_set(e, "this folder has a kept VM %s", s->options.name);
        return err_advise(e, "use it with --keep, or choose another name");
    }
    if (vms_list(&s->paths, s->project, &vms, e) < 0)
        return -1;
    for (size_t i = 0; i < vms.n; i++)
        if (vms.v[i].name && strcmp(vms.v[i].name, s->options.name) == 0) {
            err_set(e, "a VM %s runs for this folder already (%s)", s->options.name, vms.v[i].id);
            return err_advise(e, "choose another name, or attach to it with agentvm shell --vm %s",
                              s->options.name);
        }
    return 0;
}

/* Whether the command line does: --vm and --new override agent.ini, but not --keep beside them. */
static bool asks_to_keep(const struct session *s)
{
    bool keep = false;

    for (size_t i = 0; i < s->options.nflags; i++) {
        const struct session_flag *f = &s->options.flags[i];

        if (strcmp(f->section, "vm") == 0 && strcmp(f->key, "persist") == 0)
            keep = strcmp(f->value, "true") == 0;
    }
    return keep;
}

int persist_check_options(struct session *s, struct err *e)
{
    const char *name = s->options.name;

    if (s->options.new_vm && s->options.vm)
        return err_set(e, "--new and --vm exclude each other");
    if ((s->options.new_vm || s->options.vm) && asks_to_keep(s))
        return err_set(e, "--keep and %s exclude each other", s->options.vm ? "--vm" : "--new");
    if (name && !persist_is_name(name))
        return err_set(e,
                       "--name %s: a name is 1 to 32 letters, digits, '.', '_' and '-', begins "
                       "with a letter or digit, and does not look like an ID",
                       name);
    if (name && s->options.vm)
        return err_set(e, "--vm and --name exclude each other");
    if (s->options.reset && !persist_is_wanted(s) &&
        !(s->profile.locals_keep && s->profile.locals.n > 0)) {
        err_set(e, "--reset is for kept VMs, and for kept [guest-local] folders");
        return err_advise(e, "add --keep; every other VM is new anyway");
    }
    return name && !persist_is_wanted(s) ? check_free(s, e) : 0;
}

/* ---- whose turn it is ----------------------------------------------------------------------- */

static void on_pause_end(void *arg)
{
    loop_quit(((struct session *)arg)->task.loop);
}

static int pause_claim(struct session *s, const char *name, int64_t deadline, struct err *e)
{
    struct loop_timer *t;

    if (clock_ms() >= deadline)
        return err_set(e, "kept VM %s: another agentvm neither runs it nor lets go of it", name);
    t = loop_timer(s->task.loop, RETRY_MS, on_pause_end, s);
    loop_run(s->task.loop);
    if (task_check(&s->task, e) == 0)
        return 0; /* the timer is over: nothing else quits the loop */
    loop_untimer(t);
    return -1;
}

/* Links to the VM if it becomes ready; 0 if so. */
static int attach(struct session *s, const struct persist *v)
{
    s->link = client_attach(&s->task, &s->paths, v->id, NULL);
    if (s->link && client_wait_ready(s->link, NULL) == 0)
        return 0;
    client_free(steal_ptr(&s->link));
    return -1;
}

static int refuse_second(struct session *s, const struct persist *v, struct err *e)
{
    session_stop_vm(s, NULL); /* the link only: it is not ours */
    err_set(e, "the kept VM %s of this folder runs already (%s)", v->name, v->id);
    return err_advise(e, "go into it with agentvm shell, end it with agentvm stop, or start "
                         "another with --name");
}

/* Returns 0 with the lock, 1 if there is no such VM, 2 if the session is attached to it. */
static int claim(struct session *s, bool may_attach, struct err *e)
{
    int64_t deadline = clock_ms() + WAIT_MS;

    for (;;) {
        int rc;

        persist_free(&s->persist);
        rc = persist_take(&s->paths, s->project, wanted_name(s), &s->persist, e);
        if (rc < 0 && s->options.reset) { /* it cannot be read: all the more */
            err_clear(e);
            return 1;
        }
        if (rc < 2)
            return rc;
        if (persist_check_holder(&s->paths, &s->persist, e) < 0)
            return -1;
        stage_progress(&s->stages, "waiting for another agentvm that starts or ends it", -1);
        if (attach(s, &s->persist) == 0) {
            if (!may_attach || s->options.reset)
                return refuse_second(s, &s->persist, e);
            s->record.start = "attached";
            snprintf(s->record.vm, sizeof(s->record.vm), "%s", s->persist.id);
            return 2;
        }
        if (task_check(&s->task, e) < 0 || pause_claim(s, s->persist.name, deadline, e) < 0)
            return -1;
    }
}

/* Stops a VM that runs by now. */
static void end(struct session *s, const char *id)
{
    auto_err struct err unknown = ERR_INIT; /* persist_remove tells whether it worked */
    struct client_link *link = client_attach(&s->task, &s->paths, id, &unknown);

    if (link)
        client_stop_attached(link, &unknown);
    client_free(link);
}

int persist_remove_stopped(struct session *s, const char *dir, const char *id, struct err *e)
{
    int64_t deadline = clock_ms() + (id ? WAIT_MS : END_MS);
    int rc;

    while ((rc = persist_remove(&s->paths, dir, e)) == 2) {
        if (id)
            end(s, id);
        if (pause_claim(s, strrchr(dir, '/') + 1, deadline, e) < 0)
            return -1;
    }
    return rc < 0 ? -1 : 0;
}

/* ---- one that exists ------------------------------------------------------------------------ */

static int check_agent(const struct session *s, const struct persist *v, struct err *e)
{
    if (strcmp(v->agent, s->agent.name) == 0)
        return 0;
    err_set(e, "the kept VM %s of this folder was made for agent %s, not %s", v->name, v->agent,
            s->agent.name);
    return err_advise(e, "give %s one of its own with --name, or make this one anew with --reset",
                      s->agent.name);
}

/* Whether it was made from another template than the profile's.  The size of its disk is no reason
 * to make it anew: that can grow. */
static int find_age(struct session *s, const struct persist *v, const struct plan *plan, bool *old,
                    struct err *e)
{
    uint64_t wanted = s->profile.disk;
    struct template_keys keys;
    int rc;

    s->profile.disk = v->template_disk;
    rc = template_keys(s, plan, &keys, e);
    s->profile.disk = wanted;
    if (rc < 0)
        return -1;
    *old = strcmp(keys.base, v->base) != 0 || strcmp(keys.provisioned, v->provisioned) != 0;
    return 0;
}

static int tell_age(struct session *s, const struct persist *v, const struct plan *plan,
                    struct err *e)
{
    bool old;

    if (find_age(s, v, plan, &old, e) < 0)
        return -1;
    if (old)
        log_info("agentvm: the kept VM %s was made from an older template than this profile's; "
                 "--reset makes it anew, without what is on its disk",
                 v->name);
    return 0;
}

/* A smaller size in a file is one for new VMs. */
static int fit_disk(struct session *s, struct persist *v, struct err *e)
{
    auto_free char *path = persist_disk(v), *now = profile_size_text(v->disk);
    uint64_t wanted = s->profile.disk;

    if (wanted > v->disk) {
        if (qcow2_grow(path, wanted, e) < 0)
            return -1;
        v->disk = wanted;
    } else if (wanted < v->disk && profile_is_flag(&s->profile, "vm.disk")) {
        auto_free char *size = profile_size_text(wanted);

        err_set(e,
                "--disk %s: the disk of the kept VM %s has %s, and a disk cannot shrink: its file "
                "system may have data anywhere",
                size, v->name, now);
        return err_advise(e, "leave --disk out, or make the VM anew with --reset");
    }
    s->profile.disk = v->disk;
    return 0;
}

static int reopen(struct session *s, struct template *t, const struct plan *plan, bool may_attach,
                  struct err *e)
{
    struct persist *v = &s->persist;

    if (!may_attach && check_agent(s, v, e) < 0)
        return -1;
    if ((strcmp(v->agent, s->agent.name) == 0 && tell_age(s, v, plan, e) < 0) ||
        template_reuse(s, v, t, e) < 0 || fit_disk(s, v, e) < 0)
        return -1;
    v->used = time(NULL);
    v->cpus = s->profile.cpus;
    v->memory = s->profile.memory;
    return persist_save(v, e);
}

/* ---- a new one ------------------------------------------------------------------------------ */

/* It boots: its disk lies on the provisioned layer, as a saved machine is thrown away when it does
 * not fit any more, and would take the disk with it.  Returns 1 if somebody else made one. */
static int make(struct session *s, struct template *t, const struct plan *plan, struct err *e)
{
    struct persist *v = &s->persist;
    int rc;

    persist_free(v);
    s->options.cold = s->starts = true;
    if (template_prepare(s, plan, t, e) < 0)
        return -1;
    *v = (struct persist){.name = mem_strdup(wanted_name(s)),
                          .project = mem_strdup(s->project),
                          .agent = mem_strdup(s->agent.name),
                          .template_disk = s->profile.disk,
                          .disk = s->profile.disk,
                          .created = time(NULL),
                          .used = time(NULL),
                          .cpus = s->profile.cpus,
                          .memory = s->profile.memory,
                          .lock = -1};
    memcpy(v->base, t->base.key, sizeof(v->base));
    if (t->provisioned.dir)
        memcpy(v->provisioned, t->provisioned.key, sizeof(v->provisioned));
    rc = persist_create(&s->paths, v, s->options.reset, e);
    if (rc > 0)
        template_free(t);
    return rc;
}

/* Moves it out of the list. */
static bool find_own(struct session *s, struct persist *out, struct err *e)
{
    auto_persists struct persists own = {0};
    size_t damaged;

    if (persist_list(&s->paths, s->project, &own, &damaged, e) < 0)
        return false;
    for (size_t i = 0; i < own.n; i++)
        if (strcmp(own.v[i].name, wanted_name(s)) == 0) {
            *out = own.v[i];
            own.v[i] = PERSIST_INIT;
            return true;
        }
    return false;
}

int persist_look(struct session *s, const struct plan *plan, struct persist *out, bool *old,
                 struct err *e)
{
    auto_free char *dir = paths_kept_vm(&s->paths, s->project, wanted_name(s));
    auto_err struct err why = ERR_INIT;

    *old = false;
    if (s->options.reset || access(dir, F_OK) < 0)
        return 1;
    if (!find_own(s, out, &why)) {
        err_set(e, "%s", why.msg ? why.msg : "the kept VM was just removed");
        return err_advise(e, "make it anew with --reset, or give it up with agentvm rm");
    }
    return check_agent(s, out, e) < 0 ? -1 : find_age(s, out, plan, old, e);
}

int persist_start(struct session *s, struct template *t, const struct plan *plan, bool may_attach,
                  struct err *e)
{
    int rc;

    stage_begin(&s->stages, "start", "starting the VM", false);
    do {
        rc = claim(s, may_attach, e);
        if (rc == 2) {
            rc = session_check_restrictions(s, s->persist.id, e);
            persist_free(&s->persist);
            if (rc < 0)
                session_stop_vm(s, NULL); /* the link only: it is not ours */
            return rc < 0 ? -1 : 1;
        }
        if (rc >= 0 && session_find_ssh_agent(s, e) < 0)
            rc = -1;
        else if (rc == 0 && !s->options.reset)
            rc = reopen(s, t, plan, may_attach, e);
        else if (rc >= 0)
            rc = make(s, t, plan, e);
    } while (rc > 0);
    if (rc < 0)
        return -1;
    stage_begin(&s->stages, "start", "starting the VM", false);
    local_remove_dead(&s->paths, s->persist.id); /* it may have been killed just now */
    if (session_view(s, e) < 0)
        return -1;
    rc = session_start_vm(s, t, MACHINE_BOOT, NULL, e);
    close_fd(&s->persist.lock); /* it is the supervisor's and the engine's now */
    return rc;
}
