#include "guest/emulator.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "channel/conn.h"
#include "guest/emulator_wire.h"
#include "proc/sock.h"
#include "proc/spawn.h"

enum {
    /* What may lie here for one that is stopped: a window of the guest's output in pieces of a byte
     * each, and then some. */
    QUEUE_MAX = 16 << 20,
    GRACE_MS = 1000,
};

struct emulator {
    struct loop *loop;
    struct emulator_events ev;
    unsigned rows, columns;
    unsigned starts;
    char *failure;
    struct child child;
    struct conn *conn; /* NULL: there is none any more */
    struct loop_timer *deadline;
    int64_t heard_ms;            /* when it did last what was waited for */
    int64_t late;                /* heard_ms for which the deadline passed once */
    unsigned pieces, paintings;  /* on the way */
    unsigned ahead;              /* of these pieces, those fed before the last painting */
    bool answered;               /* the piece that it has now */
    struct emulator_order order; /* the last */
    struct buf painting;         /* what came of one */
    size_t painting_max;
};

static void lose(struct emulator *m, const char *why);

/* ---- towards it ----------------------------------------------------------------------------- */

static void on_deadline(void *arg)
{
    struct emulator *m = arg;
    int64_t left = m->heard_ms + EMULATOR_DEADLINE_MS - clock_ms();

    m->deadline = NULL;
    if (m->pieces == 0 && m->paintings == 0)
        return;
    if (left <= 0 && m->late == m->heard_ms) {
        lose(m, "it did not answer in time");
        return;
    }
    /* Both of us may have been frozen meanwhile: then it gets its turn first. */
    if (left <= 0)
        m->late = m->heard_ms;
    m->deadline = loop_timer(m->loop, left > 0 ? (int)left : GRACE_MS, on_deadline, m);
}

/* Something is on the way that is to be answered. */
static void expect(struct emulator *m)
{
    if (m->pieces == 0 && m->paintings == 0)
        m->heard_ms = clock_ms();
    if (!m->deadline)
        m->deadline = loop_timer(m->loop, EMULATOR_DEADLINE_MS, on_deadline, m);
}

static void send_size(struct emulator *m, const struct terminal_modes *on)
{
    struct emulator_size size = {(uint16_t)m->rows, (uint16_t)m->columns, *on};

    conn_send(m->conn, FRAME_RESIZE, LANE_IN, 0, &size, sizeof(size));
}

static void send_order(struct emulator *m)
{
    size_t max = screen_painting_max(m->rows, m->columns);

    if (m->paintings == 0 || max > m->painting_max)
        m->painting_max = max;
    expect(m);
    m->paintings++;
    m->ahead = m->pieces;
    conn_send(m->conn, FRAME_OPEN, LANE_IN, 0, &m->order, sizeof(m->order));
}

void emulator_feed(struct emulator *m, const void *data, size_t len, bool asks)
{
    if (!m->conn || len == 0)
        return;
    expect(m);
    m->pieces++;
    conn_send(m->conn, FRAME_DATA, LANE_OUT, asks ? EMULATOR_ASKS : 0, data, len);
}

bool emulator_has_room(const struct emulator *m)
{
    return m->pieces < EMULATOR_ROOM;
}

void emulator_resize(struct emulator *m, unsigned rows, unsigned columns, struct terminal_modes *on)
{
    screen_fit(&rows, &columns);
    if (rows == m->rows && columns == m->columns)
        return;
    m->rows = rows;
    m->columns = columns;
    terminal_note_resize(on);
    if (m->conn)
        send_size(m, on);
}

void emulator_paint(struct emulator *m, const struct terminal_modes *on,
                    const struct terminal_modes *shown, bool scroll)
{
    m->order = (struct emulator_order){*on, *shown, scroll};
    if (m->conn)
        send_order(m);
}

/* ---- from it: none of this is believed ------------------------------------------------------ */

/* It answers in turn, so that it cannot put off a painting for pieces that came later. */

static bool take_answers(struct emulator *m, const struct frame *f)
{
    if (m->pieces == 0 || m->answered || f->len > SCREEN_ANSWERS_MAX)
        return false;
    m->answered = true;
    m->ev.answered(m->ev.arg, (const char *)f->payload, f->len);
    return true;
}

static bool take_credit(struct emulator *m)
{
    if (m->pieces == 0 || (m->paintings > 0 && m->ahead == 0))
        return false;
    m->pieces--;
    m->ahead -= m->paintings > 0;
    m->answered = false;
    m->heard_ms = clock_ms();
    m->ev.taken(m->ev.arg);
    return true;
}

static bool take_part(struct emulator *m, const struct frame *f)
{
    if (m->paintings == 0 || f->len == 0 || m->painting.len + f->len > m->painting_max)
        return false;
    buf_append(&m->painting, f->payload, f->len);
    return true;
}

static bool take_painting(struct emulator *m)
{
    auto_free struct terminal_filter *filter = mem_zalloc(1, sizeof(*filter));
    auto_buf struct buf painting = BUF_INIT, passed = BUF_INIT;

    if (m->paintings == 0 || (m->paintings == 1 && m->ahead > 0))
        return false;
    painting = m->painting;
    m->painting = BUF_INIT;
    m->heard_ms = clock_ms();
    if (--m->paintings > 0)
        return true; /* it was asked for again meanwhile */
    filter->on = m->order.shown;
    terminal_filter(filter, painting.data, painting.len, &passed);
    m->ev.painted(m->ev.arg, &passed, &filter->on);
    return true;
}

static bool take(struct emulator *m, const struct frame *f)
{
    if (f->type == FRAME_DATA)
        return f->lane == LANE_IN ? take_answers(m, f) : take_part(m, f);
    if (f->type == FRAME_CREDIT)
        return take_credit(m);
    return f->type == FRAME_EOF && take_painting(m);
}

static void on_frame(void *arg, struct conn *c, const struct frame *f)
{
    struct emulator *m = arg;

    (void)c;
    if (!take(m, f))
        lose(m, "it broke the protocol");
}

static void on_closed(void *arg, struct conn *c, const char *why)
{
    (void)c;
    lose(arg, why);
}

/* ---- its life ------------------------------------------------------------------------------- */

/* The program is this one, even where an update replaced its file. */
static int start(struct emulator *m, struct err *e)
{
    char *argv[] = {(char *)"/proc/self/exe", (char *)EMULATOR_COMMAND, NULL}, *env[] = {NULL};
    struct conn_events ev = {on_frame, on_closed, m};
    struct spawn_request r = {
        .argv = argv, .env = env, .cwd = "/", .death_signal = SIGKILL, .new_session = true};
    auto_close int mine = -1, theirs = -1;
    int pair[2];

    m->starts++;
    if (sock_pair(pair, e) < 0)
        return -1;
    mine = pair[0];
    theirs = pair[1];
    spawn_pass_fd(&r, theirs, EMULATOR_FD);
    if (spawn_start(&r, &m->child, e) < 0)
        return -1;
    m->conn = conn_new(m->loop, steal_fd(&mine), false, &ev);
    conn_limit(m->conn, QUEUE_MAX);
    send_size(m, &m->order.on);
    return 0;
}

/* Its own end says more than what was seen of it. */
static char *describe_end(struct exit_status status, const char *why)
{
    if (!status.signaled && status.code == EMULATOR_UNCONFINED)
        return mem_strdup("this system cannot confine it (there is no seccomp), and unconfined it "
                          "does not run");
    if (status.signaled && (status.code != SIGKILL || !why))
        return mem_printf("it was killed by SIG%s", sigabbrev_np(status.code));
    if (!status.signaled && status.code != 0)
        return mem_printf("it ended with code %d", status.code);
    return mem_strdup(why ? why : "it ended");
}

/* Ends it, whatever is left of it. */
static struct exit_status stop(struct emulator *m)
{
    struct exit_status status = {0};

    conn_free(steal_ptr(&m->conn));
    loop_untimer(steal_ptr(&m->deadline));
    if (m->child.pid > 0) {
        spawn_signal(&m->child, SIGKILL);
        spawn_reap(&m->child, &status, NULL);
    }
    buf_free(&m->painting);
    return status;
}

static void tell(struct emulator *m, const char *why, bool again)
{
    auto_free char *line =
        mem_printf("the emulator of the agent's terminal is gone: %s; %s", why,
                   again ? "a new one begins with an empty screen"
                         : "the agent runs on, but nobody can attach to it any more; agentvm logs "
                           "-f shows what it writes");

    if (!again)
        m->failure = mem_strdup(line);
    m->ev.lost(m->ev.arg, line);
}

static void begin(struct emulator *m)
{
    auto_err struct err e = ERR_INIT;

    if (start(m, &e) < 0)
        tell(m, err_msg(&e), false);
}

static void lose(struct emulator *m, const char *why)
{
    bool paints = m->paintings > 0;
    struct exit_status status = stop(m);
    auto_free char *text = describe_end(status, why);
    bool again =
        m->starts < EMULATOR_STARTS_MAX && (status.signaled || status.code != EMULATOR_UNCONFINED);

    m->pieces = m->paintings = 0;
    m->answered = false;
    tell(m, text, again);
    if (again)
        begin(m);
    if (m->conn && paints)
        send_order(m);
    m->ev.taken(m->ev.arg);
}

struct emulator *emulator_new(struct loop *l, unsigned rows, unsigned columns,
                              const struct emulator_events *ev)
{
    struct emulator *m = mem_zalloc(1, sizeof(*m));

    screen_fit(&rows, &columns);
    *m = (struct emulator){
        .loop = l, .ev = *ev, .rows = rows, .columns = columns, .child = CHILD_INIT};
    begin(m);
    return m;
}

void emulator_free(struct emulator *m)
{
    if (!m)
        return;
    stop(m);
    free(m->failure);
    free(m);
}

const char *emulator_failure(const struct emulator *m)
{
    return m->failure;
}

pid_t emulator_pid(const struct emulator *m)
{
    return m->child.pid;
}
