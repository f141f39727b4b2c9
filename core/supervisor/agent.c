/* The agent of a detached VM, whose stream the supervisor owns.
 *
 *   creator            supervisor                     guestd
 *     DETACH n  ------->  (a stream of our own)
 *     OPEN n    ------->  OPEN  ---------------------->
 *                         STARTED  <-------------------
 *               <-------  DETACHED n: the VM's life hangs on the agent from now on
 *
 * What the agent writes goes into the log, and on a terminal of its own to attach.c. */
#include "supervisor/agent.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "channel/fields.h"
#include "guest/exec.h"
#include "state/record.h"

/* ---- towards the agent ---------------------------------------------------------------------- */

/* Sends what the agent takes of b; returns how much that was. */
static size_t send_some(struct agent *a, struct buf *b)
{
    struct relay *r = a->sup->relay;
    size_t n = b->len, max = r ? relay_window(r, a->stream) : 0;

    if (n > max)
        n = max;
    if (n > FRAME_PAYLOAD_MAX)
        n = FRAME_PAYLOAD_MAX;
    if (n > 0)
        relay_send(r, a->stream, FRAME_DATA, LANE_IN, b->data, n);
    buf_consume(b, n);
    return n;
}

void agent_send_input(struct agent *a)
{
    size_t n;

    while (send_some(a, &a->answers) > 0)
        continue;
    while (a->answers.len == 0 && (n = send_some(a, &a->input)) > 0)
        if (a->viewer.client)
            conn_send_u32(a->viewer.client->conn, FRAME_CREDIT, LANE_IN, a->viewer.stream,
                          (uint32_t)n);
}

/* ---- the agent's own stream ----------------------------------------------------------------- */

static void on_started(struct agent *a)
{
    struct client *maker = steal_ptr(&a->maker);
    struct err why = ERR_INIT;

    if (!maker)
        return;
    a->running = true;
    a->since_us = clock_us();
    if (supervisor_publish(a->sup, &why) < 0) { /* before the maker's user can ask for it */
        a->running = false;
        supervisor_fail(a->sup, &why);
        return;
    }
    maker->creator = false;
    conn_send(maker->conn, FRAME_DETACHED, 0, a->maker_stream, NULL, 0);
    if (!a->emulator)
        relay_send(a->sup->relay, a->stream, FRAME_EOF, LANE_IN, NULL, 0);
}

/* Behind the painting of what the agent wrote before, if that is on its way. */
static void tell_viewer(struct agent *a, const struct frame *f)
{
    a->end = f->type;
    buf_append(&a->end_payload, f->payload, f->len);
    if (!a->viewer.client || !a->viewer.waiting)
        agent_end_viewer(a);
}

static void on_end(struct agent *a, const struct frame *f)
{
    if (!a->running) {
        if (a->maker)
            conn_send(a->maker->conn, f->type, 0, a->maker_stream, f->payload, f->len);
        a->maker = NULL;
        return; /* its creator, who was told why, ends the VM */
    }
    tell_viewer(a, f);
    a->ended = f->type == FRAME_EXIT && f->len == 8;
    if (a->ended && (get_u32(f->payload) & EXIT_BIT_OOM))
        agent_tell(a->sup, GUEST_LACKED_MEMORY);
    if (a->ended)
        a->status = (struct exit_status){get_u32(f->payload) & EXIT_BIT_SIGNALED,
                                         (int)(get_u32(f->payload + 4) & 0xff)};
    supervisor_stop(a->sup);
}

static void on_agent_frame(void *arg, const struct frame *f)
{
    struct agent *a = arg;

    switch (f->type) {
    case FRAME_STARTED:
        on_started(a);
        break;
    case FRAME_DATA:
        agent_log_append(&a->log, f->payload, f->len);
        agent_show(a, f);
        break;
    case FRAME_CREDIT:
        agent_send_input(a);
        break;
    case FRAME_EXIT:
    case FRAME_ERROR:
        on_end(a, f);
        break;
    }
}

/* ---- the beginning and the end -------------------------------------------------------------- */

static void begin(struct supervisor *s, struct client *c, const struct frame *f)
{
    struct field_reader r = field_reader(f->payload, f->len);
    struct agent *a = mem_zalloc(1, sizeof(*a));
    auto_err struct err e = ERR_INIT;
    struct field field;
    uint32_t size = 0;
    bool tty = false;

    *a = (struct agent){.sup = s, .maker = c, .maker_stream = f->stream};
    while (field_next(&r, &field)) {
        if (field.tag == TAG_TTY && !tty) {
            tty = true;
            size = field_u32(&field, 0);
        } else if (field.tag == TAG_DETAIL && !a->record) {
            a->record = field_str(&field);
        }
    }
    s->agent = a;
    a->stream = relay_open(s->relay, on_agent_frame, a);
    if (agent_log_create(&a->log, s->order->paths, s->id, &e) < 0) {
        agent_tell_error(c, f->stream, err_msg(&e));
        a->maker = NULL;
    } else if (tty) {
        agent_start_emulator(a, (uint16_t)(size >> 16), (uint16_t)size);
    }
}

static bool is_attach(const struct frame *f)
{
    struct field_reader r = field_reader(f->payload, f->len);
    struct field field;

    return f->type == FRAME_OPEN && field_next(&r, &field) && field.tag == TAG_KIND &&
           field_u32(&field, 0) == OPEN_ATTACH;
}

bool agent_takes_frame(struct supervisor *s, struct client *c, const struct frame *f)
{
    struct agent *a = s->agent;

    if (f->type == FRAME_DETACH) {
        if (c->creator && !a)
            begin(s, c, f);
        return true;
    }
    if (is_attach(f)) {
        agent_attach(s, c, f);
        return true;
    }
    if (a && a->maker == c && a->maker_stream == f->stream) {
        if (f->type == FRAME_OPEN || f->type == FRAME_OPEN_PART || f->type == FRAME_RESET)
            relay_send(s->relay, a->stream, f->type, 0, f->payload, f->len);
        return true;
    }
    if (a && a->viewer.client == c && a->viewer.stream == f->stream) {
        agent_take_viewer_frame(a, f);
        return true;
    }
    return false;
}

void agent_forget_client(struct supervisor *s, const struct client *c)
{
    struct agent *a = s->agent;

    if (a && a->maker == c)
        a->maker = NULL;
    if (a && a->viewer.client == c)
        agent_leave(a);
}

bool agent_is_detached(const struct supervisor *s)
{
    return s->agent && s->agent->running;
}

void agent_log_line(struct agent *a, const char *text)
{
    const char *end = a->emulator ? "\r\n" : "\n";
    auto_free char *line = mem_printf("%sagentvm: %s%s", end, text, end);

    agent_log_append(&a->log, line, strlen(line));
}

void agent_tell(struct supervisor *s, const char *text)
{
    if (agent_is_detached(s))
        agent_log_line(s->agent, text);
}

void agent_note_failure(struct supervisor *s, const struct err *why)
{
    if (s->agent && !s->agent->failure)
        s->agent->failure = mem_strdup(err_msg(why));
}

/* As on a terminal, the agent's end is no good one if the VM's is not: what it wrote may be lost.
 */
static void write_record(struct agent *a)
{
    int64_t more_us = clock_us() - a->since_us;
    bool good = a->ended && !a->sup->failed;
    int code = good ? exit_status_code(a->status) : EXIT_AGENTVM;
    const char *why = good ? NULL : a->failure ? a->failure : "the agent was lost";
    auto_free char *line = record_complete(a->record, more_us, &a->sup->account, code, why);

    if (line)
        record_append(a->sup->order->paths, line, NULL);
}

void agent_close(struct supervisor *s)
{
    struct agent *a = steal_ptr(&s->agent);

    if (!a)
        return;
    if (a->running && a->record)
        write_record(a);
    agent_end_viewer(a);
    agent_log_close(&a->log);
    emulator_free(a->emulator);
    buf_free(&a->answers);
    buf_free(&a->input);
    buf_free(&a->end_payload);
    free(a->record);
    free(a->failure);
    free(a);
}
