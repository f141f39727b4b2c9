#include "guest/exec.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "channel/pump.h"
#include "proc/tty.h"

struct guest {
    struct loop *loop;
    struct conn *conn;
    uint32_t next_stream;
    bool lost;
    /* The request that runs; stream is 0 while there is none. */
    uint32_t stream;
    struct source *in;
    struct sink *out, *err;
    bool ended, failed;
    struct exit_status status;
    struct err *error; /* the caller's; set if failed */
    const char *data;  /* what guest_put still has to send */
    size_t left;
    uint32_t credit;
};

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

        g->status = (struct exit_status){get_u32(f->payload) != 0, (int)(code & 0xff)};
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

bool guest_frame(struct guest *g, const struct frame *f)
{
    struct sink *sink = f->lane == LANE_ERR ? g->err : f->lane == LANE_OUT ? g->out : NULL;

    if (g->stream == 0 || f->stream != g->stream)
        return true; /* late frames of a request that was given up */
    switch (f->type) {
    case FRAME_DATA:
        return sink && sink_data(sink, f->payload, f->len);
    case FRAME_EOF:
        if (sink)
            sink_eof(sink);
        return sink != NULL;
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
    default:
        return false;
    }
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
    loop_quit(((struct guest *)arg)->loop); /* wait_end looks whether all is done */
}

static bool is_drained(const struct guest *g)
{
    return (!g->out || sink_is_done(g->out)) && (!g->err || sink_is_done(g->err));
}

/* The exit status may overtake what our own reader has not taken yet: wait for that too. */
static void wait_end(struct guest *g)
{
    while (!g->ended)
        loop_run(g->loop);
    if (g->failed)
        return;
    if (g->out)
        sink_eof(g->out);
    if (g->err)
        sink_eof(g->err);
    while (!is_drained(g) && !g->failed)
        loop_run(g->loop);
}

/* The program's end does not tell of its output that was lost on our side. */
static void check_written(struct guest *g)
{
    int out = sink_error(g->out), err = g->err ? sink_error(g->err) : 0;

    if (g->failed || (!out && !err))
        return;
    g->failed = true;
    err_set(g->error, "cannot write the command's output to %s: %s", out ? "stdout" : "stderr",
            strerror(out ? out : err));
}

static int start(struct guest *g, const struct buf *body, struct err *e)
{
    if (g->lost)
        return err_set(e, "the connection to the VM is closed");
    if (body->len > OPEN_BODY_MAX)
        return err_set(e, "arguments and environment are larger than %d bytes", OPEN_BODY_MAX);
    g->stream = g->next_stream++;
    g->ended = g->failed = false;
    g->error = e;
    g->status = (struct exit_status){0};
    conn_send_open(g->conn, g->stream, body);
    return 0;
}

static int end(struct guest *g)
{
    g->stream = 0;
    g->error = NULL;
    return g->failed ? -1 : 0;
}

int guest_exec(struct guest *g, const struct guest_program *p, const struct guest_stdio *io,
               struct exit_status *status, struct err *e)
{
    auto_buf struct buf body = BUF_INIT;
    uint16_t rows = 0, columns = 0;

    if (io->tty)
        tty_size(io->in, &rows, &columns);
    guest_exec_body(&body, p, io->tty, rows, columns);
    if (start(g, &body, e) < 0)
        return -1;
    g->out = sink_new(g->loop, g->conn, g->stream, LANE_OUT, io->out, on_pump_done, g);
    if (!io->tty)
        g->err = sink_new(g->loop, g->conn, g->stream, LANE_ERR, io->err, on_pump_done, g);
    if (io->in >= 0)
        g->in = source_new(g->loop, g->conn, g->stream, LANE_IN, io->in, on_pump_done, g);
    else
        conn_send(g->conn, FRAME_EOF, LANE_IN, g->stream, NULL, 0);
    wait_end(g);
    check_written(g);
    source_free(steal_ptr(&g->in));
    sink_free(steal_ptr(&g->out));
    sink_free(steal_ptr(&g->err));
    *status = g->status;
    return end(g);
}

int guest_put(struct guest *g, const char *path, uint32_t mode, const char *user, const void *data,
              size_t len, struct err *e)
{
    auto_buf struct buf body = BUF_INIT;

    guest_put_body(&body, path, mode, user);
    if (start(g, &body, e) < 0)
        return -1;
    g->data = data;
    g->left = len;
    g->credit = FLOW_WINDOW;
    if (len == 0)
        conn_send(g->conn, FRAME_EOF, LANE_IN, g->stream, NULL, 0);
    else
        send_data(g);
    wait_end(g);
    g->left = 0;
    return end(g);
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
