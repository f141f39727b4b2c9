/* A TCP connection to a port of the guest, for one that the host accepted; or one of the guest's
 * programs to the host's ssh-agent, which the host awaits with a stream that it opened before.
 *
 * Each direction ends on its own: what one side closes for writing is closed for reading on the
 * other.  The stream ends when both have. */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "channel/pump.h"
#include "guestd/server.h"
#include "guestd/user.h"
#include "proc/sock.h"

enum {
    FILES_MAX = 4096, /* poll(2) takes no more entries than files: two for a connection */
    RETRY_MS = 250,   /* after accept(2) found no descriptor or no memory */
};

struct connect {
    struct stream stream;
    uint32_t port;
    int family;
    int fd;
    struct loop_watch *watch; /* until the connection stands */
    struct loop_timer *end, *retry;
    struct sink *in; /* NULL until then */
    struct source *out;
};

static void end_stream(void *arg)
{
    struct connect *c = arg;

    c->end = NULL;
    stream_ok(&c->stream);
}

/* The pumps may not be freed while they say that they are done. */
static void check_end(struct connect *c)
{
    if (!c->end && sink_is_done(c->in) && source_is_done(c->out))
        c->end = loop_timer(c->stream.server->loop, 0, end_stream, c);
}

static void on_input_done(void *arg)
{
    struct connect *c = arg;

    shutdown(c->fd, SHUT_WR);
    check_end(c);
}

static void on_output_done(void *arg)
{
    check_end(arg);
}

static void start_pumps(struct connect *c)
{
    struct server *srv = c->stream.server;

    c->in = sink_new(srv->loop, srv->conn, c->stream.id, LANE_IN, c->fd, on_input_done, c);
    c->out = source_new(srv->loop, srv->conn, c->stream.id, LANE_OUT, c->fd, on_output_done, c);
    sink_set_window(c->in, CONNECT_WINDOW);
    source_set_window(c->out, CONNECT_WINDOW, CONNECT_WINDOW);
    conn_send_u32(srv->conn, FRAME_CREDIT, LANE_IN, c->stream.id, CONNECT_WINDOW);
}

static void on_connected(void *arg, short events);

/* Begins to connect.  Returns 0, or an errno. */
static int begin(struct connect *c)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)c->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6,
                              .sin6_port = htons((uint16_t)c->port),
                              .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int rc;

    c->fd = socket(c->family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (c->fd < 0)
        return errno;
    rc = c->family == AF_INET ? connect(c->fd, (struct sockaddr *)&v4, sizeof(v4))
                              : connect(c->fd, (struct sockaddr *)&v6, sizeof(v6));
    if (rc < 0 && errno != EINPROGRESS)
        return errno;
    c->watch = loop_watch(c->stream.server->loop, c->fd, POLLOUT, on_connected, c);
    return 0;
}

/* A listener may have one of the two addresses only: who is refused at 127.0.0.1 tries ::1. */
static void go_on(struct connect *c, int errnum)
{
    auto_err struct err e = ERR_INIT;

    if (errnum == ECONNREFUSED && c->family == AF_INET) {
        close_fd(&c->fd);
        c->family = AF_INET6;
        errnum = begin(c) ? ECONNREFUSED : 0; /* where there is no IPv6, that is not the fault */
    }
    if (errnum == 0)
        return;
    err_errno(&e, errnum, "cannot connect to port %u", c->port);
    stream_error(&c->stream, &e);
}

static void on_connected(void *arg, short events)
{
    struct connect *c = arg;
    int errnum = 0;
    socklen_t len = sizeof(errnum);

    (void)events;
    loop_unwatch(steal_ptr(&c->watch));
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &errnum, &len) < 0)
        errnum = errno;
    if (errnum)
        go_on(c, errnum);
    else
        start_pumps(c);
}

/* Whoever is connected sees that it was not an ordinary end. */
static void abort_connection(struct connect *c)
{
    struct linger none = {.l_onoff = 1, .l_linger = 0};

    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
    stream_ok(&c->stream);
}

static void connect_frame(struct stream *s, const struct frame *f)
{
    struct connect *c = (struct connect *)s;
    auto_err struct err e = ERR_INIT;

    if (f->type == FRAME_RESET) {
        abort_connection(c);
    } else if (!c->in) {
        err_set(&e, "the connection does not stand yet");
        stream_error(s, &e);
    } else if (f->type == FRAME_DATA && !sink_data(c->in, f->payload, f->len)) {
        err_set(&e, "more data than the window allows");
        stream_error(s, &e);
    } else if (f->type == FRAME_EOF) {
        sink_eof(c->in);
    } else if (f->type == FRAME_STOP) {
        source_stop(c->out);
    } else if (f->type == FRAME_CREDIT && f->len == 4) {
        source_credit(c->out, get_u32(f->payload));
    }
}

static void connect_release(struct stream *s)
{
    struct connect *c = (struct connect *)s;

    loop_unwatch(c->watch);
    loop_untimer(c->end);
    loop_untimer(c->retry);
    sink_free(c->in);
    source_free(c->out);
    close_fd(&c->fd);
}

static const struct stream_ops connect_ops = {.frame = connect_frame, .release = connect_release};

void connect_open(struct stream *s, struct field_reader r)
{
    struct connect *c = stream_become(s, sizeof(*c), &connect_ops);
    struct server *srv = c->stream.server;
    auto_err struct err e = ERR_INIT;
    struct field f;

    c->fd = -1;
    c->family = AF_INET;
    while (field_next(&r, &f))
        if (f.tag == TAG_PORT)
            c->port = field_u32(&f, 0);
    if (r.malformed || c->port == 0 || c->port > UINT16_MAX) {
        err_set(&e, "malformed request to connect");
        stream_error(&c->stream, &e);
        return;
    }
    if (!srv->files_limit) {
        srv->files_limit = file_limit();
        file_raise_limit(FILES_MAX);
    }
    go_on(c, begin(c));
}

/* ---- the host's ssh-agent ------------------------------------------------------------------- */

static void accept_again(void *arg)
{
    struct connect *c = arg;

    c->retry = NULL;
    loop_watch_events(c->watch, POLLIN);
}

/* Want of descriptors or memory passes, and the program waits; the host would take an error as the
 * end of all forwarding. */
static void on_program(void *arg, short events)
{
    struct connect *c = arg;
    auto_err struct err e = ERR_INIT;

    (void)events;
    c->fd = accept4(c->stream.server->ssh_listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (c->fd >= 0) {
        loop_unwatch(steal_ptr(&c->watch));
        start_pumps(c);
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        loop_watch_events(c->watch, 0);
        c->retry = loop_timer(c->stream.server->loop, RETRY_MS, accept_again, c);
    } else if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR) {
        err_errno(&e, errno, "cannot accept a connection to the ssh-agent");
        stream_error(&c->stream, &e);
    }
}

/* Listens where the user's programs, and root's, find it. */
static int listen_for(struct server *srv, const char *path, const char *user, struct err *e)
{
    auto_user struct user u = {0};
    auto_close int fd = -1;

    if (user_find(user, &u, e) < 0 || user_make_parents(&u, path, e) < 0)
        return -1;
    unlink(path);
    fd = sock_listen(path, e);
    if (fd < 0)
        return -1;
    if (srv->in_guest && lchown(path, u.uid, u.gid) < 0)
        return err_errno(e, errno, "cannot give %s to %s", path, user);
    srv->ssh_auth_sock = mem_strdup(path);
    srv->ssh_listener = steal_fd(&fd);
    return 0;
}

void ssh_agent_open(struct stream *s, struct field_reader r)
{
    struct connect *c = stream_become(s, sizeof(*c), &connect_ops);
    struct server *srv = c->stream.server;
    auto_free char *path = NULL, *user = NULL;
    auto_err struct err e = ERR_INIT;
    struct field f;

    c->fd = -1;
    while (field_next(&r, &f)) {
        if (f.tag == TAG_PATH && !path)
            path = field_str(&f);
        else if (f.tag == TAG_USER && !user)
            user = field_str(&f);
    }
    if (r.malformed || !path || !user)
        err_set(&e, "malformed request for an ssh-agent");
    else if (srv->ssh_listener < 0)
        listen_for(srv, path, user, &e);
    if (e.msg)
        stream_error(&c->stream, &e);
    else
        c->watch = loop_watch(srv->loop, srv->ssh_listener, POLLIN, on_program, c);
}
