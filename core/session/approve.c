/* The user's approval of a project's files: asked for on a terminal, remembered for these bytes. */
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "session/session.h"

enum { ANSWER_MAX = 16 };

static void on_answer(void *arg, short events)
{
    (void)events;
    loop_quit(arg);
}

/* In the loop, so that Ctrl-C is an answer too. */
static bool wait_for_answer(struct session *s)
{
    struct loop_watch *w = loop_watch(s->task.loop, STDIN_FILENO, POLLIN, on_answer, s->task.loop);

    loop_run(s->task.loop);
    loop_unwatch(w);
    return !s->task.interrupted;
}

/* "It\n  - runs ...\n": what the file does, one thing a line. */
static void list_deeds(const struct strv *does, struct buf *out)
{
    buf_puts(out, "It\n");
    for (size_t i = 0; i < does->n; i++)
        buf_printf(out, "  - %s\n", does->v[i]);
}

static bool ask(struct session *s, const struct trust_file *f, bool changed,
                const struct strv *does)
{
    auto_free char *text = str_printable(f->bytes.data ? f->bytes.data : "", f->bytes.len);
    auto_buf struct buf shown = BUF_INIT;
    char answer[ANSWER_MAX];
    ssize_t n;

    buf_printf(&shown, "This folder's %s %s.  ", f->name,
               changed ? "changed since you approved it" : "needs your approval");
    list_deeds(does, &shown);
    buf_printf(&shown, "\nThe whole file:\n\n%s%s\nApprove exactly this text? [y/N] ", text,
               str_ends(text, "\n") ? "" : "\n");
    log_raw(shown.data);
    n = wait_for_answer(s) ? read(STDIN_FILENO, answer, sizeof(answer)) : 0;
    if (n <= 0)
        log_raw("\n");
    return n > 0 && (answer[0] == 'y' || answer[0] == 'Y');
}

static int refuse(const struct trust_file *f, bool changed, struct buf *deeds, struct err *e)
{
    err_set(e, "this folder's %s %s", f->name,
            changed ? "changed since you approved it, and is not approved as it is now"
                    : "is not approved");
    err_detail(e, deeds->len > 0 ? mem_printf("%s: it%s", f->name, deeds->data + 2) : NULL);
    return err_advise(e, "read it, then run: agentvm trust (or give --trust)");
}

static int require_approval(struct session *s, const struct trust_file *f, const struct strv *does,
                            struct err *e)
{
    bool terminal = isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
    auto_buf struct buf deeds = BUF_INIT;
    enum trust_state state;

    if (trust_state(&s->paths, s->project, f, &state, e) < 0)
        return -1;
    if (state == TRUST_APPROVED)
        return 0;
    if (s->options.trust || (terminal && ask(s, f, state == TRUST_CHANGED, does)))
        return trust_approve(&s->paths, s->project, f, e);
    if (task_check(&s->task, e) < 0)
        return -1;
    if (!terminal) /* who was asked has just read it */
        list_deeds(does, &deeds);
    return refuse(f, state == TRUST_CHANGED, &deeds, e);
}

int session_approve_profile(struct session *s, struct err *e)
{
    if (s->profile.project_widens.n == 0)
        return 0;
    return require_approval(s, &s->project_ini, &s->profile.project_widens, e);
}

int session_approve_runtime(struct session *s, struct err *e)
{
    auto_strv struct strv does = STRV_INIT;

    if (!s->project_runtime.present)
        return 0;
    strv_push(&does, "runs in the VM before the agent, which gets the variables that it exports");
    return require_approval(s, &s->project_runtime, &does, e);
}
