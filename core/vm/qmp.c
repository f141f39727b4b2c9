#include "vm/qmp.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "proc/sock.h"

enum {
    READS_MAX = 16, /* blocks handled at one go */
    SHOWN_MAX = 80, /* bytes of a bad line that an error quotes */
};

enum qmp_state {
    QMP_GREETING,    /* nothing came yet */
    QMP_NEGOTIATING, /* qmp_capabilities is on its way */
    QMP_READY,
    QMP_CLOSED,
};

struct qmp_pending {
    struct qmp_pending *next;
    double id;
    qmp_reply_fn *fn;
    void *arg;
};

struct qmp {
    struct qmp_events ev;
    enum qmp_state state;
    int fd;
    struct loop_watch *watch;
    struct buf in;
    struct buf out;
    double last_id;
    struct qmp_pending *pending;
    int busy;   /* depth of calls that may run callbacks */
    bool freed; /* by a callback: destroyed when busy gets 0 */
};

static void destroy(struct qmp *q)
{
    while (q->pending) {
        struct qmp_pending *p = q->pending;

        q->pending = p->next;
        free(p);
    }
    buf_free(&q->in);
    buf_free(&q->out);
    free(q);
}

static void disconnect(struct qmp *q)
{
    loop_unwatch(q->watch);
    q->watch = NULL;
    close_fd(&q->fd);
    q->state = QMP_CLOSED;
}

static void fail_pending(struct qmp *q)
{
    while (q->pending && !q->freed) {
        struct qmp_pending *p = q->pending;

        q->pending = p->next;
        if (p->fn)
            p->fn(p->arg, NULL, "QEMU closed its control connection");
        free(p);
    }
}

static void close_with(struct qmp *q, const struct err *why)
{
    if (q->state == QMP_CLOSED)
        return;
    disconnect(q);
    fail_pending(q);
    if (!q->freed && q->ev.closed)
        q->ev.closed(q->ev.arg, why);
}

static void protocol_error(struct qmp *q, const char *what, const char *line, size_t len)
{
    auto_err struct err e = ERR_INIT;
    auto_free char *shown = str_printable(line, len < SHOWN_MAX ? len : SHOWN_MAX);

    for (char *p = shown; (p = strpbrk(p, "\n\t")); p++)
        *p = ' '; /* messages are one line */
    err_set(&e, "QEMU's control connection: %s (\"%s\")", what, shown);
    close_with(q, &e);
}

static void flush(struct qmp *q)
{
    while (q->out.len > 0 && q->fd >= 0) {
        ssize_t n = send(q->fd, q->out.data, q->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) /* EAGAIN: later; anything else shows as an end of file when reading */
            break;
        buf_consume(&q->out, (size_t)n);
    }
    if (q->fd < 0)
        q->out.len = 0;
    if (q->watch)
        loop_watch_events(q->watch, q->out.len > 0 ? POLLIN | POLLOUT : POLLIN);
}

/* Appends the command's text and remembers whom its reply goes to. */
static void queue_command(struct qmp *q, const char *name, cJSON *args, qmp_reply_fn *fn, void *arg)
{
    struct qmp_pending *p = mem_zalloc(1, sizeof(*p)), **end = &q->pending;
    cJSON *command = cJSON_CreateObject();
    char *text;

    *p = (struct qmp_pending){.id = ++q->last_id, .fn = fn, .arg = arg};
    while (*end)
        end = &(*end)->next;
    *end = p;
    cJSON_AddStringToObject(command, "execute", name);
    if (args)
        cJSON_AddItemToObject(command, "arguments", args);
    cJSON_AddNumberToObject(command, "id", p->id);
    text = cJSON_PrintUnformatted(command);
    cJSON_Delete(command);
    buf_puts(&q->out, text);
    buf_puts(&q->out, "\n");
    cJSON_free(text);
}

static void send_command(struct qmp *q, const char *name, cJSON *args, qmp_reply_fn *fn, void *arg)
{
    queue_command(q, name, args, fn, arg);
    flush(q);
}

static int check_open(struct qmp *q, const char *name, struct err *e)
{
    if (q->state == QMP_READY)
        return 0;
    return err_set(e, "cannot send %s: QEMU's control connection is not open", name);
}

int qmp_command(struct qmp *q, const char *name, cJSON *args, qmp_reply_fn *fn, void *arg,
                struct err *e)
{
    if (check_open(q, name, e) < 0) {
        cJSON_Delete(args);
        return -1;
    }
    send_command(q, name, args, fn, arg);
    return 0;
}

/* The descriptor rides on the command's first byte. */
int qmp_command_fd(struct qmp *q, const char *name, cJSON *args, int fd, qmp_reply_fn *fn,
                   void *arg, struct err *e)
{
    if (check_open(q, name, e) < 0 ||
        (q->out.len > 0 && err_set(e, "cannot send %s: QEMU does not read", name) < 0)) {
        cJSON_Delete(args);
        return -1;
    }
    queue_command(q, name, args, fn, arg);
    if (sock_send_fd(q->fd, (unsigned char)q->out.data[0], fd, e) < 0)
        return -1;
    buf_consume(&q->out, 1);
    flush(q);
    return 0;
}

static void on_negotiated(void *arg, const cJSON *result, const char *failure)
{
    struct qmp *q = arg;

    if (!result) {
        if (q->state != QMP_CLOSED)
            protocol_error(q, "it refused the negotiation", failure, strlen(failure));
        return;
    }
    q->state = QMP_READY;
    if (q->ev.ready)
        q->ev.ready(q->ev.arg);
}

static const char *failure_text(const cJSON *error)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(error, "desc"));

    return text ? text : "QEMU gave no reason";
}

/* A reply with an unknown id is ignored: nobody waits for it. */
static void handle_reply(struct qmp *q, const cJSON *message, const cJSON *result)
{
    const cJSON *id = cJSON_GetObjectItemCaseSensitive(message, "id");
    const cJSON *error = cJSON_GetObjectItemCaseSensitive(message, "error");

    for (struct qmp_pending **p = &q->pending; cJSON_IsNumber(id) && *p; p = &(*p)->next) {
        struct qmp_pending *found = *p;

        if (found->id < id->valuedouble || found->id > id->valuedouble)
            continue;
        *p = found->next;
        if (found->fn)
            found->fn(found->arg, result, result ? NULL : failure_text(error));
        free(found);
        return;
    }
}

static void handle_message(struct qmp *q, const cJSON *message, const char *line, size_t len)
{
    const cJSON *result = cJSON_GetObjectItemCaseSensitive(message, "return");
    const char *event = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(message, "event"));

    if (q->state == QMP_GREETING) {
        if (!cJSON_IsObject(cJSON_GetObjectItemCaseSensitive(message, "QMP"))) {
            protocol_error(q, "no greeting", line, len);
            return;
        }
        q->state = QMP_NEGOTIATING;
        send_command(q, "qmp_capabilities", NULL, on_negotiated, q);
    } else if (event) {
        if (q->ev.event)
            q->ev.event(q->ev.arg, event, cJSON_GetObjectItemCaseSensitive(message, "data"));
    } else if (result || cJSON_GetObjectItemCaseSensitive(message, "error")) {
        handle_reply(q, message, result);
    } else {
        protocol_error(q, "neither reply nor event", line, len);
    }
}

static void handle_line(struct qmp *q, const char *line, size_t len)
{
    cJSON *message;

    if (len > 0 && line[len - 1] == '\r')
        len--;
    if (len == 0)
        return;
    message = cJSON_ParseWithLength(line, len);
    if (cJSON_IsObject(message))
        handle_message(q, message, line, len);
    else
        protocol_error(q, "not a JSON object", line, len);
    cJSON_Delete(message);
}

/* Handles the complete lines of q->in, of which the first `scanned` bytes hold no line end. */
static void handle_input(struct qmp *q, size_t scanned)
{
    size_t start = 0;

    while (!q->freed && q->state != QMP_CLOSED) {
        const char *line = q->in.data + start;
        const char *end = memchr(line + scanned, '\n', q->in.len - start - scanned);
        size_t len = end ? (size_t)(end - line) : q->in.len - start;

        if (len > QMP_LINE_MAX) {
            protocol_error(q, "a line is too long", line, len);
            break;
        }
        if (!end)
            break;
        handle_line(q, line, len);
        start += len + 1;
        scanned = 0;
    }
    buf_consume(&q->in, start);
}

/* While callbacks may be running, qmp_free only marks. */
static void enter(struct qmp *q)
{
    q->busy++;
}

static void leave(struct qmp *q)
{
    if (--q->busy == 0 && q->freed)
        destroy(q);
}

void qmp_feed(struct qmp *q, const void *data, size_t len)
{
    size_t scanned = q->in.len;

    if (len == 0 || q->state == QMP_CLOSED)
        return;
    enter(q);
    buf_append(&q->in, data, len);
    handle_input(q, scanned);
    leave(q);
}

void qmp_read(struct qmp *q)
{
    struct err none = ERR_INIT;
    char block[16384];

    enter(q);
    /* A bounded number of blocks, so that a flood of events does not hold up the loop. */
    for (int i = 0; i < READS_MAX && !q->freed && q->state != QMP_CLOSED; i++) {
        ssize_t n = recv(q->fd, block, sizeof(block), MSG_DONTWAIT);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        if (n > 0)
            qmp_feed(q, block, (size_t)n);
        else /* an error is an end of file too: QEMU ended without reading all we sent */
            close_with(q, &none);
    }
    leave(q);
}

static void on_socket(void *arg, short events)
{
    struct qmp *q = arg;

    if (events & POLLOUT)
        flush(q);
    if (events & ~POLLOUT)
        qmp_read(q);
}

struct qmp *qmp_new(struct loop *l, int fd, const struct qmp_events *ev, struct err *e)
{
    struct qmp *q;

    if (fd >= 0 && file_set_nonblock(fd, true, e) < 0) {
        close_fd(&fd);
        return NULL;
    }
    q = mem_zalloc(1, sizeof(*q));
    q->fd = fd;
    q->ev = *ev;
    if (l)
        q->watch = loop_watch(l, fd, POLLIN, on_socket, q);
    return q;
}

void qmp_free(struct qmp *q)
{
    if (!q)
        return;
    disconnect(q);
    q->freed = true;
    if (!q->busy)
        destroy(q);
}
