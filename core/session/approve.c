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

/* What a file does, and its text: all that an approval is about. */
static void show_file(const struct trust_file *f, const struct strv *does, struct buf *out)
{
    auto_free char *text = str_printable(f->bytes.data ? f->bytes.data : "", f->bytes.len);

    list_deeds(does, out);
    buf_printf(out, "\nThe whole file:\n\n%s%s\n", text, str_ends(text, "\n") ? "" : "\n");
}

static bool ask(struct session *s, const struct trust_file *f, bool changed,
                const struct strv *does)
{
    auto_buf struct buf shown = BUF_INIT;
    char answer[ANSWER_MAX];
    ssize_t n;

    buf_printf(&shown, "This folder's %s %s.  ", f->name,
               changed ? "changed since you approved it" : "needs your approval");
    show_file(f, does, &shown);
    buf_puts(&shown, "Approve exactly this text? [y/N] ");
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

/* The approval is for the whole file, so it is told, too, what the file does when another agent
 * runs. */
static void add_other_options(struct session *s, struct strv *does)
{
    auto_strv struct strv seen = STRV_INIT;

    strv_push(&seen, s->agent.name);
    for (size_t i = 0; i < s->ntools; i++)
        strv_push(&seen, s->tools[i].name);
    for (size_t i = 0; i < s->profile.nsettings; i++) {
        const struct plugin_setting *setting = &s->profile.settings[i];
        struct plugin pl;

        if (setting->origin != PROFILE_PROJECT || strv_has(&seen, setting->plugin))
            continue;
        strv_push(&seen, setting->plugin);
        if (plugin_find(&s->paths, setting->plugin, PLUGIN_ANY, &pl, NULL) < 0)
            continue;
        plugin_check_settings(&pl, &s->profile, does, NULL);
        plugin_free(&pl);
    }
}

static void list_profile(struct session *s, struct strv *does)
{
    strv_push_all(does, s->profile.project_widens.v);
    add_other_options(s, does);
}

static void list_runtime(struct strv *does)
{
    strv_push(does, "runs in the VM before the agent, which gets the variables that it exports");
}

int session_approve_profile(struct session *s, struct err *e)
{
    auto_strv struct strv does = STRV_INIT;

    if (s->profile.project_widens.n == 0)
        return 0;
    list_profile(s, &does);
    return require_approval(s, &s->project_ini, &does, e);
}

int session_approve_runtime(struct session *s, struct err *e)
{
    auto_strv struct strv does = STRV_INIT;

    if (!s->project_runtime.present)
        return 0;
    list_runtime(&does);
    return require_approval(s, &s->project_runtime, &does, e);
}

static int approve(struct session *s, const struct trust_file *f, struct strv *does, struct err *e)
{
    auto_buf struct buf shown = BUF_INIT;

    if (f->present) {
        if (does->n == 0)
            strv_push(does, "only narrows your settings, which needs no approval");
        show_file(f, does, &shown);
        log_info("This folder's %s.  %s", f->name, shown.data);
    }
    if (trust_approve(&s->paths, s->project, f, e) < 0)
        return -1;
    if (f->present)
        log_info("agentvm: approved %s as it is now (%zu bytes)", f->name, f->bytes.len);
    return 0;
}

int session_trust(struct session *s, struct err *e)
{
    auto_strv struct strv ini = STRV_INIT, runtime = STRV_INIT;

    if (session_load_profile(s, e) < 0)
        return -1;
    list_profile(s, &ini);
    list_runtime(&runtime);
    if (approve(s, &s->project_ini, &ini, e) < 0 ||
        approve(s, &s->project_runtime, &runtime, e) < 0)
        return -1;
    if (!s->project_ini.present && !s->project_runtime.present)
        log_info("agentvm: this folder has neither %s nor %s", PATHS_PROJECT_INI,
                 PATHS_PROJECT_RUNTIME);
    return 0;
}
