#include "guestd/server.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

static struct stream **find_stream(struct server *srv, uint32_t id)
{
    struct stream **s = &srv->streams;

    while (*s && (*s)->id != id)
        s = &(*s)->next;
    return s;
}

static void remove_stream(struct stream *s)
{
    struct stream **link = find_stream(s->server, s->id);

    *link = s->next;
    if (s->ops)
        s->ops->release(s);
    buf_free(&s->body);
    free(s);
}

void stream_exit(struct stream *s, enum exit_bits bits, int code)
{
    uint8_t payload[8];

    put_u32(payload, bits);
    put_u32(payload + 4, (uint32_t)code);
    conn_send(s->server->conn, FRAME_EXIT, 0, s->id, payload, sizeof(payload));
    remove_stream(s);
}

void stream_ok(struct stream *s)
{
    stream_exit(s, 0, 0);
}

void stream_error(struct stream *s, const struct err *e)
{
    auto_buf struct buf payload = BUF_INIT;
    uint8_t code[4];

    put_u32(code, (uint32_t)err_exit_code(e));
    buf_append(&payload, code, sizeof(code));
    buf_puts(&payload, err_msg(e));
    if (payload.len > FRAME_PAYLOAD_MAX)
        payload.len = FRAME_PAYLOAD_MAX;
    conn_send(s->server->conn, FRAME_ERROR, 0, s->id, payload.data, payload.len);
    remove_stream(s);
}

void *stream_become(struct stream *s, size_t size, const struct stream_ops *ops)
{
    struct stream **link = find_stream(s->server, s->id);
    struct stream *kind = mem_zalloc(1, size);

    *kind = *s;
    kind->ops = ops;
    *link = kind;
    free(s);
    return kind;
}

/* The opener reads the body while the stream itself is replaced or gone. */
static void open_stream(struct stream *s)
{
    static void (*const openers[])(struct stream *, struct field_reader) = {
        [OPEN_EXEC] = exec_open,
        [OPEN_PUT] = put_open,
        [OPEN_PERSONALIZE] = personalize_open,
        [OPEN_SHUTDOWN] = shutdown_open,
        [OPEN_SUSPEND] = suspend_open,
        [OPEN_CLOCK] = clock_open,
        [OPEN_PORTS] = ports_open,
        [OPEN_CONNECT] = connect_open,
        [OPEN_SSH_AGENT] = ssh_agent_open,
    };
    auto_buf struct buf body = s->body;
    struct field_reader r = field_reader(body.data, body.len);
    auto_err struct err e = ERR_INIT;
    struct field f;
    uint32_t kind;

    s->body = BUF_INIT;
    if (!field_next(&r, &f) || f.tag != TAG_KIND) {
        err_set(&e, "malformed request");
        stream_error(s, &e);
        return;
    }
    kind = field_u32(&f, 0);
    if (kind == 0 || kind >= ARRAY_LEN(openers)) {
        err_set(&e, "unknown kind of request: %u", kind);
        stream_error(s, &e);
        return;
    }
    openers[kind](s, r);
}

static void collect_body(struct server *srv, const struct frame *f)
{
    struct stream *s = *find_stream(srv, f->stream);
    auto_err struct err e = ERR_INIT;

    if (s && s->ops) {
        log_warn("stream %u is open already", f->stream);
        return;
    }
    if (!s) {
        s = mem_zalloc(1, sizeof(*s));
        *s = (struct stream){.next = srv->streams, .server = srv, .id = f->stream};
        srv->streams = s;
    }
    s->oversize = s->oversize || s->body.len + f->len > OPEN_BODY_MAX;
    if (s->oversize)
        buf_free(&s->body);
    else
        buf_append(&s->body, f->payload, f->len);
    if (f->type != FRAME_OPEN)
        return;
    if (s->oversize) { /* said at its last piece: those that follow would open another stream */
        err_set(&e, "request larger than %d bytes", OPEN_BODY_MAX);
        stream_error(s, &e);
    } else {
        open_stream(s);
    }
}

static void on_frame(void *arg, struct conn *c, const struct frame *f)
{
    struct server *srv = arg;
    struct stream *s;

    (void)c;
    switch (f->type) {
    case FRAME_HELLO: /* the host checks ours */
        if (srv->suspended)
            conn_send_hello(srv->conn);
        srv->suspended = false;
        return;
    case FRAME_OPEN_PART:
    case FRAME_OPEN:
        if (f->stream != 0)
            collect_body(srv, f);
        return;
    case FRAME_DATA:
    case FRAME_EOF:
    case FRAME_STOP:
    case FRAME_CREDIT:
    case FRAME_SIGNAL:
    case FRAME_RESIZE:
    case FRAME_RESET:
        s = *find_stream(srv, f->stream);
        if (s && s->ops)
            s->ops->frame(s, f);
        else if (s && f->type == FRAME_RESET)
            stream_exit(s, EXIT_BIT_SIGNALED, SIGKILL);
        return; /* frames for a stream that just ended are normal: they crossed its end */
    default:
        log_warn("unexpected frame of type %u", f->type);
    }
}

static void on_closed(void *arg, struct conn *c, const char *why)
{
    struct server *srv = arg;

    (void)c;
    if (why)
        log_warn("connection to the host: %s", why);
    loop_quit(srv->loop);
}

void server_give_up(struct server *srv, const struct err *why)
{
    log_error("%s", err_msg(why));
    loop_quit(srv->loop);
}

int server_run(int fd, bool in_guest)
{
    struct server srv = {.loop = loop_new(), .in_guest = in_guest, .ssh_listener = -1};
    struct conn_events ev = {.frame = on_frame, .closed = on_closed, .arg = &srv};

    signal(SIGPIPE, SIG_IGN);
    srv.conn = conn_new(srv.loop, fd, !in_guest, &ev);
    conn_send_hello(srv.conn);
    loop_run(srv.loop);
    while (srv.streams)
        remove_stream(srv.streams);
    conn_free(srv.conn);
    loop_free(srv.loop);
    strv_free(&srv.mounts);
    buf_free(&srv.unkept);
    close_fd(&srv.ssh_listener);
    free(srv.ssh_auth_sock);
    return 0;
}
