/* Client of QEMU's machine protocol (QMP) over an inherited socket, on the loop.
 *
 *     QEMU                      client
 *       greeting        ------->
 *                       <-------  qmp_capabilities
 *       return          ------->            ready()
 *                       <-------  command, id 1     (qmp_command)
 *       event           ------->            event()
 *       return, id 1    ------->            the command's callback
 *       end of file     ------->            closed()
 *
 * One JSON object a line.  QEMU runs hostile guests, so what it says is bounded and checked.
 * Every callback may call qmp_free.
 */
#ifndef AGENTVM_VM_QMP_H
#define AGENTVM_VM_QMP_H

#include <cjson/cJSON.h>
#include <stddef.h>

#include "base/err.h"
#include "proc/loop.h"

/* Longest line taken, bytes; real ones have some hundred. */
enum { QMP_LINE_MAX = 1 << 20 };

struct qmp;

struct qmp_events {
    void (*ready)(void *arg);
    void (*event)(void *arg, const char *name, const cJSON *data); /* data may be NULL */
    /* The connection is over: why is empty at end of file, else what was wrong.  Comes once. */
    void (*closed)(void *arg, const struct err *why);
    void *arg;
};

/* The reply to a command: its result, or NULL and the text of the failure. */
typedef void qmp_reply_fn(void *arg, const cJSON *result, const char *failure);

/* Takes fd, which is closed by qmp_free.  Without loop (NULL) and descriptor (-1) the client is fed
 * by qmp_feed alone and what it says is dropped: for tests. */
struct qmp *qmp_new(struct loop *l, int fd, const struct qmp_events *ev, struct err *e);
/* Commands without a reply are forgotten: their callbacks are not called.  NULL is allowed. */
void qmp_free(struct qmp *q);

/* Sends a command; args (owned by the call) and fn may be NULL.  Fails before ready() and after
 * closed().  If the connection ends first, fn gets that as its failure. */
int qmp_command(struct qmp *q, const char *name, cJSON *args, qmp_reply_fn *fn, void *arg,
                struct err *e);

/* The same with a descriptor, borrowed, that QEMU gets a copy of.  Fails if earlier commands are
 * still on their way out. */
int qmp_command_fd(struct qmp *q, const char *name, cJSON *args, int fd, qmp_reply_fn *fn,
                   void *arg, struct err *e);

/* Reads and handles what the socket holds now, without waiting. */
void qmp_read(struct qmp *q);
/* Handles bytes as if the socket had delivered them. */
void qmp_feed(struct qmp *q, const void *data, size_t len);

#endif
