/* Agents that run on without us. */
#include <string.h>

#include "base/mem.h"
#include "channel/fields.h"
#include "guest/exec_internal.h"
#include "proc/tty.h"

enum { FLUSH_MS = 1000 }; /* a supervisor that does not read takes no longer than that */

int guest_detach(struct guest *g, const struct guest_program *p, bool tty, uint16_t rows,
                 uint16_t columns, const char *record, struct err *e)
{
    auto_buf struct buf body = BUF_INIT, fields = BUF_INIT;

    if (tty)
        field_put_u32(&fields, TAG_TTY, (uint32_t)rows << 16 | columns);
    field_put_str(&fields, TAG_DETAIL, record);
    if (fields.len > FRAME_PAYLOAD_MAX)
        return err_set(e, "the record of the run is too long");
    guest_exec_body(&body, p, tty, rows, columns);
    field_put_u32(&body, TAG_NOTIFY, 1);
    conn_send(g->conn, FRAME_DETACH, 0, g->next_stream, fields.data, fields.len);
    if (guest_start(g, &body, e) < 0)
        return -1;
    guest_wait_end(g);
    if (!g->failed && !g->detached) {
        g->failed = true;
        err_set(e, "the agent ended before it was detached");
    }
    return guest_end(g);
}

void guest_leave_record(struct guest *g, const char *record)
{
    size_t len = strlen(record);

    if (len <= FRAME_PAYLOAD_MAX)
        conn_send(g->conn, FRAME_RECORD, 0, 0, record, len);
}

void guest_take_record_back(struct guest *g)
{
    conn_send(g->conn, FRAME_RECORD, 0, 0, NULL, 0);
    conn_flush(g->conn, FLUSH_MS);
}

int guest_attach(struct guest *g, const struct guest_stdio *io, bool steal, bool *left,
                 struct exit_status *status, struct err *e)
{
    auto_buf struct buf body = BUF_INIT;
    uint16_t rows, columns;
    int rc;

    tty_size(io->in, &rows, &columns);
    field_put_u32(&body, TAG_KIND, OPEN_ATTACH);
    field_put_u32(&body, TAG_TTY, (uint32_t)rows << 16 | columns);
    field_put_u32(&body, TAG_STEAL, steal);
    rc = guest_run(g, &body, io, status, e);
    *left = g->detached;
    return rc;
}
