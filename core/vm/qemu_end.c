#include "vm/qemu_end.h"

#include <signal.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#define HOST_SIGNAL "host-signal"

enum { TAIL_BYTES = 16384, TAIL_LINES = 15, STDERR_LINE_MAX = 300 };

/* What the SHUTDOWN event's reason (enum ShutdownCause of QEMU) means to the user. */
static const struct {
    const char *reason;
    const char *text; /* NULL: an orderly end */
    bool guest;       /* the guest's console explains it */
} causes[] = {
    {"guest-shutdown", NULL, false},
    {"host-qmp-quit", "QEMU ended, and agentvm had not asked for it", false},
    {HOST_SIGNAL, "a signal from outside agentvm ended QEMU", false},
    {"host-error", "QEMU gave up after an error", false},
    {"guest-reset", "the guest restarted, which ends the VM", true},
    {"guest-panic", "the guest's kernel panicked", true},
};

static void add_tail(const char *path, struct err *e)
{
    auto_buf struct buf log = BUF_INIT;

    file_read_tail(path, TAIL_BYTES, &log);
    if (log.len > 0)
        err_detail(e, str_tail(log.data, log.len, TAIL_LINES));
}

/* The line that says most: the last with "error:", as an abort's assertion may follow it, else the
 * last one.  NULL if QEMU said nothing. */
static char *stderr_line(const char *path)
{
    auto_buf struct buf log = BUF_INIT;
    auto_free char *last = NULL;

    file_read_tail(path, TAIL_BYTES, &log);
    for (size_t end = log.len; end > 0;) {
        const char *start = memrchr(log.data, '\n', end);
        size_t from = start ? (size_t)(start - log.data) + 1 : 0;

        if (end > from) {
            auto_free char *line = mem_dup(log.data + from, end - from);
            size_t len = end - from < STDERR_LINE_MAX ? end - from : STDERR_LINE_MAX;

            if (strstr(line, "error:") || !last) {
                mem_cleanup_free(&last);
                last = str_printable(line, len);
            }
            if (strstr(line, "error:"))
                break;
        }
        end = from > 0 ? from - 1 : 0;
    }
    return steal_ptr(&last);
}

static void explain_failure(const struct qemu_end *end, struct err *e)
{
    auto_free char *line = stderr_line(end->stderr_log);
    const char *before = line ? ": " : "", *said = line ? line : "";

    if (end->status.signaled)
        err_set(e, "QEMU was killed by signal %d (%s)%s%s", end->status.code,
                strsignal(end->status.code), before, said);
    else
        err_set(e, "QEMU failed with exit code %d%s%s", end->status.code, before, said);
    add_tail(end->stderr_log, e);
}

/* A panicking kernel says why on the console, then restarts (panic=-1 on its command line). */
static bool explain_panic(const struct qemu_end *end, struct err *e)
{
    static const char mark[] = "Kernel panic - ";
    auto_buf struct buf log = BUF_INIT;
    auto_free char *line = NULL;
    const char *panic;

    file_read_tail(end->console, TAIL_BYTES, &log);
    panic = memmem(log.data, log.len, mark, sizeof(mark) - 1);
    if (!panic)
        return false;
    line = str_printable(panic, strcspn(panic, "\r\n\t"));
    err_set(e, "the guest's kernel panicked: %.200s", line + sizeof(mark) - 1);
    return true;
}

static void explain_shutdown(const struct qemu_end *end, struct err *e)
{
    for (size_t i = 0; end->shutdown && i < ARRAY_LEN(causes); i++) {
        if (strcmp(end->shutdown, causes[i].reason) != 0)
            continue;
        if (causes[i].text) {
            if (!causes[i].guest || !explain_panic(end, e))
                err_set(e, "%s", causes[i].text);
            add_tail(causes[i].guest ? end->console : end->stderr_log, e);
        }
        return;
    }
    err_set(e, "QEMU ended by itself (%s)", end->shutdown ? end->shutdown : "it gave no reason");
    add_tail(end->stderr_log, e);
}

/* QEMU takes the others in order, as the reason of its shutdown, unless they come very early. */
bool qemu_end_is_foreign(const struct qemu_end *end)
{
    const struct exit_status *st = &end->status;

    if (st->signaled && st->code == SIGKILL)
        return !end->killed;
    if (end->asked)
        return false;
    if (st->signaled)
        return st->code == SIGTERM || st->code == SIGINT || st->code == SIGHUP;
    return end->shutdown && strcmp(end->shutdown, HOST_SIGNAL) == 0;
}

void qemu_end_explain(const struct qemu_end *end, struct err *e)
{
    if (e->msg) {
        add_tail(end->stderr_log, e);
        return;
    }
    if (end->killed) {
        err_set(e, "QEMU did not end when asked to and was killed");
        add_tail(end->stderr_log, e);
        return;
    }
    if (end->asked && (end->status.signaled ? end->status.code == SIGTERM : end->status.code == 0))
        return;
    if (end->status.signaled || end->status.code != 0)
        explain_failure(end, e);
    else
        explain_shutdown(end, e);
}
