#include "supervisor/viewer.h"

static void send_output(struct viewer *v, const char *data, size_t len)
{
    while (len > 0) {
        size_t n = len < FRAME_PAYLOAD_MAX ? len : FRAME_PAYLOAD_MAX;

        conn_send(v->conn, FRAME_DATA, LANE_OUT, v->stream, data, n);
        v->window -= (uint32_t)n;
        data += n;
        len -= n;
    }
}

static void send_painting(struct viewer *v)
{
    size_t n = v->painting.len < v->window ? v->painting.len : v->window;

    send_output(v, v->painting.data, n);
    buf_consume(&v->painting, n);
}

void viewer_paint(struct viewer *v, struct emulator *m, const struct terminal_modes *on,
                  bool scroll)
{
    v->waiting = true;
    v->behind = false;
    emulator_paint(m, on, &v->shown, scroll);
}

/* Once it has read all that there was. */
static void catch_up(struct viewer *v, struct emulator *m, const struct terminal_modes *on)
{
    if (v->behind && !v->waiting && v->painting.len == 0 && v->window == FLOW_WINDOW)
        viewer_paint(v, m, on, false);
}

void viewer_painted(struct viewer *v, const struct buf *painting,
                    const struct terminal_modes *left_on, struct emulator *m,
                    const struct terminal_modes *on)
{
    auto_buf struct buf later = v->later;

    v->later = BUF_INIT;
    if (!v->waiting)
        return;
    v->waiting = false;
    v->shown = *left_on;
    buf_append(&v->painting, painting->data, painting->len);
    send_painting(v);
    if (later.len > 0)
        viewer_show(v, &later, on);
    catch_up(v, m, on);
}

void viewer_show(struct viewer *v, const struct buf *passed, const struct terminal_modes *on)
{
    if (!v->client)
        return;
    if (v->waiting && !v->behind && v->later.len + passed->len <= FLOW_WINDOW) {
        buf_append(&v->later, passed->data, passed->len);
        return;
    }
    if (v->waiting || v->behind || v->painting.len > 0 || passed->len > v->window) {
        buf_free(&v->later);
        v->behind = true;
        return;
    }
    send_output(v, passed->data, passed->len);
    v->shown = *on;
}

void viewer_credit(struct viewer *v, uint32_t bytes, struct emulator *m,
                   const struct terminal_modes *on)
{
    v->window = bytes > FLOW_WINDOW - v->window ? FLOW_WINDOW : v->window + bytes;
    send_painting(v);
    catch_up(v, m, on);
}

void viewer_clear(struct viewer *v)
{
    buf_free(&v->painting);
    buf_free(&v->later);
    *v = (struct viewer){0};
}
