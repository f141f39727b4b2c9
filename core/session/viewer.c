#include "session/viewer.h"

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

void viewer_paint(struct viewer *v, const struct screen *s, const struct terminal_modes *on,
                  bool scroll)
{
    screen_paint(s, on, &v->shown, scroll, &v->painting);
    v->shown = *on;
    v->behind = false;
    send_painting(v);
}

void viewer_show(struct viewer *v, const struct buf *passed, const struct terminal_modes *on)
{
    if (!v->client)
        return;
    if (v->behind || v->painting.len > 0 || passed->len > v->window) {
        v->behind = true;
        return;
    }
    send_output(v, passed->data, passed->len);
    v->shown = *on;
}

void viewer_credit(struct viewer *v, uint32_t bytes, const struct screen *s,
                   const struct terminal_modes *on)
{
    v->window = bytes > FLOW_WINDOW - v->window ? FLOW_WINDOW : v->window + bytes;
    if (v->painting.len > 0)
        send_painting(v);
    else if (v->behind && v->window == FLOW_WINDOW)
        viewer_paint(v, s, on, false);
}

void viewer_clear(struct viewer *v)
{
    buf_free(&v->painting);
    *v = (struct viewer){0};
}
