/* Clients of the supervisor: the creator, on whose connection the VM's life hangs, and others. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "channel/fields.h"
#include "proc/sock.h"
#include "proc/tty.h"
#include "state/record.h"
#include "supervisor/internal.h"

enum { DETAIL_MAX = 16384, GOODBYE_MS = 1000 };

static void put_stage(struct supervisor *s, const char *name, struct buf *body)
{
    field_put_str(body, TAG_TEXT, name);
    field_put_u64(body, TAG_US, (uint64_t)(clock_us() - s->start_us));
}

static void tell_all(struct supervisor *s, uint8_t type, const struct buf *body)
{
    for (struct client *c = s->clients; c; c = c->next)
        conn_send(c->conn, type, 0, 0, body->data, body->len);
}

void clients_tell_stage(struct supervisor *s, const char *name)
{
    auto_buf struct buf body = BUF_INIT;

    put_stage(s, name, &body);
    tell_all(s, FRAME_STAGE, &body);
}

void clients_tell_end(struct supervisor *s)
{
    const struct port_account *a = &s->account;
    auto_buf struct buf body = BUF_INIT;

    put_stage(s, "stop", &body);
    for (size_t i = 0; i < a->n; i++)
        field_put_u32(&body, TAG_FORWARDED, (uint32_t)a->pairs[i].guest << 16 | a->pairs[i].host);
    field_put_u64(&body, TAG_BYTES_IN, a->to_guest);
    field_put_u64(&body, TAG_BYTES_OUT, a->from_guest);
    tell_all(s, FRAME_STAGE, &body);
}

void clients_tell_failure(struct supervisor *s, const struct err *why, const struct client *but)
{
    auto_buf struct buf body = BUF_INIT;
    size_t len = why->detail ? strlen(why->detail) : 0;

    agent_note_failure(s, why);
    field_put_str(&body, TAG_TEXT, err_msg(why));
    if (why->advice)
        field_put_str(&body, TAG_ADVICE, why->advice);
    if (why->detail)
        field_put(&body, TAG_DETAIL, why->detail, len < DETAIL_MAX ? len : DETAIL_MAX);
    field_put_u32(&body, TAG_CODE, (uint32_t)err_exit_code(why));
    field_put_u32(&body, TAG_LATE, s->late);
    field_put_u32(&body, TAG_OUTSIDE, s->outside);
    for (struct client *c = s->clients; c; c = c->next)
        if (c != but)
            conn_send(c->conn, FRAME_FAILED, 0, 0, body.data, body.len);
}

void clients_tell_creator(struct supervisor *s, const char *text)
{
    auto_buf struct buf body = BUF_INIT;

    field_put_str(&body, TAG_TEXT, text);
    for (struct client *c = s->clients; c; c = c->next)
        if (c->creator)
            conn_send(c->conn, FRAME_NOTE, 0, 0, body.data, body.len);
}

void clients_tell_ready(struct supervisor *s)
{
    for (struct client *c = s->clients; c; c = c->next)
        conn_send(c->conn, FRAME_READY, 0, 0, s->id, strlen(s->id));
}

void clients_goodbye(struct supervisor *s)
{
    for (struct client *c = s->clients; c; c = c->next) {
        conn_flush(c->conn, GOODBYE_MS);
        close_fd(&c->tty); /* the client lives and restores its terminal itself */
    }
}

static void rescue_terminal(struct client *c)
{
    if (c->tty >= 0)
        tty_rescue(c->tty, &c->saved);
    close_fd(&c->tty);
}

static void remove_client(struct client *c)
{
    struct client **link = &c->sup->clients;

    while (*link != c)
        link = &(*link)->next;
    *link = c->next;
    agent_forget_client(c->sup, c);
    if (c->sup->relay)
        relay_drop_client(c->sup->relay, c->conn);
    rescue_terminal(c);
    free(c->record);
    conn_free(c->conn);
    free(c);
}

/* Completes the record of a client that was killed; ports: what there was of those. */
static void write_record(struct supervisor *s, const char *text, int64_t since_us,
                         const struct port_account *ports)
{
    auto_free char *line =
        record_complete(text, clock_us() - since_us, ports, EXIT_AGENTVM, "agentvm was killed");

    if (line)
        record_append(s->order->paths, line, NULL);
}

static void on_client_closed(void *arg, struct conn *conn, const char *why)
{
    struct client *c = arg;
    struct supervisor *s = c->sup;
    bool creator = c->creator;

    (void)conn;
    (void)why;
    if (c->record && !creator)
        write_record(s, c->record, c->record_us, &(struct port_account){0});
    if (c->record && creator) {
        s->record = steal_ptr(&c->record);
        s->record_us = c->record_us;
    }
    remove_client(c);
    if (creator && s->order->template_disk && s->state < STOPPING)
        supervisor_stop_engine(s); /* nobody is left to complete the layer */
    else if (creator)
        supervisor_stop(s);
}

/* Settings of a terminal that is raw now, with its descriptor; nothing: it is restored. */
static void on_tty(struct client *c, const struct frame *f)
{
    close_fd(&c->tty);
    if (f->len != sizeof(c->saved))
        return;
    memcpy(&c->saved, f->payload, sizeof(c->saved));
    c->tty = conn_take_fd(c->conn);
}

/* What is left of the run is for others to tell, if the client does not live to do so.  Nothing: it
 * did. */
static void on_record(struct client *c, const struct frame *f)
{
    free(c->record);
    c->record = f->len > 0 ? mem_dup(f->payload, f->len) : NULL;
    c->record_us = clock_us();
}

void clients_write_record(struct supervisor *s)
{
    auto_free char *text = steal_ptr(&s->record);

    write_record(s, text, s->record_us, &s->account);
}

/* Others learn why their programs end before they see them killed. */
static void stop_for(struct client *c)
{
    auto_err struct err why = ERR_INIT;

    c->sup->outside = true;
    err_set(&why, "the VM was stopped by agentvm stop");
    if (!c->creator)
        clients_tell_failure(c->sup, &why, c);
    supervisor_stop(c->sup);
}

static void on_client_frame(void *arg, struct conn *conn, const struct frame *f)
{
    struct client *c = arg;
    struct supervisor *s = c->sup;
    char *text = NULL;

    if (!c->greeted) {
        c->greeted = conn_check_hello(f, "the client", &text) == 0;
        free(text);
        if (!c->greeted)
            on_client_closed(c, conn, NULL);
    } else if (f->type == FRAME_STOP_VM) {
        stop_for(c);
    } else if (f->type == FRAME_TTY) {
        on_tty(c, f);
    } else if (f->type == FRAME_RECORD) {
        on_record(c, f);
    } else if (f->stream != 0 && s->state == RUNNING && s->relay && !agent_takes_frame(s, c, f)) {
        relay_from_client(s->relay, conn, f);
    }
}

void clients_add(struct supervisor *s, int fd, bool creator)
{
    struct client *c = mem_zalloc(1, sizeof(*c));
    struct conn_events ev = {.frame = on_client_frame, .closed = on_client_closed, .arg = c};

    *c = (struct client){.next = s->clients, .sup = s, .creator = creator, .tty = -1};
    c->conn = conn_new(s->loop, fd, true, &ev);
    s->clients = c;
    conn_send_hello(c->conn);
    if (s->state == RUNNING)
        conn_send(c->conn, FRAME_READY, 0, 0, s->id, strlen(s->id));
}

static void on_connect(void *arg, short events)
{
    struct supervisor *s = arg;
    int fd = sock_accept(s->listener, NULL);

    (void)events;
    if (fd >= 0)
        clients_add(s, fd, false);
}

void clients_listen(struct supervisor *s)
{
    loop_watch(s->loop, s->listener, POLLIN, on_connect, s);
}
