/* The supervisor's talk with guestd: hello, personalize, flush; and what clients relay. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "channel/fields.h"
#include "model/show.h"
#include "state/vms.h"
#include "supervisor/internal.h"

enum { PERSONALIZE_MS = 60000, TEXT_MAX = 512, UNKEPT_SHOWN = 10 };

/* Asks guestd to make the guest this machine's own. */
static void personalize(struct supervisor *s)
{
    auto_free char *hostname = mem_printf("%s-%s", s->order->identity.hostname, s->id);
    struct guest_identity identity = s->order->identity;
    auto_buf struct buf body = BUF_INIT;
    struct err why = ERR_INIT;

    identity.hostname = hostname; /* two VMs of one folder are two machines */
    if (guest_personalize_body(&body, &identity, s->config.state != NULL, &why) < 0) {
        supervisor_fail(s, &why);
        return;
    }
    s->state = PERSONALIZING;
    conn_send_open(s->guest, STREAM_PERSONALIZE, &body);
}

/* What the VM can write besides the project folder. */
static void list_writable(const struct vm_config *c, struct strv *out)
{
    for (size_t i = 0; i < c->nbinds; i++)
        if (c->binds[i].kind == JAIL_MOUNT && !c->binds[i].readonly)
            strv_push(out, c->binds[i].source);
    if (c->kept && !c->kept_readonly)
        strv_push(out, c->kept);
}

int supervisor_publish(struct supervisor *s, struct err *e)
{
    struct vm_info info = {.id = s->id,
                           .agent = (char *)s->order->agent,
                           .project = (char *)s->config.share,
                           .supervisor = getpid(),
                           .engine = s->order->driver->pid(s->vm),
                           .started = s->started,
                           .cpus = s->config.cpus,
                           .memory = s->config.memory,
                           .detached = agent_is_detached(s),
                           .name = (char *)s->order->name,
                           .kept = s->order->kept_disk != NULL,
                           .ssh_agent = s->ssh_agent != NULL,
                           .disk = s->order->disk_size};
    int rc;

    info.ports = (struct port_pair *)ports_list(s->ports, &info.nports);
    list_writable(&s->config, &info.writable);
    rc = vms_publish(s->order->paths, &info, e);
    strv_free(&info.writable);
    if (rc == 0)
        return 0;
    err_prefix(e, "the VM cannot be listed");
    return err_advise(e, "free some space on the file system of %s", s->order->paths->run);
}

/* Nobody could find, enter or stop a VM that is not listed. */
static void become_ready(struct supervisor *s)
{
    struct err why = ERR_INIT;

    s->state = RUNNING;
    s->started = time(NULL);
    loop_untimer(steal_ptr(&s->deadline));
    s->relay = relay_new(s->guest);
    supervisor_forward_ssh_agent(s);
    if (!s->order->template_disk && supervisor_publish(s, &why) < 0) {
        s->outside = true;
        supervisor_fail(s, &why);
        return;
    }
    clients_tell_stage(s, "personalize");
    clients_tell_ready(s);
    supervisor_tell_time(s);
    supervisor_watch_ports(s);
}

/* The guest is ready, but without the file system that was kept for it. */
static void tell_no_image(struct supervisor *s, int errnum)
{
    auto_free char *text =
        mem_printf("what is kept of [guest-local] folders cannot be mounted: %s; "
                   "in this VM they are empty, and thrown away at its end; "
                   "--reset makes them anew",
                   strerror(errnum));

    clients_tell_creator(s, text);
}

/* Likewise, but for some of the folders only; told once.  What the guest says is which, in their
 * order, and an errno. */
static void tell_unkept(struct supervisor *s, const struct frame *f)
{
    char *const *locals = s->order->identity.locals;
    auto_buf struct buf list = BUF_INIT;
    auto_free char *text = NULL;
    uint32_t number = 0, shown = 0;
    bool more = false;

    for (size_t at = 0; at + UNKEPT_RECORD <= f->len; at += UNKEPT_RECORD) {
        uint32_t next = get_u32(f->payload + at);
        auto_free char *name = NULL;

        while (locals && locals[number] && number < next)
            number++;
        more = shown == UNKEPT_SHOWN;
        if (!locals || !locals[number] || next < number || more)
            break;
        name = show_text(locals[number++], 0);
        buf_printf(&list, "%s%s (%s)", shown++ ? ", " : "", name,
                   strerror((int)get_u32(f->payload + at + 4)));
    }
    if (shown == 0 || s->told_unkept || !s->order->identity.image)
        return;
    s->told_unkept = true;
    text = mem_printf("what is kept of [guest-local] folders does not give %s%s; in this VM that "
                      "is empty, and thrown away at its end; --reset makes what is kept anew",
                      list.data, more ? ", ..." : "");
    clients_tell_creator(s, text);
}

/* Folders of the project, and what an earlier VM left in those that are kept, may be why: that is
 * no fault of a saved VM. */
static void tell_unready(struct supervisor *s, const char *text)
{
    const struct guest_identity *id = &s->order->identity;
    struct err why = ERR_INIT;

    err_set(&why, "the VM could not be made ready: %s", text);
    if (id->image)
        err_advise(&why, "if it is about /var/lib/agentvm/local: --reset makes what is kept of "
                         "[guest-local] folders anew");
    s->outside = id->locals && id->locals[0];
    supervisor_fail(s, &why);
}

/* The end of one of our own requests. */
static void on_own_stream(struct supervisor *s, const struct frame *f)
{
    bool ended = f->type == FRAME_EXIT && f->len == 8;
    uint32_t code = ended ? get_u32(f->payload + 4) : 0;
    bool ok = ended && code == 0;
    auto_free char *text = f->type == FRAME_ERROR && f->len > 4
                               ? str_printable((const char *)f->payload + 4,
                                               f->len - 4 < TEXT_MAX ? f->len - 4 : TEXT_MAX)
                               : mem_strdup("malformed answer");
    struct err why = ERR_INIT;

    if (f->stream == STREAM_PERSONALIZE && s->state == PERSONALIZING && f->type == FRAME_DATA)
        tell_unkept(s, f);
    if (f->type != FRAME_EXIT && f->type != FRAME_ERROR)
        return;
    if (f->stream == STREAM_PERSONALIZE && s->state == PERSONALIZING) {
        if (ended) {
            if (code != 0)
                tell_no_image(s, (int)code);
            become_ready(s);
            return;
        }
        tell_unready(s, text);
    } else if (f->stream == STREAM_CLOCK) {
        s->clock_on_way = false;
        supervisor_tell_time(s);
    } else if (f->stream == STREAM_SHUTDOWN && s->state == FLUSHING) {
        if (!ok) {
            err_set(&why, "the VM's last writes may be lost: %s", text);
            supervisor_abandon(s, &why);
        } else if (s->order->template_state) {
            supervisor_save(s);
        } else {
            supervisor_stop_engine(s);
        }
    }
}

/* The first frame, from a guest that booted or one that was resumed and greeted. */
static void on_hello(struct supervisor *s, struct conn *c, const struct frame *f)
{
    struct err why = ERR_INIT;
    char *text = NULL;

    if (conn_check_hello(f, "the VM's guest daemon", &text) < 0) {
        err_set(&why, "%s", text);
        err_advise(&why, "agentvm and agentvm-guestd must be of one version; reinstall both");
        free(text);
        supervisor_fail(s, &why);
        return;
    }
    s->greeted = true;
    if (s->state > BOOTING) /* told to end meanwhile */
        return;
    if (!s->config.state) {
        conn_send_hello(c);
        clients_tell_stage(s, "boot");
        supervisor_deadline(s, PERSONALIZE_MS);
    }
    personalize(s);
}

/* A frame of a stream that a client, a forwarded port or the ssh-agent has. */
static bool hand_on(struct supervisor *s, const struct frame *f)
{
    if (f->stream >= PORTS_FIRST_STREAM)
        return s->ports && ports_frame(s->ports, f);
    if (f->stream >= SSH_AGENT_FIRST_STREAM)
        return s->ssh_agent && ssh_agent_frame(s->ssh_agent, f);
    return !s->relay || relay_from_guest(s->relay, f);
}

void guest_side_frame(void *arg, struct conn *c, const struct frame *f)
{
    struct supervisor *s = arg;
    struct err why = ERR_INIT;

    if (!s->greeted) {
        on_hello(s, c, f);
    } else if (f->type == FRAME_HELLO) {
        supervisor_guestd_lost(s); /* a new one: the programs' streams went with the old one */
    } else if (f->stream != 0 && f->stream < RELAY_FIRST_STREAM) {
        on_own_stream(s, f);
    } else if (!hand_on(s, f) && s->state == RUNNING) {
        err_set(&why, "the guest broke the channel's protocol (frame type %u)", f->type);
        supervisor_fail(s, &why);
    }
}

void guest_side_closed(void *arg, struct conn *c, const char *text)
{
    struct supervisor *s = arg;
    struct err why = ERR_INIT;

    (void)c;
    supervisor_close_ports(s);
    relay_free(steal_ptr(&s->relay)); /* before clients that leave want it to tell the guest */
    conn_free(steal_ptr(&s->guest));
    if (!text)
        return; /* the engine ended: on_vm_stopped knows why */
    err_set(&why, "the guest broke the channel's protocol: %s", text);
    supervisor_guest_failed(s, &why);
}
