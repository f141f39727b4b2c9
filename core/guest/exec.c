#include "guest/exec_internal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "channel/pump.h"
#include "guest/terminal.h"
#include "proc/tty.h"

struct guest *guest_new(struct loop *l, struct conn *c)
{
    struct guest *g = mem_zalloc(1, sizeof(*g));

    *g = (struct guest){.loop = l, .conn = c, .next_stream = 1};
    return g;
}

void guest_free(struct guest *g)
{
    free(g);
}

static void finish(struct guest *g)
{
    g->ended = true;
    loop_quit(g->loop);
}

static void finish_failed(struct guest *g, const char *why)
{
    g->failed = true;
    err_set(g->error, "%s", why);
    finish(g);
}

static void end_with_status(struct guest *g, const struct frame *f)
{
    if (f->len != 8) {
        finish_failed(g, "malformed exit status from the guest");
    } else {
        uint32_t code = get_u32(f->payload + 4);

        uint32_t bits = get_u32(f->payload);

        g->status = (struct exit_status){bits & EXIT_BIT_SIGNALED, (int)(code & 0xff)};
        g->lacked_memory = bits & EXIT_BIT_OOM;
        finish(g);
    }
}

static void end_with_error(struct guest *g, const struct frame *f)
{
    auto_free char *text = f->len >= 4 ? str_printable((const char *)f->payload + 4, f->len - 4)
                                       : mem_strdup("malformed error from the guest");
    uint32_t code = f->len >= 4 ? get_u32(f->payload) : 0;

    for (char *p = text; *p; p++) /* a message is one line: the guest may not forge another */
        if (*p == '\n' || *p == '\t')
            *p = ' ';
    finish_failed(g, text);
    if (code == EXIT_CANNOT_EXEC || code == EXIT_NOT_FOUND)
        err_exit(g->error, (int)code);
}

/* The guest wants no more of a file: the answer to its end says why. */
static void stop_data(struct guest *g)
{
    if (g->left > 0)
        conn_send(g->conn, FRAME_EOF, LANE_IN, g->stream, NULL, 0);
    g->left = 0;
}

/* Sends what the window allows of a file. */
static void send_data(struct guest *g)
{
    while (g->left > 0 && g->credit > 0) {
        size_t n = g->left < FRAME_PAYLOAD_MAX ? g->left : FRAME_PAYLOAD_MAX;

        if (n > g->credit)
            n = g->credit;
        conn_send(g->conn, FRAME_DATA, LANE_IN, g->stream, g->data, n);
        g->data += n;
        g->left -= n;
        g->credit -= (uint32_t)n;
        if (g->left == 0)
            conn_send(g->conn, FRAME_EOF, LANE_IN, g->stream, NULL, 0);
    }
}

static void on_credit(struct guest *g, uint32_t bytes)
{
    if (g->in) {
        source_credit(g->in, bytes);
        return;
    }
    g->credit = bytes > FLOW_WINDOW - g->credit ? FLOW_WINDOW : g->credit + bytes;
    send_data(g);
}

static void output_open(struct guest *g, struct output *o, uint8_t lane, int fd, bool raw,
                        pump_done_fn *done)
{
    o->sink = sink_new(g->loop, g->conn, g->stream, lane, fd, done, g);
    o->filter = !raw && isatty(fd) ? mem_zalloc(1, sizeof(*o->filter)) : NULL;
}

static void output_close(struct output *o)
{
    sink_free(steal_ptr(&o->sink));
    free(steal_ptr(&o->filter));
}

/* The guest may send as much again as was written or dropped, but not what the filter still holds.
 */
static bool output_data(struct output *o, const void *data, size_t len)
{
    auto_buf struct buf passed = BUF_INIT;
    size_t taken;

    if (!o->filter)
        return sink_data(o->sink, data, len);
    taken = terminal_held(o->filter) + len;
    terminal_filter(o->filter, data, len, &passed);
    if (!sink_data(o->sink, passed.data, passed.len))
        return false;
    sink_skip(o->sink, taken - passed.len - terminal_held(o->filter));
    return true;
}

static void output_eof(struct output *o)
{
    auto_buf struct buf last = BUF_INIT;

    if (!o->sink)
        return;
    if (o->filter)
        terminal_reset(o->filter, &last);
    sink_add(o->sink, last.data, last.len);
    sink_eof(o->sink);
}

/* The terminal gets nothing more of what the program wrote.  What it has got may end within a
 * sequence, which ESC \ ends. */
static void output_abandon(struct output *o)
{
    auto_buf struct buf last = BUF_INIT;

    if (!o->sink || !o->filter)
        return;
    if (sink_queued(o->sink) > 0)
        buf_puts(&last, "\033\\");
    terminal_reset(o->filter, &last);
    sink_abandon(o->sink, last.data, last.len);
}

static bool is_drained(const struct output *o)
{
    return !o->sink || sink_is_done(o->sink);
}

static struct output *find_output(struct guest *g, uint8_t lane)
{
    struct output *o = lane == LANE_ERR ? &g->err : lane == LANE_OUT ? &g->out : NULL;

    return o && o->sink ? o : NULL;
}

bool guest_frame(struct guest *g, const struct frame *f)
{
    struct output *output = find_output(g, f->lane);

    if (g->stream == 0 || f->stream != g->stream)
        return true; /* late frames of a request that was given up */
    switch (f->type) {
    case FRAME_DATA:
        return output && output_data(output, f->payload, f->len);
    case FRAME_EOF:
        if (output)
            output_eof(output);
        return output != NULL;
    case FRAME_STOP:
        if (g->in)
            source_stop(g->in);
        else
            stop_data(g);
        return true;
    case FRAME_CREDIT:
        if (f->len == 4)
            on_credit(g, get_u32(f->payload));
        return f->len == 4;
    case FRAME_EXIT:
        end_with_status(g, f);
        return true;
    case FRAME_ERROR:
        end_with_error(g, f);
        return true;
    case FRAME_DETACHED:
        g->detached = true;
        finish(g);
        return true;
    default:
        return false;
    }
}

bool guest_lacked_memory(const struct guest *g)
{
    return g->lacked_memory;
}

void guest_lost(struct guest *g, const char *why)
{
    g->lost = true;
    if (!g->ended) /* otherwise all that the program wrote is here already */
        guest_abort(g, why);
}

void guest_abort(struct guest *g, const char *why)
{
    if (g->stream == 0)
        return;
    if (!g->lost && !g->ended)
        conn_send(g->conn, FRAME_RESET, 0, g->stream, NULL, 0);
    finish_failed(g, why);
}

static void on_pump_done(void *arg)
{
    loop_quit(((struct guest *)arg)->loop); /* guest_wait_end looks whether all is done */
}

/* The exit status may overtake what our own reader has not taken yet: wait for that too. */
void guest_wait_end(struct guest *g)
{
    while (!g->ended)
        loop_run(g->loop);
    if (g->failed)
        return;
    output_eof(&g->out);
    output_eof(&g->err);
    while (!(is_drained(&g->out) && is_drained(&g->err)) && !g->failed)
        loop_run(g->loop);
}

/* The program's end does not tell of its output that was lost on our side. */
static void check_written(struct guest *g)
{
    int out = sink_error(g->out.sink), err = g->err.sink ? sink_error(g->err.sink) : 0;

    if (g->failed || (!out && !err))
        return;
    g->failed = true;
    err_set(g->error, "cannot write the command's output to %s: %s", out ? "stdout" : "stderr",
            strerror(out ? out : err));
}

int guest_start(struct guest *g, const struct buf *body, struct err *e)
{
    if (g->lost)
        return err_set(e, "the connection to the VM is closed");
    if (body->len > OPEN_BODY_MAX)
        return err_set(e, "arguments and environment are larger than %d bytes", OPEN_BODY_MAX);
    g->stream = g->next_stream++;
    g->ended = g->failed = g->detached = false;
    g->error = e;
    g->status = (struct exit_status){0};
    conn_send_open(g->conn, g->stream, body);
    return 0;
}

int guest_end(struct guest *g)
{
    g->stream = 0;
    g->error = NULL;
    return g->failed ? -1 : 0;
}

static void open_outputs(struct guest *g, const struct guest_stdio *io)
{
    output_open(g, &g->out, LANE_OUT, io->out, io->raw, on_pump_done);
    if (io->tty)
        return;
    output_open(g, &g->err, LANE_ERR, io->err, io->raw, on_pump_done);
    if (g->out.filter && g->err.filter) /* or the parts of two harmless sequences make another */
        sink_take_turns(g->out.sink, g->err.sink);
}

int guest_run(struct guest *g, const struct buf *body, const struct guest_stdio *io,
              struct exit_status *status, struct err *e)
{
    if (guest_start(g, body, e) < 0)
        return -1;
    open_outputs(g, io);
    if (io->in >= 0)
        g->in = source_new(g->loop, g->conn, g->stream, LANE_IN, io->in, on_pump_done, g);
    else
        conn_send(g->conn, FRAME_EOF, LANE_IN, g->stream, NULL, 0);
    guest_wait_end(g);
    check_written(g);
    if (g->failed) {
        output_abandon(&g->out);
        output_abandon(&g->err);
    }
    source_free(steal_ptr(&g->in));
    output_close(&g->out);
    output_close(&g->err);
    *status = g->status;
    return guest_end(g);
}

int guest_exec(struct guest *g, const struct guest_program *p, const struct guest_stdio *io,
               struct exit_status *status, struct err *e)
{
    auto_buf struct buf body = BUF_INIT;
    uint16_t rows = 0, columns = 0;

    if (io->tty)
        tty_size(io->in, &rows, &columns);
    guest_exec_body(&body, p, io->tty, rows, columns);
    return guest_run(g, &body, io, status, e);
}

int guest_put(struct guest *g, const char *path, uint32_t mode, const char *user, const void *data,
              size_t len, struct err *e)
{
    auto_buf struct buf body = BUF_INIT;

    guest_put_body(&body, path, mode, user);
    if (guest_start(g, &body, e) < 0)
        return -1;
    g->data = data;
    g->left = len;
    g->credit = FLOW_WINDOW;
    if (len == 0)
        conn_send(g->conn, FRAME_EOF, LANE_IN, g->stream, NULL, 0);
    else
        send_data(g);
    guest_wait_end(g);
    g->left = 0;
    return guest_end(g);
}

void guest_signal(struct guest *g, int signal)
{
    if (g->stream && !g->ended)
        conn_send_u32(g->conn, FRAME_SIGNAL, 0, g->stream, (uint32_t)signal);
}

void guest_resize(struct guest *g, uint16_t rows, uint16_t columns)
{
    uint8_t payload[4];

    if (!g->stream || g->ended)
        return;
    put_u16(payload, rows);
    put_u16(payload + 2, columns);
    conn_send(g->conn, FRAME_RESIZE, 0, g->stream, payload, sizeof(payload));
}
