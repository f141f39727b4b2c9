/* Machines from a template: what to order, the start and the end. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "session/session.h"

/* The kernel's view of the machine.  panic=-1 ends a panicked guest at once; net.ifnames=0 lets the
 * initrd call the one interface eth0; the rest saves boot time: no security modules and no audit
 * inside a sandbox whose user is root anyway. */
#define CMDLINE                                                                                 \
    "root=/dev/vda rw console=ttyS0 quiet loglevel=3 panic=-1 net.ifnames=0 lsm=landlock,yama " \
    "audit=0 8250.nr_uarts=1 rcupdate.rcu_expedited=1 cryptomgr.notests systemd.show_status=0"

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

static void plan_disks(const struct template *t, struct machine *m)
{
    struct vm_config *c = &m->order.config;

    m->rootfs = layer_file(&t->base, BASE_ROOTFS);
    c->disks[c->ndisks++] = (struct vm_disk){m->rootfs, "raw"};
    m->locks[m->order.nkeep_fds++] = t->base.lock;
    if (!t->provisioned.dir)
        return;
    m->disk = layer_file(&t->provisioned, TEMPLATE_DISK);
    c->disks[c->ndisks++] = (struct vm_disk){m->disk, "qcow2"};
    m->locks[m->order.nkeep_fds++] = t->provisioned.lock;
}

void machine_plan(struct session *s, const struct template *t, const char *template_disk,
                  struct machine *out)
{
    const struct profile *p = &s->profile;
    const char *share = template_disk ? NULL : s->project;
    unsigned factor = t->accel == VM_ACCEL_TCG ? EMULATION_FACTOR : 1;

    *out = (struct machine){.kernel = layer_file(&t->base, BASE_KERNEL),
                            .hostname = make_hostname(share)};
    out->order = (struct vm_order){
        .paths = &s->paths,
        .driver = s->driver,
        .config = {.kernel = out->kernel,
                   .initrd = t->initrd,
                   .cmdline = CMDLINE,
                   .cpus = p->cpus,
                   .memory = p->memory,
                   .accel = t->accel,
                   .share = share},
        .identity = {.hostname = out->hostname,
                     .user = s->user.name,
                     .share_tag = share ? VM_SHARE_TAG : NULL,
                     .share_path = share,
                     .host_address = HOST_ADDRESS},
        .boot_timeout = p->boot_timeout * factor,
        .disk_size = p->disk,
        .template_disk = template_disk,
        .agent = s->agent.name,
        .keep_fds = out->locks,
    };
    plan_disks(t, out);
}

void machine_free(struct machine *m)
{
    free(m->kernel);
    free(m->rootfs);
    free(m->disk);
    free(m->hostname);
}

static void show_argv(struct session *s, const struct vm_order *order)
{
    auto_strv struct strv argv = STRV_INIT;
    auto_buf struct buf line = BUF_INIT;
    struct vm_config config = order->config;

    config.id = "ID";
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

int session_start_vm(struct session *s, const struct template *t, const char *template_disk,
                     struct err *e)
{
    auto_machine struct machine m;

    machine_plan(s, t, template_disk, &m);
    show_argv(s, &m.order);
    s->link = client_create(&s->task, template_disk ? NULL : &s->stages, &m.order, e);
    if (!s->link)
        return -1;
    if (client_wait_ready(s->link, e) == 0)
        return 0;
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
    client_free(steal_ptr(&s->link));
    return rc;
}
