#include "session/detach.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "session/choose.h"

int session_detach(struct session *s, const struct guest_program *p, struct err *e)
{
    auto_free char *record = NULL;
    bool tty = session_program_tty(s);
    uint16_t rows = 0, columns = 0;

    if (task_check(&s->task, e) < 0)
        return -1;
    s->record.detached = true;
    record = session_record(s, 0, NULL);
    if (tty)
        tty_size(STDIN_FILENO, &rows, &columns);
    if (guest_detach(client_guest(s->link), p, tty, rows, columns, record, e) < 0) {
        s->record.detached = false;
        task_check(&s->task, e);
        return -1;
    }
    client_let_go(s->link);
    s->record.kind = NULL; /* the supervisor writes it at the agent's end */
    return 0;
}

/* ---- attach --------------------------------------------------------------------------------- */

static int attach_terminal(struct session *s, bool steal, bool *left, struct exit_status *status,
                           struct err *e)
{
    struct guest_stdio io = {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO, true, false};
    int rc;

    if (tty_raw(&s->tty, STDIN_FILENO, e) < 0)
        return -1;
    client_lend_tty(s->link, STDIN_FILENO, &s->tty.saved, NULL);
    s->attached = s->program_runs = true;
    rc = guest_attach(client_guest(s->link), &io, steal, left, status, e);
    s->attached = s->program_runs = false;
    tty_restore(&s->tty);
    client_lend_tty(s->link, -1, NULL, NULL);
    return rc;
}

int session_attach(struct session *s, const char *word, bool steal, struct err *e)
{
    auto_free char *vm = NULL;
    struct exit_status status;
    bool left = false;

    if (!session_has_tty()) {
        err_set(e, "attach needs a terminal as its input and output");
        return err_advise(e, "agentvm logs -f shows what the agent writes");
    }
    if (word ? choose_running(s, word, false, &vm, e) < 0 : choose_detached(s, false, &vm, e) < 0)
        return -1;
    s->link = client_attach(&s->task, &s->paths, vm, e);
    if (!s->link || client_wait_ready(s->link, e) < 0)
        return -1;
    if (attach_terminal(s, steal, &left, &status, e) < 0) {
        if (s->task.interrupted)
            err_exit(e, EXIT_SIGNAL_BASE + s->task.interrupted);
        return -1;
    }
    if (!left)
        return exit_status_code(status);
    log_info("agentvm: the agent runs on; agentvm attach %s comes back to it", vm);
    return 0;
}

/* ---- wait ----------------------------------------------------------------------------------- */

/* What the record says of an agent that has ended; before: what there was when it still ran, as a
 * kept VM always has the same ID. */
static int end_of(struct session *s, const char *vm, const cJSON *before, struct err *e)
{
    cJSON *o = record_find(&s->paths, vm), *error;
    int code;

    if (!o || (before && cJSON_Compare(o, before, true))) {
        cJSON_Delete(o);
        err_set(e, "VM %s ended and left no record of its agent", vm);
        return err_advise(e, "its supervisor may have been killed");
    }
    error = cJSON_GetObjectItemCaseSensitive(o, "error");
    code = (int)cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(o, "exit_code"));
    if (cJSON_IsString(error)) {
        err_set(e, "%s", error->valuestring);
        err_exit(e, code);
    }
    cJSON_Delete(o);
    return e->msg ? -1 : code;
}

int session_wait(struct session *s, const char *word, struct err *e)
{
    auto_free char *vm = NULL;
    bool runs = true, ran = false;
    cJSON *before = NULL;
    int rc;

    if (choose_agent(s, word, &vm, &runs, e) < 0)
        return -1;
    if (runs) {
        before = record_find(&s->paths, vm);
        s->link = client_attach(&s->task, &s->paths, vm, NULL);
        ran = s->link && client_wait_ready(s->link, NULL) == 0;
        client_wait_end(s->link);
    }
    rc = task_check(&s->task, e) < 0 ? -1 : end_of(s, vm, ran ? before : NULL, e);
    cJSON_Delete(before);
    return rc;
}
