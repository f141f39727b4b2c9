/* Programs on behalf of the host, with pipes or on a terminal of their own.
 *
 * The stream ends when the program has ended and what it wrote by then is sent; a background
 * process that still holds the pipes does not keep it open. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "channel/pump.h"
#include "guestd/server.h"
#include "guestd/terminal.h"
#include "guestd/user.h"
#include "proc/spawn.h"

enum {
    KILL_GRACE_MS = 2000, /* between SIGHUP and SIGKILL when the host gives up a stream */
    ENV_FILE_MAX = 1 << 20,
    PIPE_BYTES = 1 << 20, /* pipe-max-size of an unchanged kernel */
};

struct exec {
    struct stream stream;
    struct child child;
    struct loop_watch *child_watch;
    struct loop_timer *kill_timer;
    struct exit_status status;
    uint64_t oom_kills; /* when it was started */
    bool ended;
    int in_fd, out_fd, err_fd; /* our ends; of a terminal in_fd is the master, out_fd its dup */
    bool tty;
    struct sink *in;
    struct source *out, *err;
};

/* The request, as fields say it. */
struct request {
    struct strv argv, env;
    char *env_file, *cwd, *user;
    bool tty, notify;
    uint32_t size; /* rows << 16 | columns */
    bool bad;
};

static void request_free(struct request *q)
{
    strv_free(&q->argv);
    strv_free(&q->env);
    free(q->env_file);
    free(q->cwd);
    free(q->user);
}

static void take_string(struct request *q, char **slot, const struct field *f)
{
    free(*slot);
    *slot = field_str(f);
    if (!*slot)
        q->bad = true;
}

static void take_item(struct request *q, struct strv *list, const struct field *f)
{
    char *s = field_str(f);

    if (s)
        strv_take(list, s);
    else
        q->bad = true;
}

static void request_parse(struct request *q, struct field_reader r)
{
    struct field f;

    while (field_next(&r, &f)) {
        switch (f.tag) {
        case TAG_ARG:
            take_item(q, &q->argv, &f);
            break;
        case TAG_ENV:
            take_item(q, &q->env, &f);
            break;
        case TAG_ENV_FILE:
            take_string(q, &q->env_file, &f);
            break;
        case TAG_CWD:
            take_string(q, &q->cwd, &f);
            break;
        case TAG_USER:
            take_string(q, &q->user, &f);
            break;
        case TAG_TTY:
            q->tty = true;
            q->size = field_u32(&f, 0);
            break;
        case TAG_NOTIFY:
            q->notify = field_u32(&f, 0) != 0;
            break;
        default: /* from a newer host: optional by definition */
            break;
        }
    }
    q->bad = q->bad || r.malformed || q->argv.n == 0;
}

static void set_entry(struct strv *env, const char *entry)
{
    auto_free char *name = mem_strdup(entry);
    char *value = strchr(name, '=');

    if (!value || value == name)
        return;
    *value++ = '\0';
    strv_setenv(env, name, value);
}

/* Applies the NUL-separated entries that the project's runtime script left. */
static int read_env_file(const char *path, struct strv *env, struct err *e)
{
    auto_buf struct buf text = BUF_INIT;

    if (file_read_at(AT_FDCWD, path, ENV_FILE_MAX, &text, e) < 0)
        return -1;
    for (size_t at = 0; at < text.len; at += strlen(text.data + at) + 1)
        set_entry(env, text.data + at);
    return 0;
}

static int build_environment(const struct server *srv, const struct request *q,
                             const struct user *u, struct strv *env, struct err *e)
{
    user_environment(u, env);
    if (srv->ssh_auth_sock)
        strv_setenv(env, "SSH_AUTH_SOCK", srv->ssh_auth_sock);
    for (size_t i = 0; i < q->env.n; i++)
        set_entry(env, q->env.v[i]);
    if (q->env_file && read_env_file(q->env_file, env, e) < 0)
        return -1;
    if (q->tty)
        terminal_set_name(u, env);
    return 0;
}

/* Pipes: child_fds get the program's ends of stdin, stdout and stderr. */
static int open_pipes(struct exec *x, int child_fds[3], struct err *e)
{
    int *mine[3] = {&x->in_fd, &x->out_fd, &x->err_fd};

    for (int i = 0; i < 3; i++) {
        int p[2];

        if (pipe2(p, O_CLOEXEC) < 0)
            return err_errno(e, errno, "cannot create a pipe");
        *mine[i] = p[i == 0 ? 1 : 0];
        child_fds[i] = p[i == 0 ? 0 : 1];
        file_set_nonblock(*mine[i], true, NULL);
        fcntl(*mine[i], F_SETPIPE_SZ, PIPE_BYTES); /* fewer turns; the default does too */
    }
    return 0;
}

static int open_streams(struct exec *x, const struct request *q, const struct user *u,
                        int child_fds[3], struct err *e)
{
    if (!q->tty)
        return open_pipes(x, child_fds, e);
    child_fds[0] = terminal_open(u, x->stream.server->in_guest, q->size, &x->in_fd, e);
    if (child_fds[0] < 0)
        return -1;
    x->out_fd = fcntl(x->in_fd, F_DUPFD_CLOEXEC, 3);
    return 0;
}

static int start(struct exec *x, const struct request *q, struct err *e)
{
    auto_user struct user u = {0};
    auto_strv struct strv env = STRV_INIT;
    struct spawn_request r = {0};
    int child_fds[3] = {-1, -1, -1}, rc;

    if (user_find(q->user ? q->user : "root", &u, e) < 0 ||
        build_environment(x->stream.server, q, &u, &env, e) < 0)
        return -1;
    rc = open_streams(x, q, &u, child_fds, e);
    if (rc == 0) {
        r = (struct spawn_request){.argv = q->argv.v,
                                   .path = strv_getenv(&env, "PATH"),
                                   .env = env.v,
                                   .cwd = q->cwd ? q->cwd : u.home,
                                   .files_limit = x->stream.server->files_limit,
                                   .new_session = true,
                                   .ctty = q->tty,
                                   .led = q->tty,
                                   .set_ids = x->stream.server->in_guest,
                                   .uid = u.uid,
                                   .gid = u.gid,
                                   .groups = u.groups,
                                   .ngroups = u.ngroups};
        for (int i = 0; i < 3; i++)
            spawn_pass_fd(&r, child_fds[q->tty ? 0 : i], i);
        rc = spawn_start(&r, &x->child, e);
    }
    for (int i = 0; i < 3; i++)
        close_fd(&child_fds[i]);
    return rc;
}

static void check_end(struct exec *x)
{
    enum exit_bits bits = 0;

    if (!x->ended || !source_is_done(x->out) || (!x->tty && !source_is_done(x->err)))
        return;
    if (x->status.signaled)
        bits |= EXIT_BIT_SIGNALED;
    if (memory_oom_kills() > x->oom_kills)
        bits |= EXIT_BIT_OOM;
    stream_exit(&x->stream, bits, x->status.code);
}

static void on_output_done(void *arg)
{
    (void)arg; /* the end of the program decides; see on_child_end */
}

/* The sources may end inside source_finish or later, when the host gives credit: both look here. */
static void on_child_end(void *arg, short events)
{
    struct exec *x = arg;

    (void)events;
    loop_unwatch(x->child_watch);
    x->child_watch = NULL;
    spawn_reap(&x->child, &x->status, NULL);
    x->ended = true;
    source_finish(x->out);
    if (!x->tty)
        source_finish(x->err);
    check_end(x);
}

static void on_input_done(void *arg)
{
    struct exec *x = arg;

    if (x->tty) /* closing the master would hang up; end of input is the terminal's own character */
        return;
    close_fd(&x->in_fd);
}

/* The terminal's process group in the foreground, where there is one. */
static void signal_foreground(struct exec *x, int signo)
{
    pid_t group = tcgetpgrp(x->in_fd);

    kill(group > 0 ? -group : x->child.pid, signo);
}

static void kill_group(void *arg)
{
    struct exec *x = arg;

    x->kill_timer = NULL;
    if (x->tty)
        signal_foreground(x, SIGKILL); /* the leader's end is the program's, but not its group's */
    spawn_signal(&x->child, SIGKILL);
}

static void send_signal(struct exec *x, uint32_t signo)
{
    if (x->ended || signo == 0 || signo >= (uint32_t)NSIG)
        return;
    if (x->tty)
        signal_foreground(x, (int)signo);
    else
        kill(-x->child.pid, (int)signo);
}

static void give_up(struct exec *x)
{
    source_stop(x->out);
    if (x->err)
        source_stop(x->err);
    if (x->ended || x->kill_timer)
        return;
    spawn_signal(&x->child, SIGHUP);
    spawn_signal(&x->child, SIGCONT);
    x->kill_timer = loop_timer(x->stream.server->loop, KILL_GRACE_MS, kill_group, x);
}

static void exec_frame(struct stream *s, const struct frame *f)
{
    struct exec *x = (struct exec *)s;
    struct source *source = f->lane == LANE_ERR && x->err ? x->err : x->out;

    switch (f->type) {
    case FRAME_DATA:
        sink_data(x->in, f->payload, f->len);
        break;
    case FRAME_EOF:
        if (x->tty && !x->ended) /* the host's stdin ended but it has a terminal: hang up */
            send_signal(x, SIGHUP);
        sink_eof(x->in);
        break;
    case FRAME_STOP:
        source_stop(source);
        if (x->tty) /* nobody reads the terminal any more: hang up, or the program blocks on it */
            send_signal(x, SIGHUP);
        if (source == x->out)
            close_fd(&x->out_fd);
        else
            close_fd(&x->err_fd);
        break;
    case FRAME_CREDIT:
        if (f->len == 4)
            source_credit(source, get_u32(f->payload));
        break;
    case FRAME_SIGNAL:
        if (f->len == 4)
            send_signal(x, get_u32(f->payload));
        break;
    case FRAME_RESIZE:
        if (x->tty && f->len == 4)
            terminal_set_size(x->in_fd,
                              (uint32_t)get_u16(f->payload) << 16 | get_u16(f->payload + 2));
        break;
    case FRAME_RESET:
        give_up(x);
        break;
    }
    check_end(x);
}

static void exec_release(struct stream *s)
{
    struct exec *x = (struct exec *)s;

    loop_unwatch(x->child_watch);
    loop_untimer(x->kill_timer);
    if (!x->ended)
        spawn_kill(&x->child, 0);
    sink_free(x->in);
    source_free(x->out);
    source_free(x->err);
    close_fd(&x->in_fd);
    close_fd(&x->out_fd);
    close_fd(&x->err_fd);
}

static const struct stream_ops exec_ops = {.frame = exec_frame, .release = exec_release};

static void attach_pumps(struct exec *x, bool notify)
{
    struct server *srv = x->stream.server;

    if (notify)
        conn_send(srv->conn, FRAME_STARTED, 0, x->stream.id, NULL, 0);
    x->in = sink_new(srv->loop, srv->conn, x->stream.id, LANE_IN, x->in_fd, on_input_done, x);
    x->out = source_new(srv->loop, srv->conn, x->stream.id, LANE_OUT, x->out_fd, on_output_done, x);
    if (!x->tty)
        x->err =
            source_new(srv->loop, srv->conn, x->stream.id, LANE_ERR, x->err_fd, on_output_done, x);
    x->child_watch = loop_watch(srv->loop, x->child.pidfd, POLLIN, on_child_end, x);
}

void exec_open(struct stream *s, struct field_reader r)
{
    struct exec *x = stream_become(s, sizeof(*x), &exec_ops);
    auto_err struct err e = ERR_INIT;
    struct request q = {0};

    x->child = CHILD_INIT;
    x->oom_kills = memory_oom_kills();
    x->in_fd = x->out_fd = x->err_fd = -1;
    request_parse(&q, r);
    x->tty = q.tty;
    if (q.bad)
        err_set(&e, "malformed exec request");
    else if (start(x, &q, &e) == 0)
        attach_pumps(x, q.notify);
    request_free(&q);
    if (e.msg) {
        x->ended = true;
        stream_error(&x->stream, &e);
    }
}
