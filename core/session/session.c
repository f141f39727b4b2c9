#include "session/session.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "proc/sock.h"
#include "proc/tty.h"
#include "state/sweep.h"

enum {
    ABORT_MS = 5000,    /* between SIGTERM and giving the program up */
    INTERRUPTS_MAX = 3, /* so many Ctrl-C give it up too */
};

static void give_up(void *arg)
{
    struct session *s = arg;

    s->abort_timer = NULL;
    if (s->link)
        guest_abort(client_guest(s->link), "interrupted");
}

/* A signal for us is one for the program in the guest; where it does not end, we do. */
static void pass_signal(struct session *s, int signo)
{
    s->signals++;
    s->task.interrupted = signo;
    if (s->attached) {
        give_up(s);
        return;
    }
    guest_signal(client_guest(s->link), signo);
    if (signo == SIGINT && s->signals < INTERRUPTS_MAX)
        return;
    if (s->signals > 1)
        give_up(s);
    else if (!s->abort_timer)
        s->abort_timer = loop_timer(s->task.loop, ABORT_MS, give_up, s);
}

static void on_signal(void *arg, int signo)
{
    struct session *s = arg;
    uint16_t rows, columns;

    if (signo == SIGWINCH) {
        if (!s->program_runs || !s->tty.raw)
            return;
        tty_size(s->tty.fd, &rows, &columns);
        guest_resize(client_guest(s->link), rows, columns);
        return;
    }
    if (s->program_runs) {
        pass_signal(s, signo);
        return;
    }
    s->task.interrupted = signo;
    if (s->link) /* a file on its way, to a guest that may not answer */
        guest_abort(client_guest(s->link), "interrupted");
    loop_quit(s->task.loop);
}

int session_find_user(struct session_user *u, struct err *e)
{
    struct passwd *p = getpwuid(getuid());
    struct group *g = getgrgid(getgid());

    if (!p)
        return err_set(e, "uid %u has no entry in the password database", getuid());
    *u = (struct session_user){.name = mem_strdup(p->pw_name),
                               .shell = mem_strdup(p->pw_shell),
                               .group = mem_strdup(g ? g->gr_name : p->pw_name),
                               .uid = getuid(),
                               .gid = getgid()};
    return 0;
}

void session_start(struct session *s, const struct session_options *o)
{
    struct rlimit no_core = {0, 0};

    *s = (struct session){
        .options = *o,
        .task = {.loop = loop_new()},
        .record = {.time = time(NULL)},
        .image = LOCAL_IMAGE_INIT,
        .persist = PERSIST_INIT,
        .project_fd = -1,
    };
    stages_start(&s->stages);
    signal(SIGPIPE, SIG_IGN);
    setrlimit(RLIMIT_CORE, &no_core); /* a core dump would hold credentials */
}

int session_init(struct session *s, const struct session_options *o, struct err *e)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, 0};

    session_start(s, o);
    if (loop_signals(s->task.loop, signals, on_signal, s, e) < 0 || paths_init(&s->paths, e) < 0 ||
        session_find_user(&s->user, e) < 0)
        return -1;
    s->user.home = mem_strdup(s->paths.home);
    state_sweep(&s->paths);
    return 0;
}

void session_free(struct session *s)
{
    tty_restore(&s->tty);
    client_free(s->link);
    git_identity_free(&s->git);
    view_free(&s->view);
    kept_free(&s->kept);
    local_image_free(&s->image);
    persist_free(&s->persist);
    for (size_t i = 0; i < s->ntools; i++)
        plugin_free(&s->tools[i]);
    free(s->tools);
    plugin_free(&s->agent);
    profile_free(&s->profile);
    trust_file_free(&s->project_ini);
    trust_file_free(&s->project_runtime);
    free(s->project);
    close_fd(&s->project_fd);
    free(s->user.name);
    free(s->user.group);
    free(s->user.home);
    free(s->user.shell);
    paths_free(&s->paths);
    loop_free(s->task.loop);
}

bool session_has_tty(void)
{
    return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
}

bool session_program_tty(const struct session *s)
{
    return s->options.detach ? isatty(STDIN_FILENO) : session_has_tty();
}

void session_environment(struct session *s, struct strv *env)
{
    static const char *const terminal[] = {"TERM", "COLORTERM"};

    for (size_t i = 0; session_program_tty(s) && i < ARRAY_LEN(terminal); i++)
        if (getenv(terminal[i]))
            strv_setenv(env, terminal[i], getenv(terminal[i]));
    if (s->git.name || s->git.email)
        strv_setenv(env, GIT_GUEST_VARIABLE, GIT_GUEST_CONFIG);
    for (size_t i = 0; i < s->profile.env.n; i++) {
        auto_free char *name = mem_dup(s->profile.env.v[i], strcspn(s->profile.env.v[i], "="));

        strv_setenv(env, name, s->profile.env.v[i] + strlen(name) + 1);
    }
}

void session_find_git(struct session *s)
{
    if (s->profile.git_identity)
        git_identity_find(s->project, &s->git);
}

int session_put_git(struct session *s, struct err *e)
{
    auto_free char *text = git_guest_config(&s->git);

    if (!text ||
        guest_put(client_guest(s->link), GIT_GUEST_CONFIG, 0644, NULL, text, strlen(text), e) == 0)
        return 0;
    task_check(&s->task, e);
    return -1;
}

int session_find_ssh_agent(struct session *s, struct err *e)
{
    const char *path = getenv("SSH_AUTH_SOCK");
    auto_close int fd = -1;

    if (!s->profile.ssh_agent)
        return 0;
    if (!path || !*path)
        err_set(e, "there is no ssh-agent to forward: SSH_AUTH_SOCK is not set");
    else if (path[0] != '/')
        err_set(e, "no ssh-agent can be forwarded: SSH_AUTH_SOCK is not an absolute path");
    else if ((fd = sock_connect_now(path, e)) < 0)
        err_prefix(e, "the ssh-agent cannot be forwarded");
    s->ssh_agent = path;
    if (fd >= 0)
        return 0;
    return err_advise(e, "start one: eval \"$(ssh-agent)\" && ssh-add; or go without it: "
                         "--ssh-agent=false");
}

int session_program(struct session *s, const struct guest_program *p, const struct guest_stdio *io,
                    struct exit_status *status, struct err *e)
{
    int rc;

    s->program_runs = true;
    s->signals = 0;
    rc = guest_exec(client_guest(s->link), p, io, status, e);
    s->program_runs = false;
    loop_untimer(steal_ptr(&s->abort_timer));
    return rc;
}

static int run_on_terminal(struct session *s, const struct guest_program *p,
                           struct exit_status *status, struct err *e)
{
    struct guest_stdio io = {.in = STDIN_FILENO,
                             .out = STDOUT_FILENO,
                             .err = STDERR_FILENO,
                             .tty = session_has_tty(),
                             .raw = s->options.raw};
    int rc;

    if (io.tty) {
        if (tty_raw(&s->tty, STDIN_FILENO, e) < 0 ||
            (s->interruptible && tty_interruptible(&s->tty, e) < 0))
            return -1;
        client_lend_tty(s->link, STDIN_FILENO, &s->tty.saved, NULL);
        client_hold_notes(s->link, true);
    }
    rc = session_program(s, p, &io, status, e);
    if (io.tty) {
        tty_restore(&s->tty);
        client_lend_tty(s->link, -1, NULL, NULL);
        client_hold_notes(s->link, false);
    }
    return rc;
}

char *session_record(const struct session *s, int code, const struct err *e)
{
    struct record r = s->record;

    r.project = s->project;
    r.agent = s->agent.name;
    return record_format(&r, stages_to_json(&s->stages), clock_us() - s->stages.start_us, code, e);
}

void session_write_record(const struct session *s, int code, const struct err *e)
{
    auto_err struct err why = ERR_INIT;
    auto_free char *line = NULL;

    if (!s->record.kind || !s->project)
        return;
    line = session_record(s, code, e);
    if (record_append(&s->paths, line, &why) < 0)
        log_warn("this run is not recorded: %s", err_msg(&why));
}

static void leave_record(struct session *s)
{
    auto_free char *record = s->record.kind ? session_record(s, 0, NULL) : NULL;

    if (record)
        guest_leave_record(client_guest(s->link), record);
}

int session_exec(struct session *s, const struct guest_program *p, struct err *e)
{
    struct exit_status status;
    int rc;

    if (task_check(&s->task, e) < 0)
        return -1;
    leave_record(s);
    stage_begin(&s->stages, "program", NULL, false);
    rc = run_on_terminal(s, p, &status, e);
    stage_end(&s->stages);
    if (!client_is_creator(s->link))
        guest_take_record_back(client_guest(s->link));
    if (guest_lacked_memory(client_guest(s->link)))
        log_warn(GUEST_LACKED_MEMORY);
    if (rc == 0)
        return exit_status_code(status);
    if (s->signals > 0)
        err_exit(e, EXIT_SIGNAL_BASE + s->task.interrupted);
    return -1;
}
