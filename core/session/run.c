/* What the commands run, exec, shell and setup do. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "session/choose.h"
#include "session/detach.h"
#include "session/import.h"
#include "session/provision.h"
#include "session/session.h"
#include "state/vms.h"

/* Where runtime scripts lie in the guest, and where their environment goes. */
#define GUEST_RUNTIME_DIR "/run/agentvm/session"
#define GUEST_ENV_FILE GUEST_RUNTIME_DIR "/environment"

/* Runs a script in this shell, so that what it exports can be kept; whatever way it ends, its
 * failure is the shell's.  $1 is the script, $2 the file for the environment. */
#define RUNTIME_WRAPPER                                                             \
    "trap 'rc=$?; [ $rc -ne 0 ] || env -0 > \"$agentvm_env_out\"; exit $rc' EXIT\n" \
    "agentvm_env_out=$2\n"                                                          \
    ". \"$1\"\n"

enum { SCRIPT_MAX = 1 << 20, RESUME_TRIES = 2 };

/* Plans of one start. */
struct launch {
    struct plan auth, launch;
};

static void launch_free(struct launch *l)
{
    plan_free(&l->auth);
    plan_free(&l->launch);
}

static void add_environment(const struct plan *p, bool secrets, struct strv *env)
{
    for (size_t i = 0; i < p->n; i++) {
        const struct plan_step *step = &p->steps[i];

        if (step->op == PLAN_ENV || (secrets && step->op == PLAN_SECRET_ENV))
            strv_setenv(env, step->name, step->data.data ? step->data.data : "");
    }
}

/* Everything that a session's programs get; secrets only for the agent itself. */
static void build_environment(struct session *s, const struct launch *l, bool secrets,
                              struct strv *env)
{
    add_environment(&l->auth, secrets, env);
    add_environment(&l->launch, secrets, env);
    session_environment(s, env);
}

static int run_script(struct session *s, const char *name, const struct buf *text,
                      const struct strv *env, struct err *e)
{
    auto_free char *path = mem_printf(GUEST_RUNTIME_DIR "/%s", name);
    char *const argv[] = {"bash",         "-c", RUNTIME_WRAPPER, "agentvm-runtime", path,
                          GUEST_ENV_FILE, NULL};
    struct guest_program program = {.argv = argv,
                                    .env = env->v,
                                    .env_file = GUEST_ENV_FILE,
                                    .cwd = s->project,
                                    .user = s->user.name};
    struct guest_stdio io = {-1, STDERR_FILENO, STDERR_FILENO, false};
    struct exit_status status;

    if (guest_put(client_guest(s->link), path, 0600, s->user.name, text->data, text->len, e) < 0) {
        task_check(&s->task, e);
        return -1;
    }
    if (session_program(s, &program, &io, &status, e) < 0)
        err_prefix(e, "%s", name);
    else if (exit_status_code(status) != 0)
        err_set(e, "%s failed with exit code %d; its output is above", name,
                exit_status_code(status));
    return e->msg ? -1 : task_check(&s->task, e);
}

int session_user_runtime(struct session *s, char **path, struct buf *text, struct err *e)
{
    *path = mem_printf("%s/" PATHS_USER_RUNTIME, s->paths.config);
    return file_read_at(AT_FDCWD, *path, SCRIPT_MAX, text, e);
}

/* The user's runtime.sh, then the project's; both in the project's folder, as the user. */
static int run_runtime(struct session *s, const struct launch *l, struct err *e)
{
    auto_free char *path = NULL;
    auto_strv struct strv env = STRV_INIT;
    auto_buf struct buf text = BUF_INIT;
    int rc = session_user_runtime(s, &path, &text, e);

    if (rc < 0)
        return -1;
    if (guest_put(client_guest(s->link), GUEST_ENV_FILE, 0600, s->user.name, "", 0, e) < 0) {
        task_check(&s->task, e);
        return -1;
    }
    build_environment(s, l, false, &env);
    if (rc == 0 && run_script(s, PATHS_USER_RUNTIME, &text, &env, e) < 0)
        return -1;
    if (!s->project_runtime.present)
        return 0;
    return run_script(s, PATHS_PROJECT_RUNTIME, &s->project_runtime.bytes, &env, e);
}

static int start_agent(struct session *s, const struct launch *l, struct err *e)
{
    const struct plan_step *exec = plan_find(&l->launch, PLAN_EXEC);
    auto_strv struct strv env = STRV_INIT, bare = STRV_INIT;
    struct guest_program program = {
        .env_file = GUEST_ENV_FILE, .cwd = s->project, .user = s->user.name};

    if (!exec)
        return err_set(e, "plugin %s starts nothing", s->agent.name);
    /* Imports first: they replace no file that a plugin writes. */
    if (session_put_git(s, e) < 0 || import_files(s, &l->launch, e) < 0 ||
        provision_files(s, &l->auth, e) < 0 || provision_files(s, &l->launch, e) < 0 ||
        run_runtime(s, l, e) < 0)
        return -1;
    build_environment(s, l, false, &bare);
    program.env = bare.v;
    if (session_check_servers(s, &program, e) < 0)
        return -1;
    build_environment(s, l, true, &env);
    program.argv = exec->argv.v;
    program.env = env.v;
    return s->options.detach ? session_detach(s, &program, e) : session_exec(s, &program, e);
}

/* Starts the session's VM the fastest way that works: from the saved machine; from one saved anew,
 * if the first is no good; by booting.  Nothing of a failed attempt is left. */
static int start_vm(struct session *s, struct template *t, const struct plan *plan, struct err *e)
{
    for (int tries = 0; t->warm.dir && tries < RESUME_TRIES; tries++) {
        bool came_up = session_start_vm(s, t, MACHINE_RESUME, NULL, e) == 0;
        bool is_good = warm_is_good(s, &t->warm, came_up), again;

        if (came_up)
            return 0;
        if (task_check(&s->task, e) < 0)
            return -1;
        again = !is_good && tries + 1 < RESUME_TRIES;
        log_warn("the saved VM did not come up%s: %s",
                 again ? " and is made anew" : "; this start boots", err_msg(e));
        err_clear(e);
        if (is_good)
            break;
        store_discard(&s->paths, &s->task, &t->warm);
        if (again && warm_prepare(s, t, plan, e) < 0)
            return -1;
    }
    return session_start_vm(s, t, MACHINE_BOOT, NULL, e);
}

typedef int run_body(struct session *s, void *arg, struct err *e);

/* Runs the body in the VM that was started, then ends that. */
static int run_in_vm(struct session *s, run_body *body, void *arg, struct err *e)
{
    struct err stop = ERR_INIT;
    int code;

    log_status(NULL);
    s->stages.name = NULL; /* the supervisor's own stages tell the start's parts */
    code = body(s, arg, e);
    stage_begin(&s->stages, "stop", NULL, false);
    if (session_stop_vm(s, &stop) < 0 && code >= 0) {
        *e = stop;
        return -1;
    }
    err_clear(&stop);
    stage_end(&s->stages);
    return code;
}

/* For a VM that is thrown away; on the disk of a kept one the folders stay anyway. */
static int take_image(struct session *s, struct err *e)
{
    const struct profile *p = &s->profile;
    int rc;

    if (p->locals.n == 0 || !p->locals_keep)
        return 0;
    rc = local_image_take(&s->paths, s->project, p->disk, s->options.reset, &s->image, e);
    if (rc == 1 && s->options.reset) {
        err_set(e, "another VM of this folder has what is kept of [guest-local] folders");
        return err_advise(e, "end it before --reset makes them anew: agentvm stop");
    }
    if (rc == 1)
        log_warn("another VM of this folder has what is kept of [guest-local] folders; in this one "
                 "they are empty, and thrown away at its end");
    return rc < 0 ? -1 : 0;
}

int session_in_new_vm(struct session *s, run_body *body, void *arg, struct err *e)
{
    auto_template struct template t = TEMPLATE_INIT;
    auto_plan struct plan plan = PLAN_INIT;

    s->starts = true;
    if (session_provision_plan(s, &plan, e) < 0 || template_prepare(s, &plan, &t, e) < 0)
        return -1;
    stage_begin(&s->stages, "start", "starting the VM", false);
    if (take_image(s, e) < 0 || session_view(s, e) < 0 || start_vm(s, &t, &plan, e) < 0)
        return -1;
    local_image_free(&s->image); /* its lock is the supervisor's and the engine's now */
    return run_in_vm(s, body, arg, e);
}

/* In the kept VM, if this session is for one, or in a new one. */
static int in_own_vm(struct session *s, run_body *body, void *arg, bool may_attach, struct err *e)
{
    auto_template struct template t = TEMPLATE_INIT;
    auto_plan struct plan plan = PLAN_INIT;

    if (!persist_is_wanted(s))
        return session_in_new_vm(s, body, arg, e);
    if (session_provision_plan(s, &plan, e) < 0 || persist_start(s, &t, &plan, may_attach, e) < 0)
        return -1;
    return run_in_vm(s, body, arg, e);
}

static int agent_body(struct session *s, void *arg, struct err *e)
{
    return start_agent(s, arg, e);
}

int session_run(struct session *s, struct err *e)
{
    __attribute__((cleanup(launch_free))) struct launch l = {0};

    s->record.kind = "run";
    if (session_load(s, e) < 0 || persist_check_options(s, e) < 0 ||
        session_approve_runtime(s, e) < 0)
        return -1;
    /* Before anything slow: a missing credential is told at once. */
    if (session_plan(s, PLAN_AUTH, &l.auth, e) < 0 ||
        session_plan(s, PLAN_LAUNCH, &l.launch, e) < 0 ||
        kept_prepare(&s->paths, s->project, s->agent.name, &l.launch, &s->kept, e) < 0)
        return -1;
    if (session_find_ssh_agent(s, e) < 0)
        return -1;
    session_tell_accounts(&l.auth);
    session_find_git(s);
    return in_own_vm(s, agent_body, &l, false, e);
}

static int command_body(struct session *s, void *arg, struct err *e)
{
    auto_strv struct strv env = STRV_INIT;
    struct guest_program program = {.argv = arg, .cwd = s->project, .user = s->user.name};

    if (session_put_git(s, e) < 0)
        return -1;
    session_environment(s, &env);
    program.env = env.v;
    return session_exec(s, &program, e);
}

/* The VM to attach to: --vm, or the only one of this folder. *id is NULL if a new one is wanted. */
static int choose_vm(struct session *s, char **id, struct err *e)
{
    *id = NULL;
    if (s->options.new_vm || s->options.name || persist_is_wanted(s))
        return 0;
    if (choose_running(s, s->options.vm, true, id, e) == 0)
        return 0;
    return s->options.vm ? -1 : err_advise(e, "choose one with --vm, or start another with --new");
}

int session_check_restrictions(const struct session *s, const char *id, struct err *e)
{
    for (size_t i = 0; i < s->options.nflags; i++) {
        const struct session_flag *f = &s->options.flags[i];

        if (strcmp(f->section, "vm") == 0 && strcmp(f->key, "persist") != 0)
            log_warn("%s has no effect on VM %s, which runs already", f->option, id);
        if (strcmp(f->section, "project") != 0 && strcmp(f->section, "network") != 0 &&
            strcmp(f->section, "ssh") != 0)
            continue;
        err_set(e, "%s has no effect on VM %s, which runs already", f->option, id);
        return err_advise(e, "start another with --new, or leave %s out", f->option);
    }
    if (s->options.reset) {
        err_set(e, "--reset has no effect on VM %s, which runs already", id);
        return err_advise(e, "end it with agentvm stop before");
    }
    return 0;
}

static int attach(struct session *s, const char *id, char *const *argv, struct err *e)
{
    if (session_check_restrictions(s, id, e) < 0)
        return -1;
    s->link = client_attach(&s->task, &s->paths, id, e);
    if (!s->link)
        return -1;
    s->record.start = "attached";
    snprintf(s->record.vm, sizeof(s->record.vm), "%s", id);
    if (client_wait_ready(s->link, e) < 0)
        return -1;
    return command_body(s, (void *)argv, e);
}

int session_exec_command(struct session *s, char *const *argv, struct err *e)
{
    /* The guest's own choice: the host's shell may not exist there. */
    char *const shell[] = {"sh", "-c", "exec \"$SHELL\" -l", NULL};
    auto_free char *id = NULL;

    s->record.kind = argv ? "exec" : "shell";
    if (!argv)
        argv = shell;
    if (session_load(s, e) < 0 || persist_check_options(s, e) < 0 || choose_vm(s, &id, e) < 0)
        return -1;
    session_find_git(s);
    if (!id && !persist_is_wanted(s) && session_find_ssh_agent(s, e) < 0)
        return -1; /* a kept VM may run already */
    return id ? attach(s, id, argv, e) : in_own_vm(s, command_body, (void *)argv, true, e);
}

int session_setup(struct session *s, struct err *e)
{
    auto_template struct template t = TEMPLATE_INIT;
    auto_plan struct plan plan = PLAN_INIT;

    s->record.kind = "setup";
    if (session_load(s, e) < 0 || session_provision_plan(s, &plan, e) < 0 ||
        template_prepare(s, &plan, &t, e) < 0)
        return -1;
    log_info("agentvm: the template for agent %s is ready", s->agent.name);
    return 0;
}
