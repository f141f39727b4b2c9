/* Theory of operation
 *
 *   STARTING --engine up--> BOOTING --guestd's hello--> PERSONALIZING --done--> RUNNING
 *       any of them --client gone, stop asked, signal, failure--> FLUSHING --> STOPPING --> end
 *       a template that is saved:                      FLUSHING --> SAVING --> STOPPING --> end
 *
 * The creator's connection is the VM's lifeline.  FLUSHING asks guestd to bring what was written to
 * the shares home, with a deadline; STOPPING ends the engine.  The process leaves when the engine
 * has ended; the engine dies with the process whatever happens (parent death signal), and the
 * disk that is thrown away has no name as soon as the engine has opened it. */
#include "supervisor/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "proc/sock.h"
#include "state/local.h"
#include "state/persist.h"
#include "state/vms.h"
#include "vm/qcow2.h"

enum {
    FLUSH_MS = 10000,   /* a share's dirty pages reach the host's page cache in less */
    FREEZE_MS = 120000, /* a whole disk that is kept, on a slow host disk */
    RESUME_S = 60,      /* a saved machine: 0.5 s, but ten at once on a small host */
    LOST_MS = 2000,
};

static void on_deadline(void *arg);

void supervisor_deadline(struct supervisor *s, int ms)
{
    loop_untimer(s->deadline);
    s->deadline = loop_timer(s->loop, ms, on_deadline, s);
}

void supervisor_fail(struct supervisor *s, struct err *why)
{
    if (s->state < FLUSHING) {
        s->failed = true;
        clients_tell_failure(s, why, NULL);
        supervisor_stop(s);
    }
    err_clear(why);
}

void supervisor_abandon(struct supervisor *s, struct err *why)
{
    s->failed = true;
    clients_tell_failure(s, why, NULL);
    err_clear(why);
    supervisor_stop_engine(s);
}

void supervisor_guest_failed(struct supervisor *s, struct err *why)
{
    if (s->state == FLUSHING)
        supervisor_abandon(s, why); /* the answer that is waited for will not come */
    else
        supervisor_fail(s, why);
}

void supervisor_stop_engine(struct supervisor *s)
{
    s->state = STOPPING;
    loop_untimer(steal_ptr(&s->deadline));
    loop_untimer(steal_ptr(&s->lost));
    if (s->vm)
        s->order->driver->stop(s->vm);
    else
        loop_quit(s->loop);
}

void supervisor_stop(struct supervisor *s)
{
    bool guest_answers = s->guest && (s->state == RUNNING || s->state == PERSONALIZING);
    auto_buf struct buf body = BUF_INIT;

    if (s->state >= FLUSHING)
        return;
    if (!guest_answers) {
        supervisor_stop_engine(s);
        return;
    }
    s->state = FLUSHING;
    supervisor_deadline(
        s, s->order->template_disk || s->order->kept_disk || s->order->identity.image ? FREEZE_MS
                                                                                      : FLUSH_MS);
    if (s->order->template_state)
        guest_suspend_body(&body);
    else
        guest_shutdown_body(&body, s->order->template_disk ? GUEST_TEMPLATE
                                   : s->order->kept_disk   ? GUEST_KEPT
                                                           : GUEST_THROWN_AWAY);
    conn_send_open(s->guest, STREAM_SHUTDOWN, &body);
}

static unsigned resume_timeout(const struct supervisor *s)
{
    return s->order->boot_timeout < RESUME_S ? s->order->boot_timeout : RESUME_S;
}

static void on_deadline(void *arg)
{
    struct supervisor *s = arg;
    struct err why = ERR_INIT;

    s->deadline = NULL;
    s->late = true;
    if (s->state >= FLUSHING) {
        err_set(&why, s->state == SAVING
                          ? "the VM was not saved in time"
                          : "the VM did not confirm in time that its last writes are safe");
        supervisor_abandon(s, &why);
        return;
    }
    if (s->config.state)
        err_set(&why, "the saved VM did not get ready within %u s", resume_timeout(s));
    else if (s->state == PERSONALIZING)
        err_set(&why, "the VM booted but did not get ready in time");
    else
        err_set(&why, "the VM did not boot within %u s", s->order->boot_timeout);
    supervisor_add_console(s, &why);
    supervisor_fail(s, &why);
}

/* ---- the engine's side ---- */

static void on_vm_started(void *arg)
{
    struct supervisor *s = arg;

    if (!s->order->template_disk && !s->order->kept_disk)
        unlink(s->overlay); /* open in the engine, gone with it */
    if (s->state == STARTING)
        s->state = BOOTING;
    clients_tell_stage(s, "engine");
}

/* guestd waits there since it was saved; it says hello when it hears one.  It is told the time only
 * then: waking up takes longer than the clock may be wrong. */
static void on_vm_resumed(void *arg)
{
    struct supervisor *s = arg;

    if (s->state != BOOTING || !s->guest)
        return;
    clients_tell_stage(s, "resume");
    conn_send_hello(s->guest);
}

void supervisor_save(struct supervisor *s)
{
    s->state = SAVING;
    supervisor_deadline(s, FREEZE_MS);
    s->order->driver->save(s->vm, s->order->template_state);
}

static void on_vm_saved(void *arg, const char *failure)
{
    struct supervisor *s = arg;
    struct err why = ERR_INIT;

    if (s->state != SAVING)
        return;
    if (!failure) {
        supervisor_stop_engine(s);
        return;
    }
    err_set(&why, "the VM could not be saved: %s", failure);
    supervisor_abandon(s, &why);
}

void supervisor_guestd_lost(struct supervisor *s)
{
    struct err why = ERR_INIT;

    err_set(&why, "the guest daemon ended unexpectedly");
    supervisor_add_console(s, &why);
    supervisor_guest_failed(s, &why);
}

static void on_lost(void *arg)
{
    struct supervisor *s = arg;

    s->lost = NULL;
    supervisor_close_ports(s);
    relay_free(steal_ptr(&s->relay)); /* nobody is there to be asked for a flush */
    conn_free(steal_ptr(&s->guest));
    supervisor_guestd_lost(s);
}

/* A guest that powers off closes the port too: its engine ends right after, and says so better. */
static void on_channel_opened(void *arg, bool opened)
{
    struct supervisor *s = arg;

    if (opened || s->lost || s->state == STARTING || s->state == BOOTING || s->state > FLUSHING)
        return;
    s->lost = loop_timer(s->loop, LOST_MS, on_lost, s);
}

/* Whether the engine's end is one that the clients must be told.  A template is only good if the
 * guest froze its disk and the engine closed it in order. */
static bool is_bad_end(const struct supervisor *s, const struct err *reason)
{
    if (s->failed)
        return false; /* they know */
    if (s->order->template_disk)
        return s->state < STOPPING || reason->msg;
    return s->state < FLUSHING || (s->state == FLUSHING && reason->msg);
}

static void on_vm_stopped(void *arg, const struct err *reason)
{
    struct supervisor *s = arg;
    struct err why = ERR_INIT;

    if (is_bad_end(s, reason)) {
        s->failed = true;
        s->outside = s->order->driver->ended_from_outside(s->vm);
        err_set(&why, "%s", reason->msg ? reason->msg : "the VM was shut down from inside");
        err_detail(&why, mem_strdup(reason->detail));
        if (reason->advice)
            err_advise(&why, "%s", reason->advice);
        clients_tell_failure(s, &why, NULL);
        err_clear(&why);
    }
    s->state = STOPPING;
    loop_quit(s->loop);
}

/* ---- life ---- */

static void on_signal(void *arg, int signal)
{
    struct supervisor *s = arg;
    struct err why = ERR_INIT;

    if (signal == SIGCHLD) {
        supervisor_child_changed(s);
        return;
    }
    s->outside = true;
    err_set(&why, "the supervisor got signal %d", signal);
    supervisor_fail(s, &why);
}

static int make_disk(struct supervisor *s, struct err *e)
{
    struct vm_disk *top = &s->config.disks[s->config.ndisks++];

    s->overlay = s->order->template_disk ? mem_strdup(s->order->template_disk)
                 : s->order->kept_disk   ? mem_strdup(s->order->kept_disk)
                                         : paths_vm_disk(s->order->paths, s->id, PATHS_VM_OVERLAY);
    *top = (struct vm_disk){s->overlay, "qcow2"};
    if (s->order->kept_disk)
        return 0;
    return qcow2_create(AT_FDCWD, s->overlay, s->order->disk_size, e);
}

static int prepare(struct supervisor *s, struct err *e)
{
    const struct paths *p = s->order->paths;

    s->config = s->order->config;
    s->config.id = s->id;
    s->sock_path = paths_vm(p, s->id, PATHS_VM_SOCK);
    s->console = mem_printf("%s/vm-%s.console.log", p->logs, s->id);
    s->stderr_log = mem_printf("%s/vm-%s.engine.log", p->logs, s->id);
    s->config.console = s->console;
    s->config.stderr_log = s->stderr_log;
    if (s->order->kept_disk)
        persist_sign(s->config.held, p);
    if (make_disk(s, e) < 0 || supervisor_make_kept(s, e) < 0 ||
        local_make(p, s->id, s->config.share, s->config.share_fd, s->order->identity.locals, e) < 0)
        return -1;
    if (s->order->template_disk)
        return 0;
    s->listener = sock_listen(s->sock_path, e);
    if (s->listener < 0)
        return -1;
    clients_listen(s);
    return 0;
}

static void start(struct supervisor *s)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD, 0};
    struct vm_events vm_ev = {.started = on_vm_started,
                              .resumed = on_vm_resumed,
                              .channel_opened = on_channel_opened,
                              .saved = on_vm_saved,
                              .stopped = on_vm_stopped,
                              .arg = s};
    struct conn_events guest_ev = {guest_side_frame, guest_side_closed, s};
    struct err why = ERR_INIT;
    int channel;

    if (loop_signals(s->loop, signals, on_signal, s, &why) == 0 && prepare(s, &why) == 0 &&
        supervisor_follow_clock(s, &why) == 0)
        s->vm = s->order->driver->start(&s->config, s->loop, &vm_ev, &channel, &why);
    if (!s->vm) {
        supervisor_fail(s, &why);
        return;
    }
    s->guest = conn_new(s->loop, channel, true, &guest_ev);
    supervisor_deadline(s,
                        (int)(s->config.state ? resume_timeout(s) : s->order->boot_timeout) * 1000);
    supervisor_watch_logs(s);
}

static void release(struct supervisor *s)
{
    supervisor_close_ports(s);
    agent_close(s);
    clients_write_record(s);
    if (s->vm)
        s->order->driver->free(s->vm);
    local_remove(s->order->paths, s->id, s->config.share_fd);
    vms_remove(s->order->paths, s->id);
    if (s->config.held > 0)
        close_fd(&s->config.held); /* who hears of the end may start the next one */
    if (!s->failed) {
        unlink(s->console);
        unlink(s->stderr_log);
        clients_tell_end(s);
    }
    clients_goodbye(s);
}

struct birth {
    const struct vm_order *order;
    char id[9];
    int sock;
};

static int supervisor_main(void *arg)
{
    const struct birth *birth = arg;
    struct supervisor s = {.order = birth->order, .listener = -1, .start_us = clock_us()};
    int null = open("/dev/null", O_RDWR);

    memcpy(s.id, birth->id, sizeof(s.id));
    for (int fd = 0; fd < 3 && null >= 0; fd++)
        dup2(null, fd);
    close_fd(&null);
    prctl(PR_SET_NAME, "agentvm-vm");
    signal(SIGPIPE, SIG_IGN);
    umask(077);
    s.loop = loop_new();
    clients_add(&s, birth->sock, true);
    start(&s);
    if (s.state != STOPPING || s.vm)
        loop_run(s.loop);
    release(&s);
    return 0;
}

int supervisor_start(const struct vm_order *order, char id[9], struct child *child, int *sock,
                     struct err *e)
{
    auto_close int lock = -1, mine = -1, theirs = -1;
    struct birth birth = {.order = order};
    int keep[8], pair[2];
    size_t n = 0;

    if (order->id)
        memcpy(birth.id, order->id, sizeof(birth.id));
    if (vms_reserve(order->paths, birth.id, &lock, e) < 0)
        return -1;
    if (sock_pair(pair, e) < 0) {
        vms_remove(order->paths, birth.id);
        return -1;
    }
    mine = pair[0];
    theirs = birth.sock = pair[1];
    keep[n++] = lock;
    keep[n++] = theirs;
    for (size_t i = 0; i < order->nkeep_fds && n < ARRAY_LEN(keep); i++)
        keep[n++] = order->keep_fds[i];
    if (spawn_fork(supervisor_main, &birth, keep, n, child, e) < 0) {
        vms_remove(order->paths, birth.id);
        return -1;
    }
    memcpy(id, birth.id, sizeof(birth.id));
    *sock = steal_fd(&mine);
    return 0;
}
