/* What the commands login, logout and auth do. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "model/login.h"
#include "model/show.h"
#include "session/provision.h"
#include "session/session.h"
#include "state/vms.h"

/* ---- the program that helps to get the credential ---------------------------------------------
 */

/* The program may know no way out of a login that does not work, as claude setup-token does: so
 * Ctrl-C ends it, and the third one even if it does not want to.  That is no failure. */
static int exec_until_interrupt(struct session *s, const struct guest_program *program,
                                struct err *e)
{
    int code;

    s->interruptible = true;
    code = session_exec(s, program, e);
    s->interruptible = false;
    if (s->task.interrupted != SIGINT)
        return code;
    err_clear(e);
    s->task.interrupted = 0;
    return 0;
}

static int program_body(struct session *s, void *arg, struct err *e)
{
    const struct plan *login = arg;
    auto_strv struct strv env = STRV_INIT;
    struct guest_program program = {
        .argv = plan_find(login, PLAN_EXEC)->argv.v, .cwd = s->project, .user = s->user.name};

    if (provision_files(s, login, e) < 0)
        return -1;
    for (size_t i = 0; i < login->n; i++)
        if (login->steps[i].op == PLAN_ENV)
            strv_setenv(&env, login->steps[i].name, login->steps[i].data.data);
    session_environment(s, &env);
    program.env = env.v;
    return exec_until_interrupt(s, &program, e);
}

/* What the user's file says of projects: there is none here, nor anything else of the host's. */
static void forget_projects(struct profile *p)
{
    p->git_readonly = false;
    strv_free(&p->masks);
    strv_free(&p->locals);
    strv_free(&p->mounts_readonly);
    strv_free(&p->mounts_writable);
}

/* The program talks to whoever issues the credential.  What the user said is not undone silently.
 */
static int check_network(const struct session *s, struct err *e)
{
    auto_free char *where = NULL;

    if (!s->profile.offline)
        return 0;
    where = show_text(profile_where(&s->profile, "network.offline"), 0);
    err_set(e, "a login needs the network, and there is none: %s", where);
    return err_advise(e,
                      "agentvm login --offline=false %s, for this once; or with the credential in "
                      "a file: agentvm login %s <FILE",
                      s->agent.name, s->agent.name);
}

/* Runs the program in a VM of its own, with an empty folder in place of a project.  That lies where
 * a VM's folders do, so that it is swept as they are. */
static int run_program(struct session *s, struct plan *login, struct err *e)
{
    auto_free char *shown = show_text(plan_find(login, PLAN_EXEC)->argv.v[0], 0);
    auto_close int lock = -1;
    char id[9] = "";
    int code;

    if (check_network(s, e) < 0 || vms_reserve(&s->paths, id, &lock, e) < 0)
        return -1;
    s->project = paths_vm(&s->paths, id, PATHS_VM_NO_PROJECT);
    forget_projects(&s->profile);
    log_info("agentvm: when %s has ended, or Ctrl-C has ended it, agentvm asks for the %s", shown,
             plan_find(login, PLAN_ASK)->name);
    code = mkdir(s->project, 0700) < 0 ? err_errno(e, errno, "cannot create %s", s->project)
                                       : session_in_new_vm(s, program_body, login, e);
    vms_remove(&s->paths, id);
    if (code > 0)
        log_warn("%s ended with exit code %d", shown, code);
    return code < 0 ? -1 : task_check(&s->task, e);
}

/* ---- the credential ----------------------------------------------------------------------------
 */

static void on_input(void *arg, short events)
{
    (void)events;
    loop_quit(arg);
}

/* Reads up to a line's end on a terminal, else to the end of the input.  In the loop, so that
 * signals end it. */
static int read_input(struct session *s, bool terminal, struct buf *out, struct err *e)
{
    struct loop_watch *w = loop_watch(s->task.loop, STDIN_FILENO, POLLIN, on_input, s->task.loop);
    ssize_t n = 1;

    buf_reserve(out, 2 * LOGIN_MAX);
    while (n > 0 && out->len <= LOGIN_MAX && !(terminal && memchr(out->data, '\n', out->len))) {
        loop_run(s->task.loop);
        if (s->task.interrupted)
            break;
        n = read(STDIN_FILENO, out->data + out->len, LOGIN_MAX);
        if (n > 0)
            out->len += (size_t)n;
        out->data[out->len] = '\0';
    }
    loop_unwatch(w);
    if (task_check(&s->task, e) < 0)
        return -1;
    return n < 0 ? err_errno(e, errno, "cannot read standard input") : 0;
}

/* What is pasted in several lines goes on after the first: the rest would end up in the user's
 * shell, and the first is no whole credential. */
static int refuse_more_lines(const char *what, struct err *e)
{
    struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};

    if (poll(&p, 1, 0) != 1 || !(p.revents & POLLIN))
        return 0;
    tcflush(STDIN_FILENO, TCIFLUSH);
    err_set(e, "the %s was pasted in several lines", what);
    return err_advise(e, "join them: a credential is one line without spaces");
}

static int ask(struct session *s, const char *what, struct buf *out, struct err *e)
{
    auto_free char *shown = show_text(what, 0);
    auto_free char *prompt = mem_printf("Paste the %s here (it is not shown): ", shown);
    int rc;

    if (tty_hide(&s->tty, STDIN_FILENO, e) < 0)
        return -1;
    log_raw(prompt);
    rc = read_input(s, true, out, e);
    if (rc == 0)
        rc = refuse_more_lines(shown, e);
    tty_restore(&s->tty);
    if (out->len == 0)
        log_raw("\n");
    return rc;
}

static int advise_again(const struct session *s, struct err *e)
{
    return err_advise(e,
                      "nothing is kept; again: agentvm login %s, or with the credential in a "
                      "file: agentvm login %s <FILE",
                      s->agent.name, s->agent.name);
}

static int take_credential(struct session *s, const struct plan *login, bool terminal,
                           struct err *e)
{
    const char *what = plan_find(login, PLAN_ASK)->name;
    auto_free char *shown = show_text(what, 0);
    auto_buf struct buf text = BUF_INIT;
    int rc = terminal ? ask(s, what, &text, e) : read_input(s, false, &text, e);

    if (rc == 0 && login_trim(&text, shown, e) < 0)
        rc = advise_again(s, e);
    if (rc == 0)
        rc = login_write(&s->paths, s->agent.name, text.data, e);
    if (text.data)
        explicit_bzero(text.data, text.cap);
    if (rc == 0)
        log_info("agentvm: the %s for %s is kept; forget it with: agentvm logout %s", shown,
                 s->agent.name, s->agent.name);
    return rc;
}

/* ---- the stories -------------------------------------------------------------------------------
 */

int session_login(struct session *s, struct err *e)
{
    bool terminal = isatty(STDIN_FILENO);
    auto_plan struct plan login = PLAN_INIT;
    struct plugin_context ctx;

    if (session_load_user(s, e) < 0)
        return -1;
    if (!s->agent.has_hook[PLAN_LOGIN]) {
        err_set(e, "agent %s has no login", s->agent.name);
        return err_advise(e, "what it takes as a credential is told by: agentvm auth status %s",
                          s->agent.name);
    }
    if (terminal && !(session_has_tty() && isatty(STDERR_FILENO))) {
        err_set(e, "a login needs the terminal for standard output and error, too");
        return advise_again(s, e);
    }
    ctx = session_context(s, false);
    if (plugin_call(&s->agent, PLAN_LOGIN, &ctx, &login, e) < 0)
        return -1;
    if (terminal && plan_find(&login, PLAN_EXEC) && run_program(s, &login, e) < 0)
        return -1;
    return take_credential(s, &login, terminal, e);
}

int session_logout(struct session *s, struct err *e)
{
    int rc;

    if (session_load_user(s, e) < 0)
        return -1;
    rc = login_remove(&s->paths, s->agent.name, e);
    if (rc < 0)
        return -1;
    log_info(rc == 0 ? "agentvm: forgot the login of %s" : "agentvm: there is no login of %s",
             s->agent.name);
    return 0;
}

void session_tell_accounts(const struct plan *auth)
{
    for (size_t i = 0; i < auth->n; i++) {
        const struct plan_step *used = &auth->steps[i];
        auto_buf struct buf others = BUF_INIT;
        auto_free char *line = NULL, *shown = NULL;

        if (!plan_is_used_account(auth, used))
            continue;
        for (size_t j = i + 1; j < auth->n; j++) {
            const struct plan_step *s = &auth->steps[j];

            if (s->op == PLAN_ACCOUNT && strcmp(s->plugin, used->plugin) == 0)
                buf_printf(&others, "%s%s (%s)", others.len ? ", " : "", s->name, s->data.data);
        }
        if (others.len == 0)
            continue;
        line = mem_printf("agentvm: %s bills the %s (%s); not used: %s", used->plugin,
                          used->data.data, used->name, others.data);
        shown = show_text(line, 0);
        log_info("%s", shown);
    }
}
