/* The agent of a detached VM, whose stream the supervisor owns.
 *
 *   creator            supervisor                     guestd
 *     DETACH n  ------->  (a stream of our own)
 *     OPEN n    ------->  OPEN  ---------------------->
 *                         STARTED  <-------------------
 *               <-------  DETACHED n: the VM's life hangs on the agent from now on
 *
 * What the agent writes goes into the log, and on a terminal of its own through the filter into an
 * emulator.  One client at a time is attached; see viewer.h. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "channel/fields.h"
#include "guest/exec.h"
#include "guest/screen.h"
#include "session/agent_log.h"
#include "session/record.h"
#include "session/supervisor_internal.h"
#include "session/viewer.h"

struct agent {
    struct supervisor *sup;
    uint32_t stream;      /* the guest's */
    struct client *maker; /* until the agent is ours */
    uint32_t maker_stream;
    bool running, ended;
    struct exit_status status;
    char *record, *failure;
    int64_t since_us;
    struct agent_log log;
    struct terminal_filter filter;
    struct screen *screen; /* NULL: it has no terminal */
    struct buf input;      /* for the agent, which has not taken it yet */
    struct viewer viewer;
};

/* ---- towards who is attached ---------------------------------------------------------------- */

static void tell_error(struct client *c, uint32_t stream, const char *text)
{
    auto_buf struct buf payload = BUF_INIT;
    uint8_t code[4];

    put_u32(code, EXIT_AGENTVM);
    buf_append(&payload, code, sizeof(code));
    buf_puts(&payload, text);
    conn_send(c->conn, FRAME_ERROR, 0, stream, payload.data, payload.len);
}

static void leave(struct agent *a)
{
    viewer_clear(&a->viewer);
    a->input.len = 0;
}

/* ---- towards the agent ---------------------------------------------------------------------- */

static void send_input(struct agent *a)
{
    struct relay *r = a->sup->relay;

    while (r && a->input.len > 0 && relay_window(r, a->stream) > 0) {
        size_t n = a->input.len, max = relay_window(r, a->stream);

        if (n > max)
            n = max;
        if (n > FRAME_PAYLOAD_MAX)
            n = FRAME_PAYLOAD_MAX;
        relay_send(r, a->stream, FRAME_DATA, LANE_IN, a->input.data, n);
        buf_consume(&a->input, n);
        if (a->viewer.client)
            conn_send_u32(a->viewer.client->conn, FRAME_CREDIT, LANE_IN, a->viewer.stream,
                          (uint32_t)n);
    }
}

static void resize(struct agent *a, uint16_t rows, uint16_t columns)
{
    uint8_t size[4];

    put_u16(size, rows);
    put_u16(size + 2, columns);
    screen_resize(a->screen, rows, columns, &a->filter.on);
    relay_send(a->sup->relay, a->stream, FRAME_RESIZE, LANE_IN, size, sizeof(size));
}

static void detach(struct agent *a)
{
    conn_send(a->viewer.client->conn, FRAME_DETACHED, 0, a->viewer.stream, NULL, 0);
    leave(a);
}

static void on_viewer_input(struct agent *a, const struct frame *f)
{
    struct viewer *v = &a->viewer;
    size_t before = a->input.len;

    if (before + f->len > FLOW_WINDOW) {
        tell_error(v->client, v->stream, "more data than the window allows");
        leave(a);
        return;
    }
    if (detach_keys_take(&v->keys, (const char *)f->payload, f->len, &a->input)) {
        send_input(a); /* what was typed before them */
        detach(a);
        return;
    }
    /* What the keys took is as good as written; a key that is held back may exceed it. */
    if (a->input.len - before < f->len)
        conn_send_u32(v->client->conn, FRAME_CREDIT, LANE_IN, v->stream,
                      (uint32_t)(f->len - (a->input.len - before)));
    send_input(a);
}

static void on_viewer_frame(struct agent *a, const struct frame *f)
{
    switch (f->type) {
    case FRAME_DATA:
        on_viewer_input(a, f);
        break;
    case FRAME_CREDIT:
        viewer_credit(&a->viewer, f->len == 4 ? get_u32(f->payload) : 0, a->screen, &a->filter.on);
        break;
    case FRAME_RESIZE:
        if (f->len == 4)
            resize(a, get_u16(f->payload), get_u16(f->payload + 2));
        break;
    case FRAME_EOF:
    case FRAME_STOP:
        detach(a);
        break;
    case FRAME_RESET:
        leave(a);
        break;
    }
}

/* ---- attaching ------------------------------------------------------------------------------ */

static const char *why_not(const struct agent *a, bool steal)
{
    if (!a || !a->running)
        return "the agent of this VM is not detached: it runs on the terminal of the agentvm that "
               "started it; agentvm shell opens another one";
    if (!a->screen)
        return "the agent has no terminal, as it was started without one; see agentvm logs -f";
    if (a->viewer.client && !steal)
        return "somebody is attached already; agentvm attach --steal takes the agent over";
    return NULL;
}

static void attach(struct supervisor *s, struct client *c, const struct frame *f)
{
    struct field_reader r = field_reader(f->payload, f->len);
    struct agent *a = s->agent;
    uint32_t size = 24u << 16 | 80, steal = 0;
    struct field field;
    const char *why;

    while (field_next(&r, &field)) {
        if (field.tag == TAG_TTY)
            size = field_u32(&field, size);
        else if (field.tag == TAG_STEAL)
            steal = field_u32(&field, 0);
    }
    why = why_not(a, steal != 0);
    if (why) {
        tell_error(c, f->stream, why);
        return;
    }
    if (a->viewer.client)
        tell_error(a->viewer.client, a->viewer.stream, "another terminal took the agent over");
    leave(a);
    a->viewer =
        (struct viewer){.client = c, .conn = c->conn, .stream = f->stream, .window = FLOW_WINDOW};
    resize(a, (uint16_t)(size >> 16), (uint16_t)size);
    viewer_paint(&a->viewer, a->screen, &a->filter.on, true);
}

static bool is_attach(const struct frame *f)
{
    struct field_reader r = field_reader(f->payload, f->len);
    struct field field;

    return f->type == FRAME_OPEN && field_next(&r, &field) && field.tag == TAG_KIND &&
           field_u32(&field, 0) == OPEN_ATTACH;
}

/* ---- the agent's own stream ----------------------------------------------------------------- */

static void on_output(struct agent *a, const struct frame *f)
{
    auto_buf struct buf passed = BUF_INIT;

    agent_log_append(&a->log, f->payload, f->len);
    relay_credit(a->sup->relay, a->stream, f->lane, f->len);
    if (!a->screen)
        return;
    terminal_filter(&a->filter, f->payload, f->len, &passed);
    /* Questions are answered by the terminal that is attached, or else by the emulator. */
    screen_feed(a->screen, passed.data, passed.len,
                a->viewer.client || a->input.len > SCREEN_ANSWERS_MAX ? NULL : &a->input);
    viewer_show(&a->viewer, &passed, &a->filter.on);
    send_input(a);
}

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
    if (!a->screen)
        relay_send(a->sup->relay, a->stream, FRAME_EOF, LANE_IN, NULL, 0);
}

static void on_end(struct agent *a, const struct frame *f)
{
    struct client *client = a->running ? a->viewer.client : a->maker;
    uint32_t stream = a->running ? a->viewer.stream : a->maker_stream;

    if (client)
        conn_send(client->conn, f->type, 0, stream, f->payload, f->len);
    a->maker = NULL;
    leave(a);
    if (!a->running)
        return; /* its creator, who was told why, ends the VM */
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
        on_output(a, f);
        break;
    case FRAME_CREDIT:
        send_input(a);
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

    *a = (struct agent){.sup = s, .maker = c, .maker_stream = f->stream};
    while (field_next(&r, &field)) {
        uint32_t size = field_u32(&field, 0);

        if (field.tag == TAG_TTY && !a->screen)
            a->screen = screen_new(size >> 16, size & 0xffff);
        else if (field.tag == TAG_DETAIL && !a->record)
            a->record = field_str(&field);
    }
    s->agent = a;
    a->stream = relay_open(s->relay, on_agent_frame, a);
    if (agent_log_create(&a->log, s->order->paths, s->id, &e) < 0) {
        tell_error(c, f->stream, err_msg(&e));
        a->maker = NULL;
    }
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
        attach(s, c, f);
        return true;
    }
    if (a && a->maker == c && a->maker_stream == f->stream) {
        if (f->type == FRAME_OPEN || f->type == FRAME_OPEN_PART || f->type == FRAME_RESET)
            relay_send(s->relay, a->stream, f->type, 0, f->payload, f->len);
        return true;
    }
    if (a && a->viewer.client == c && a->viewer.stream == f->stream) {
        on_viewer_frame(a, f);
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
        leave(a);
}

bool agent_is_detached(const struct supervisor *s)
{
    return s->agent && s->agent->running;
}

void agent_tell(struct supervisor *s, const char *text)
{
    const char *end = agent_is_detached(s) && s->agent->screen ? "\r\n" : "\n";
    auto_free char *line = mem_printf("%sagentvm: %s%s", end, text, end);

    if (agent_is_detached(s))
        agent_log_append(&s->agent->log, line, strlen(line));
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
    leave(a);
    agent_log_close(&a->log);
    buf_free(&a->input);
    screen_free(a->screen);
    free(a->record);
    free(a->failure);
    free(a);
}
