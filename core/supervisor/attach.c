/* The screen of a detached agent, and who is attached to it; one client at a time is.
 *
 * What the agent writes goes through the filter to the emulator, and to who is attached; see
 * viewer.h. */
#include <string.h>

#include "base/mem.h"
#include "channel/fields.h"
#include "supervisor/agent.h"

/* ---- towards who is attached ---------------------------------------------------------------- */

void agent_tell_error(struct client *c, uint32_t stream, const char *text)
{
    auto_buf struct buf payload = BUF_INIT;
    uint8_t code[4];

    put_u32(code, EXIT_AGENTVM);
    buf_append(&payload, code, sizeof(code));
    buf_puts(&payload, text);
    conn_send(c->conn, FRAME_ERROR, 0, stream, payload.data, payload.len);
}

void agent_leave(struct agent *a)
{
    viewer_clear(&a->viewer);
    a->input.len = 0;
}

void agent_end_viewer(struct agent *a)
{
    if (a->end && a->viewer.client)
        conn_send(a->viewer.client->conn, a->end, 0, a->viewer.stream, a->end_payload.data,
                  a->end_payload.len);
    a->end = 0;
    agent_leave(a);
}

/* ---- the screen ----------------------------------------------------------------------------- */

/* The agent waits for an emulator that has too much to do. */
static void give_credit(struct agent *a)
{
    if (!a->sup->relay || (a->emulator && !emulator_has_room(a->emulator)))
        return;
    for (uint8_t lane = 0; lane < LANES; lane++)
        relay_credit(a->sup->relay, a->stream, lane, a->owed[lane]);
    memset(a->owed, 0, sizeof(a->owed));
}

static void on_answered(void *arg, const char *data, size_t len)
{
    struct agent *a = arg;

    if (a->answers.len + len <= SCREEN_ANSWERS_MAX)
        buf_append(&a->answers, data, len);
    agent_send_input(a);
}

static void on_taken(void *arg)
{
    give_credit(arg);
}

static void on_painted(void *arg, const struct buf *painting, const struct terminal_modes *on)
{
    struct agent *a = arg;

    viewer_painted(&a->viewer, painting, on, a->emulator, &a->filter.on);
    if (a->end)
        agent_end_viewer(a);
}

/* Who is attached sees what the agent writes also without an emulator, but could be shown nothing
 * that was left out. */
static void on_lost(void *arg, const char *line)
{
    struct agent *a = arg;
    const char *failure = a->emulator ? emulator_failure(a->emulator) : NULL;

    agent_log_line(a, line);
    if (!failure || !a->viewer.client)
        return;
    if (!a->end)
        agent_tell_error(a->viewer.client, a->viewer.stream, failure);
    agent_end_viewer(a);
}

void agent_start_emulator(struct agent *a, uint16_t rows, uint16_t columns)
{
    struct emulator_events ev = {on_answered, on_taken, on_painted, on_lost, a};

    a->emulator = emulator_new(a->sup->loop, rows, columns, &ev);
}

void agent_show(struct agent *a, const struct frame *f)
{
    auto_buf struct buf passed = BUF_INIT;

    a->owed[f->lane] += f->len;
    for (size_t done = 0, n; a->emulator && done < f->len; done += n) {
        size_t before = passed.len;

        n = f->len - done < EMULATOR_PIECE ? f->len - done : EMULATOR_PIECE;
        terminal_filter(&a->filter, f->payload + done, n, &passed);
        /* Questions are answered by the terminal that is attached, or else by the emulator. */
        emulator_feed(a->emulator, passed.data + before, passed.len - before, !a->viewer.client);
    }
    viewer_show(&a->viewer, &passed, &a->filter.on);
    give_credit(a);
}

/* ---- from who is attached ------------------------------------------------------------------- */

static void resize(struct agent *a, uint16_t rows, uint16_t columns)
{
    uint8_t size[4];

    put_u16(size, rows);
    put_u16(size + 2, columns);
    emulator_resize(a->emulator, rows, columns, &a->filter.on);
    relay_send(a->sup->relay, a->stream, FRAME_RESIZE, LANE_IN, size, sizeof(size));
}

static void detach(struct agent *a)
{
    conn_send(a->viewer.client->conn, FRAME_DETACHED, 0, a->viewer.stream, NULL, 0);
    agent_leave(a);
}

static void on_viewer_input(struct agent *a, const struct frame *f)
{
    struct viewer *v = &a->viewer;
    size_t before = a->input.len;

    if (before + f->len > FLOW_WINDOW) {
        agent_tell_error(v->client, v->stream, "more data than the window allows");
        agent_leave(a);
        return;
    }
    if (detach_keys_take(&v->keys, (const char *)f->payload, f->len, &a->input)) {
        agent_send_input(a); /* what was typed before them */
        detach(a);
        return;
    }
    /* What the keys took is as good as written; a key that is held back may exceed it. */
    if (a->input.len - before < f->len)
        conn_send_u32(v->client->conn, FRAME_CREDIT, LANE_IN, v->stream,
                      (uint32_t)(f->len - (a->input.len - before)));
    agent_send_input(a);
}

void agent_take_viewer_frame(struct agent *a, const struct frame *f)
{
    switch (f->type) {
    case FRAME_DATA:
        on_viewer_input(a, f);
        break;
    case FRAME_CREDIT:
        viewer_credit(&a->viewer, f->len == 4 ? get_u32(f->payload) : 0, a->emulator,
                      &a->filter.on);
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
        agent_leave(a);
        break;
    }
}

/* ---- attaching ------------------------------------------------------------------------------ */

static const char *why_not(const struct agent *a, bool steal)
{
    if (!a || !a->running)
        return "the agent of this VM is not detached: it runs on the terminal of the agentvm that "
               "started it; agentvm shell opens another one";
    if (!a->emulator)
        return "the agent has no terminal, as it was started without one; see agentvm logs -f";
    if (a->viewer.client && !steal)
        return "somebody is attached already; agentvm attach --steal takes the agent over";
    return emulator_failure(a->emulator);
}

void agent_attach(struct supervisor *s, struct client *c, const struct frame *f)
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
        agent_tell_error(c, f->stream, why);
        return;
    }
    if (a->viewer.client)
        agent_tell_error(a->viewer.client, a->viewer.stream,
                         "another terminal took the agent over");
    agent_leave(a);
    a->viewer =
        (struct viewer){.client = c, .conn = c->conn, .stream = f->stream, .window = FLOW_WINDOW};
    resize(a, (uint16_t)(size >> 16), (uint16_t)size);
    viewer_paint(&a->viewer, a->emulator, &a->filter.on, true);
}
