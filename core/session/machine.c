/* Machines from a template: what to order, the start and the end. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "session/session.h"

/* The kernel's view of the machine.  panic=-1 ends a panicked guest at once; net.ifnames=0 lets the
 * initrd call the one interface eth0; no_timer_check: an engine that the host does not let run for
 * the moment in which Linux waits for ticks has no broken timer, and the guest need not panic; the
 * rest saves boot time: no security modules and no audit inside a sandbox whose user is root
 * anyway.
 */
#define CMDLINE                                                                              \
    "root=/dev/vda rw console=ttyS0 quiet loglevel=3 panic=-1 net.ifnames=0 no_timer_check " \
    "lsm=landlock,yama audit=0 8250.nr_uarts=1 rcupdate.rcu_expedited=1 cryptomgr.notests "  \
    "systemd.show_status=0"

/* QEMU's user network reaches the host's loopback here. */
#define HOST_ADDRESS "10.0.2.2"

enum {
    EMULATION_FACTOR = 5, /* a boot is so much slower without hardware virtualization */
    HOSTNAME_MAX = 40,
};

/* The project's name as far as a host name allows. */
static char *make_hostname(const char *project)
{
    const char *name = project ? strrchr(project, '/') + 1 : "template";
    struct buf b = BUF_INIT;

    for (; *name && b.len < HOSTNAME_MAX; name++) {
        char c = (char)tolower((unsigned char)*name);

        if (isalnum((unsigned char)c) && (c & 0x80) == 0)
            buf_append(&b, &c, 1);
        else if (b.len > 0 && b.data[b.len - 1] != '-')
            buf_puts(&b, "-");
    }
    while (b.len > 0 && b.data[b.len - 1] == '-')
        b.data[--b.len] = '\0';
    if (b.len == 0)
        buf_puts(&b, "agentvm");
    return buf_steal(&b);
}

static void add_disk(struct machine *m, const char *path, const char *format, const struct layer *l)
{
    struct vm_config *c = &m->order.config;

    c->disks[c->ndisks++] = (struct vm_disk){path, format};
    m->locks[m->order.nkeep_fds++] = l->lock;
}

static void plan_disks(const struct template *t, enum machine_purpose purpose, struct machine *m)
{
    m->rootfs = layer_file(&t->base, BASE_ROOTFS);
    add_disk(m, m->rootfs, "raw", &t->base);
    if (t->provisioned.dir) {
        m->disk = layer_file(&t->provisioned, TEMPLATE_DISK);
        add_disk(m, m->disk, "qcow2", &t->provisioned);
    }
    if (purpose == MACHINE_RESUME) {
        m->warm_disk = layer_file(&t->warm, TEMPLATE_DISK);
        add_disk(m, m->warm_disk, "qcow2", &t->warm);
    }
}

/* Files that the machine is saved to, or goes on from. */
static void plan_state(const struct template *t, enum machine_purpose purpose, const char *dir,
                       struct machine *m)
{
    struct vm_order *o = &m->order;

    if (dir) {
        m->template_disk = mem_printf("%s/" TEMPLATE_DISK, dir);
        o->template_disk = m->template_disk;
    }
    if (purpose == MACHINE_SAVE) {
        m->ram = mem_printf("%s/" TEMPLATE_RAM, dir);
        m->state = mem_printf("%s/" TEMPLATE_STATE, dir);
        o->template_state = m->state;
    } else if (purpose == MACHINE_RESUME) {
        m->ram = layer_file(&t->warm, TEMPLATE_RAM);
        m->state = layer_file(&t->warm, TEMPLATE_STATE);
        o->config.state = m->state;
    }
    o->config.ram = m->ram;
}

/* The disk of the session's kept VM, whose lock lives as long as its engine. */
static void plan_persist(const struct persist *v, struct machine *m)
{
    struct vm_order *o = &m->order;

    m->kept_disk = persist_disk(v);
    o->kept_disk = m->kept_disk;
    o->id = v->id;
    o->name = v->name;
    o->config.durable = true;
    o->config.held = v->lock;
    m->locks[o->nkeep_fds++] = v->lock;
}

void machine_plan(struct session *s, const struct template *t, enum machine_purpose purpose,
                  const char *dir, struct machine *out)
{
    const struct profile *p = &s->profile;
    const char *project = dir ? NULL : s->project;
    unsigned factor = t->accel == VM_ACCEL_TCG ? EMULATION_FACTOR : 1;

    *out = (struct machine){.kernel = layer_file(&t->base, BASE_KERNEL),
                            .hostname = make_hostname(project)};
    /* A machine that is saved has mounted a folder by then, which it gives up: a session's goes
     * behind the same device, and the way to mount it is warm.  It is an empty one: a guest that
     * could write to the draft's own files could make QEMU open any file of the host. */
    if (purpose == MACHINE_SAVE) {
        out->share = mem_printf("%s/" TEMPLATE_SHARE, dir);
        out->share_path = mem_printf("%s/.agentvm-share", s->user.home);
    }
    out->order = (struct vm_order){
        .paths = &s->paths,
        .driver = s->driver,
        .config = {.kernel = out->kernel,
                   .initrd = t->initrd,
                   .cmdline = CMDLINE,
                   .cpus = p->cpus,
                   .memory = p->memory,
                   .accel = t->accel,
                   .share = project ? project : out->share,
                   .share_fd = project && s->project_fd >= 0 ? s->project_fd : 0,
                   .share_readonly = project && p->readonly,
                   .kept = project ? s->kept.dir : NULL,
                   .binds = project ? s->view.binds : NULL,
                   .nbinds = project ? s->view.nbinds : 0,
                   .offline = !dir && p->offline,
                   .cache = s->paths.cache},
        .identity = {.hostname = out->hostname,
                     .user = s->user.name,
                     .share_tag = project || out->share ? VM_SHARE_TAG : NULL,
                     .share_path = project ? project : out->share_path,
                     .kept_tag = project && (s->kept.dir || s->view.items || s->view.image)
                                     ? VM_KEPT_TAG
                                     : NULL,
                     .kept = s->view.items ? s->view.items : s->kept.items,
                     .nkept = s->view.items ? s->view.nitems : s->kept.n,
                     .locals = project ? s->view.locals.v : NULL,
                     .image = project ? s->view.image : NULL,
                     .host_address = HOST_ADDRESS},
        .boot_timeout = p->boot_timeout * factor,
        .disk_size = p->disk,
        .name = dir ? NULL : s->options.name,
        .agent = s->agent.name,
        .keep_fds = out->locks,
    };
    profile_port_policy(p, &out->ports);
    if (!dir) {
        out->order.ports = &out->ports;
        out->order.ssh_agent = s->ssh_agent;
    }
    if (out->order.config.share_fd > 0)
        out->locks[out->order.nkeep_fds++] = s->project_fd;
    plan_disks(t, purpose, out);
    plan_state(t, purpose, dir, out);
    if (!dir && s->persist.lock >= 0)
        plan_persist(&s->persist, out);
    if (!dir && s->image.lock >= 0) {
        out->order.config.held = s->image.lock;
        out->locks[out->order.nkeep_fds++] = s->image.lock;
    }
}

void machine_free(struct machine *m)
{
    free(m->kernel);
    free(m->rootfs);
    free(m->disk);
    free(m->hostname);
    free(m->warm_disk);
    free(m->ram);
    free(m->state);
    free(m->template_disk);
    free(m->kept_disk);
    free(m->share);
    free(m->share_path);
}

static void show_argv(struct session *s, const struct vm_order *order)
{
    auto_strv struct strv argv = STRV_INIT;
    auto_buf struct buf line = BUF_INIT;
    struct vm_config config = order->config;

    config.id = "ID";
    if (config.share && !config.kept)
        config.kept = "EMPTY";
    config.console = config.stderr_log = "LOG";
    config.disks[config.ndisks++] = (struct vm_disk){"OVERLAY", "qcow2"};
    if (log_get_level() < LOG_VERBOSE || s->driver->describe(&config, &argv, NULL) < 0)
        return;
    for (size_t i = 0; i < argv.n; i++) {
        auto_free char *word = str_quote(argv.v[i]);

        buf_printf(&line, "%s%s", i ? " " : "", word);
    }
    log_debug("%s", line.data);
}

int session_view(struct session *s, struct err *e)
{
    view_free(&s->view);
    if (!s->project)
        return 0;
    return view_prepare(&s->paths, &s->profile, s->project, &s->kept, s->image.path, &s->view, e);
}

/* For the record: the last VM that was started, however that ended. */
static void note_start(struct session *s, const struct template *t, enum machine_purpose purpose)
{
    bool resumes = purpose == MACHINE_RESUME;

    s->record.start = resumes ? "warm" : "cold";
    snprintf(s->record.vm, sizeof(s->record.vm), "%s", client_id(s->link));
    snprintf(s->record.warm, sizeof(s->record.warm), "%s", resumes ? t->warm.key : "");
}

int session_start_vm(struct session *s, const struct template *t, enum machine_purpose purpose,
                     const char *dir, struct err *e)
{
    auto_machine struct machine m;

    s->fault = FAULT_HOST;
    machine_plan(s, t, purpose, dir, &m);
    show_argv(s, &m.order);
    s->link = client_create(&s->task, dir ? NULL : &s->stages, &m.order, e);
    if (!s->link)
        return -1;
    if (!dir)
        note_start(s, t, purpose);
    if (client_wait_ready(s->link, e) == 0)
        return 0;
    s->fault = client_fault(s->link);
    session_stop_vm(s, NULL);
    return -1;
}

int session_stop_vm(struct session *s, struct err *e)
{
    int rc = 0;

    if (!s->link)
        return 0;
    if (client_is_creator(s->link))
        rc = client_stop(s->link, e);
    s->record.ports = *client_ports(s->link);
    client_free(steal_ptr(&s->link));
    return rc;
}
