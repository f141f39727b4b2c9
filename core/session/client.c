#include "session/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "channel/fields.h"
#include "proc/sock.h"

enum { STOP_GRACE_MS = 1000, STOP_MS = 150000 };

struct client_link {
    struct task_env *task;
    struct stages *stages; /* NULL when attached */
    struct conn *conn;
    struct guest *guest;
    struct child supervisor;
    char id[9]; /* of the VM */
    bool greeted, ready, closed, failed, late;
    bool overdue;        /* it failed because a deadline passed */
    bool outside;        /* it failed because of something outside the VM */
    bool makes_template; /* nobody misses what it has not made yet */
    bool engine_ran;
    bool stopped; /* the supervisor said that the VM ended in order */
    struct err failure;
    bool hold_notes;
    struct strv notes; /* those that wait */
    struct port_account account;
    struct loop_timer *stop_timer;
    int64_t last_us; /* the supervisor's clock at the end of the last stage */
};

static void on_hello(struct client_link *c, const struct frame *f)
{
    char *why = NULL;

    c->greeted = true;
    if (conn_check_hello(f, "the VM's supervisor", &why) == 0) {
        conn_send_hello(c->conn);
        return;
    }
    c->failed = true;
    err_set(&c->failure, "%s", why);
    err_advise(&c->failure, "the VM was started by another version of agentvm; stop it there");
    free(why);
}

static const char *static_name(const char *name)
{
    static const char *const names[] = {"engine", "boot", "resume", "personalize", "stop"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(names[i], name) == 0)
            return names[i];
    return "other";
}

static void on_account_field(struct port_account *a, const struct field *f)
{
    uint32_t pair = f->tag == TAG_FORWARDED ? field_u32(f, 0) : 0;

    if (f->tag == TAG_BYTES_IN)
        a->to_guest = field_u64(f, 0);
    else if (f->tag == TAG_BYTES_OUT)
        a->from_guest = field_u64(f, 0);
    else if (pair && a->n < PORTS_MAX)
        a->pairs[a->n++] = (struct port_pair){(uint16_t)(pair >> 16), (uint16_t)pair};
}

/* The supervisor tells when a stage ended; what lies between two of them is a stage's time. */
static void on_stage(struct client_link *c, const struct frame *f)
{
    struct field_reader r = field_reader(f->payload, f->len);
    auto_free char *name = NULL;
    struct field field;
    int64_t us = 0;

    while (field_next(&r, &field)) {
        if (field.tag == TAG_TEXT && !name)
            name = field_str(&field);
        else if (field.tag == TAG_US)
            us = (int64_t)field_u64(&field, 0);
        else
            on_account_field(&c->account, &field);
    }
    if (name && strcmp(name, "stop") == 0)
        c->stopped = true;
    if (name && strcmp(name, "engine") == 0)
        c->engine_ran = true;
    if (!name || !c->stages || c->stopped)
        return;
    stage_record(c->stages, static_name(name), us - c->last_us);
    c->last_us = us;
}

static void on_failed(struct client_link *c, const struct frame *f)
{
    struct field_reader r = field_reader(f->payload, f->len);
    auto_free char *text = NULL;
    auto_free char *advice = NULL;
    auto_free char *detail = NULL;
    struct field field;
    uint32_t code = 0;

    while (field_next(&r, &field)) {
        if (field.tag == TAG_TEXT && !text)
            text = field_str(&field);
        else if (field.tag == TAG_ADVICE && !advice)
            advice = field_str(&field);
        else if (field.tag == TAG_DETAIL && !detail)
            detail = field_str(&field);
        else if (field.tag == TAG_CODE)
            code = field_u32(&field, 0);
        else if (field.tag == TAG_LATE)
            c->overdue = field_u32(&field, 0) != 0;
        else if (field.tag == TAG_OUTSIDE)
            c->outside = field_u32(&field, 0) != 0;
    }
    c->failed = true;
    err_set(&c->failure, "%s", text ? text : "the VM failed");
    if (advice)
        err_advise(&c->failure, "%s", advice);
    err_detail(&c->failure, steal_ptr(&detail));
    err_exit(&c->failure, (int)code);
    if (c->guest)
        guest_lost(c->guest, err_msg(&c->failure));
    loop_quit(c->task->loop);
}

static void on_note(struct client_link *c, const struct frame *f)
{
    struct field_reader r = field_reader(f->payload, f->len);
    struct field field;

    while (field_next(&r, &field)) {
        char *text = field.tag == TAG_TEXT ? field_str(&field) : NULL;

        if (text)
            strv_take(&c->notes, text);
    }
    if (!c->hold_notes)
        client_hold_notes(c, false);
}

static void on_frame(void *arg, struct conn *conn, const struct frame *f)
{
    struct client_link *c = arg;

    (void)conn;
    if (!c->greeted)
        on_hello(c, f);
    else if (f->type == FRAME_STAGE)
        on_stage(c, f);
    else if (f->type == FRAME_FAILED)
        on_failed(c, f);
    else if (f->type == FRAME_NOTE)
        on_note(c, f);
    else if (f->type == FRAME_READY)
        c->ready = true;
    else if (f->stream != 0)
        guest_frame(c->guest, f);
    if (c->ready || c->failed)
        loop_quit(c->task->loop);
}

static void on_closed(void *arg, struct conn *conn, const char *why)
{
    struct client_link *c = arg;

    (void)conn;
    c->closed = true;
    if (!c->failed)
        err_set(&c->failure, "%s", why ? why : "the VM was stopped");
    if (c->guest)
        guest_lost(c->guest, err_msg(&c->failure));
    loop_quit(c->task->loop);
}

static struct client_link *link_new(struct task_env *t, int sock, const char *id)
{
    struct client_link *c = mem_zalloc(1, sizeof(*c));
    struct conn_events ev = {.frame = on_frame, .closed = on_closed, .arg = c};

    *c = (struct client_link){.task = t, .supervisor = CHILD_INIT};
    snprintf(c->id, sizeof(c->id), "%s", id);
    c->conn = conn_new(t->loop, sock, true, &ev);
    c->guest = guest_new(t->loop, c->conn);
    return c;
}

struct client_link *client_create(struct task_env *t, struct stages *stages,
                                  const struct vm_order *order, struct err *e)
{
    struct client_link *c;
    struct child supervisor;
    char id[9];
    int sock;

    if (supervisor_start(order, id, &supervisor, &sock, e) < 0)
        return NULL;
    c = link_new(t, sock, id);
    c->supervisor = supervisor;
    c->stages = stages;
    c->makes_template = order->template_disk != NULL;
    return c;
}

struct client_link *client_attach(struct task_env *t, const struct paths *p, const char *id,
                                  struct err *e)
{
    auto_free char *path = paths_vm(p, id, PATHS_VM_SOCK);
    int sock = sock_connect(path, e);

    struct client_link *c;

    if (sock >= 0)
        return link_new(t, sock, id);
    if (access(path, F_OK) == 0)
        return NULL;
    err_clear(e); /* it ended since it was listed */
    c = mem_zalloc(1, sizeof(*c));
    *c = (struct client_link){.task = t, .supervisor = CHILD_INIT, .closed = true};
    c->guest = guest_new(t->loop, NULL);
    err_set(&c->failure, "VM %s was stopped", id);
    return c;
}

/* Copies why the VM is gone into e. */
static int explain(struct client_link *c, struct err *e)
{
    err_set(e, "%s", err_msg(&c->failure));
    if (c->failure.advice)
        err_advise(e, "%s", c->failure.advice);
    err_detail(e, mem_strdup(c->failure.detail));
    return err_exit(e, c->failure.exit_code);
}

int client_wait_ready(struct client_link *c, struct err *e)
{
    while (!c->ready && !c->failed && !c->closed && !c->task->interrupted)
        loop_run(c->task->loop);
    if (task_check(c->task, e) < 0)
        return -1;
    return c->ready && !c->failed && !c->closed ? 0 : explain(c, e);
}

const char *client_id(const struct client_link *c)
{
    return c->id;
}

bool client_is_creator(const struct client_link *c)
{
    return c->supervisor.pid > 0;
}

/* A supervisor that left without a word was killed. */
enum vm_fault client_fault(const struct client_link *c)
{
    if (c->overdue)
        return FAULT_LATE;
    return c->engine_ran && c->failed && !c->outside ? FAULT_VM : FAULT_HOST;
}

const struct port_account *client_ports(const struct client_link *c)
{
    return &c->account;
}

struct guest *client_guest(struct client_link *c)
{
    return c->guest;
}

int client_lend_tty(struct client_link *c, int fd, const struct termios *saved, struct err *e)
{
    uint8_t header[FRAME_HEADER];

    if (c->closed)
        return 0;
    if (fd < 0) {
        conn_send(c->conn, FRAME_TTY, 0, 0, NULL, 0);
        conn_flush(c->conn, STOP_GRACE_MS);
        return 0;
    }
    conn_flush(c->conn, STOP_GRACE_MS);
    if (conn_queued(c->conn) > 0)
        return err_set(e, "the VM's supervisor does not read what it is sent");
    frame_encode_header(header, FRAME_TTY, 0, 0, sizeof(*saved));
    /* The descriptor rides on the frame's first byte. */
    if (sock_send_fd(conn_fd(c->conn), header[0], fd, e) < 0)
        return -1;
    conn_send_rest(c->conn, header + 1, sizeof(header) - 1);
    conn_send_rest(c->conn, saved, sizeof(*saved));
    return 0;
}

static void on_stop_deadline(void *arg)
{
    struct client_link *c = arg;

    c->stop_timer = NULL;
    c->closed = c->late = true;
    loop_quit(c->task->loop);
}

void client_let_go(struct client_link *c)
{
    close_fd(&c->supervisor.pidfd);
    c->supervisor = CHILD_INIT;
}

void client_wait_end(struct client_link *c)
{
    while (c && !c->closed && !c->task->interrupted)
        loop_run(c->task->loop);
}

bool client_has_ended(const struct client_link *c)
{
    return c->closed;
}

/* Waits for the end of a VM that was asked to stop.  A signal cuts short what only makes a
 * template: its supervisor ends as soon as the link does. */
static void wait_stopped(struct client_link *c)
{
    c->stop_timer = loop_timer(c->task->loop, STOP_MS, on_stop_deadline, c);
    while (!c->closed && !(c->makes_template && c->task->interrupted))
        loop_run(c->task->loop);
    if (c->closed)
        return;
    conn_free(steal_ptr(&c->conn));
    c->closed = true;
}

int client_stop(struct client_link *c, struct err *e)
{
    bool failed_before = c->failed;

    if (!c->closed) {
        conn_send(c->conn, FRAME_STOP_VM, 0, 0, NULL, 0);
        wait_stopped(c);
    }
    if (c->supervisor.pid > 0 && !c->late && (c->stop_timer || c->failed))
        spawn_reap(&c->supervisor, NULL, NULL);
    spawn_kill(&c->supervisor, 0); /* only one that did not end in time is left by now */
    loop_untimer(steal_ptr(&c->stop_timer));
    if (c->makes_template && task_check(c->task, e) < 0)
        return -1;
    if (!c->stopped && !c->failed)
        return err_set(e,
                       "the VM's supervisor ended unexpectedly; the VM's last writes may be lost");
    return c->failed && !failed_before ? explain(c, e) : 0;
}

/* Another may have stopped it meanwhile, which tells all that are attached before it ends. */
int client_stop_attached(struct client_link *c, struct err *e)
{
    if (client_wait_ready(c, e) < 0 && c->task->interrupted)
        return -1;
    err_clear(e);
    if (!c->closed) {
        conn_send(c->conn, FRAME_STOP_VM, 0, 0, NULL, 0);
        wait_stopped(c);
    }
    loop_untimer(steal_ptr(&c->stop_timer));
    if (c->stopped || !c->greeted)
        return 0;
    if (c->failed)
        return explain(c, e);
    return err_set(e, "the VM's supervisor ended unexpectedly; the VM's last writes may be lost");
}

void client_hold_notes(struct client_link *c, bool hold)
{
    c->hold_notes = hold;
    for (size_t i = 0; i < c->notes.n && !hold; i++)
        log_info("agentvm: %s", c->notes.v[i]);
    if (!hold)
        strv_free(&c->notes);
}

void client_free(struct client_link *c)
{
    if (!c)
        return;
    guest_free(c->guest);
    conn_free(c->conn);
    close_fd(&c->supervisor.pidfd);
    err_clear(&c->failure);
    strv_free(&c->notes);
    free(c);
}
