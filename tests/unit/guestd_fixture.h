/* guestd as a child on a socket, a client of it, and programs run there. */
#ifndef AGENTVM_TESTS_GUESTD_FIXTURE_H
#define AGENTVM_TESTS_GUESTD_FIXTURE_H

#include "helpers.h"

#include <limits.h>
#include <poll.h>
#include <signal.h>

#include "channel/fields.h"
#include "guest/exec.h"
#include "proc/sock.h"
#include "proc/spawn.h"

struct fixture {
    struct loop *loop;
    struct conn *conn;
    struct guest *guest;
    struct child guestd;
    char *dir;
    bool greeted, lost;
    struct buf raw; /* frames of streams from RAW_STREAM on, as text */
    /* The running program's output, and what to do when it says so. */
    int out[2], err[2];
    struct loop_watch *out_watch, *err_watch;
    struct buf output, errors;
    const char *cue;
    void (*on_cue)(struct fixture *f);
    int pty; /* what types into the program's terminal or pipe, or -1 */
};

enum { RAW_STREAM = 1000000 };

static inline void on_frame(void *arg, struct conn *c, const struct frame *f)
{
    struct fixture *x = arg;
    char *why = NULL;

    (void)c;
    if (!x->greeted) {
        assert_int_equal(conn_check_hello(f, "guestd", &why), 0);
        x->greeted = true;
    } else if (f->stream >= RAW_STREAM) {
        buf_printf(&x->raw, "%u/%u ", f->type, f->stream - RAW_STREAM);
        if (f->type == FRAME_ERROR)
            buf_printf(&x->raw, "%u %.*s", get_u32(f->payload), (int)f->len - 4,
                       (const char *)f->payload + 4);
        else if (f->type == FRAME_EXIT)
            buf_printf(&x->raw, "%u %u", get_u32(f->payload), get_u32(f->payload + 4));
        buf_puts(&x->raw, ";");
    } else {
        assert_true(guest_frame(x->guest, f));
    }
}

static inline void on_closed(void *arg, struct conn *c, const char *why)
{
    struct fixture *x = arg;

    (void)c;
    x->lost = true;
    guest_lost(x->guest, why ? why : "guestd ended");
}

static inline void collect(struct fixture *f, int fd, struct buf *to, struct loop_watch **watch)
{
    char block[65536];
    ssize_t n = read(fd, block, sizeof(block));

    if (n > 0)
        buf_append(to, block, (size_t)n);
    else
        loop_unwatch(steal_ptr(watch));
    if (f->cue && strstr(f->output.data, f->cue)) {
        f->cue = NULL;
        f->on_cue(f);
    }
}

static inline void on_out(void *arg, short events)
{
    struct fixture *f = arg;

    (void)events;
    collect(f, f->out[0], &f->output, &f->out_watch);
}

static inline void on_err(void *arg, short events)
{
    struct fixture *f = arg;

    (void)events;
    collect(f, f->err[0], &f->errors, &f->err_watch);
}

static inline void start_guestd(struct fixture *f, int fd)
{
    char self[PATH_MAX] = {0};
    auto_free char *path = NULL;
    char *argv[] = {NULL, "--fd", "3", NULL};
    struct spawn_request r = {.argv = argv, .cwd = f->dir, .death_signal = SIGKILL};
    auto_err struct err e = ERR_INIT;

    assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
    *strrchr(self, '/') = '\0';
    path = mem_printf("%s/../agentvm-guestd", self);
    argv[0] = path;
    spawn_pass_fd(&r, fd, 3);
    spawn_pass_fd(&r, 2, 2);
    ASSERT_OK(e, spawn_start(&r, &f->guestd, &e));
    close(fd);
}

/* A request without effect: when it is answered, guestd is through with those before. */
static inline void sync_guestd(struct fixture *f)
{
    auto_buf struct buf body = BUF_INIT;

    field_put_u32(&body, TAG_KIND, OPEN_PERSONALIZE);
    f->raw.len = 0;
    conn_send_open(f->conn, RAW_STREAM, &body);
    WAIT_FOR(f->loop, f->raw.len > 0);
    assert_string_equal(f->raw.data, "10/0 0 0;");
    f->raw.len = 0;
}

static inline int set_up(void **state)
{
    struct fixture *f = mem_zalloc(1, sizeof(*f));
    struct conn_events ev = {on_frame, on_closed, f};
    int pair[2];

    signal(SIGPIPE, SIG_IGN);
    alarm(50); /* guest_exec has no deadline of its own */
    f->dir = scratch_make();
    f->pty = -1;
    assert_int_equal(sock_pair(pair, NULL), 0);
    start_guestd(f, pair[1]);
    f->loop = loop_new();
    f->conn = conn_new(f->loop, pair[0], true, &ev);
    f->guest = guest_new(f->loop, f->conn);
    buf_puts(&f->raw, "");
    conn_send_hello(f->conn);
    WAIT_FOR(f->loop, f->greeted);
    *state = f;
    return 0;
}

static inline int tear_down(void **state)
{
    struct fixture *f = *state;
    struct exit_status status;

    guest_free(f->guest);
    conn_free(f->conn);
    loop_free(f->loop);
    assert_int_equal(spawn_wait(&f->guestd, clock_ms() + TEST_DEADLINE_MS, &status, NULL), 0);
    assert_int_equal(exit_status_code(status), 0); /* and the sanitizer had nothing to say */
    buf_free(&f->raw);
    buf_free(&f->output);
    buf_free(&f->errors);
    close_fd(&f->pty);
    scratch_remove(f->dir);
    free(f);
    return 0;
}

static inline void open_output(struct fixture *f)
{
    buf_free(&f->output);
    buf_free(&f->errors);
    buf_puts(&f->output, "");
    buf_puts(&f->errors, "");
    assert_int_equal(pipe2(f->out, O_CLOEXEC), 0);
    assert_int_equal(pipe2(f->err, O_CLOEXEC), 0);
    f->out_watch = loop_watch(f->loop, f->out[0], POLLIN, on_out, f);
    f->err_watch = loop_watch(f->loop, f->err[0], POLLIN, on_err, f);
}

static inline void close_output(struct fixture *f)
{
    close(f->out[1]);
    close(f->err[1]);
    WAIT_FOR(f->loop, !f->out_watch && !f->err_watch);
    close(f->out[0]);
    close(f->err[0]);
}

static inline int exec_argv(struct fixture *f, char *const *argv, int in, bool tty,
                            struct exit_status *status, struct err *e)
{
    char *const env[] = {"GREETING=hello world", NULL};
    struct guest_program p = {.argv = argv, .env = env, .cwd = f->dir};
    struct guest_stdio io = {.in = in, .tty = tty};
    int rc;

    open_output(f);
    io.out = f->out[1];
    io.err = f->err[1];
    rc = guest_exec(f->guest, &p, &io, status, e);
    close_output(f);
    return rc;
}

/* Runs sh -c SCRIPT; returns the exit code a shell would show. */
static inline int exec_script(struct fixture *f, const char *script, int in, bool tty)
{
    char *const argv[] = {"sh", "-c", (char *)script, NULL};
    auto_err struct err e = ERR_INIT;
    struct exit_status status;

    ASSERT_OK(e, exec_argv(f, argv, in, tty, &status, &e));
    return exit_status_code(status);
}

#endif
