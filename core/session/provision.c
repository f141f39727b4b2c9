#include "session/provision.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

static const char *guest_user(const struct session *s, const struct plan_step *step)
{
    return step->user == PLAN_AS_ROOT ? "root" : s->user.name;
}

int provision_files(struct session *s, const struct plan *p, struct err *e)
{
    for (size_t i = 0; i < p->n; i++) {
        const struct plan_step *step = &p->steps[i];

        if (step->op != PLAN_FILE && step->op != PLAN_SECRET_FILE)
            continue;
        if (guest_put(client_guest(s->link), step->path, step->mode, guest_user(s, step),
                      step->data.data, step->data.len, e) < 0)
            return task_check(&s->task, e) < 0
                       ? -1
                       : err_prefix(e, "file %s of %s", step->path, step->plugin);
    }
    return 0;
}

int provision_command(struct session *s, const char *name, char *const *argv, const char *user,
                      int log, struct err *e)
{
    struct guest_program program = {.argv = argv, .user = user};
    struct guest_stdio io = {-1, log, log, false};
    struct exit_status status;

    dprintf(log, "agentvm: %s\n", name);
    if (task_check(&s->task, e) < 0)
        return -1;
    if (session_program(s, &program, &io, &status, e) < 0)
        err_prefix(e, "step \"%s\"", name);
    else if (exit_status_code(status) != 0)
        err_set(e, "step \"%s\" failed with exit code %d", name, exit_status_code(status));
    if (s->task.interrupted)
        return task_check(&s->task, e);
    return e->msg ? -1 : 0;
}

int provision_run(struct session *s, const struct plan *p, const char *log, struct err *e)
{
    auto_close int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    size_t total = 0, done = 0;

    if (fd < 0)
        return err_errno(e, errno, "cannot create %s", log);
    for (size_t i = 0; i < p->n; i++)
        total += p->steps[i].op == PLAN_RUN;
    if (provision_files(s, p, e) < 0)
        return -1;
    for (size_t i = 0; i < p->n; i++) {
        if (p->steps[i].op != PLAN_RUN)
            continue;
        stage_progress(&s->stages, p->steps[i].name, (double)done++ / (double)total);
        if (provision_command(s, p->steps[i].name, p->steps[i].argv.v, guest_user(s, &p->steps[i]),
                              fd, e) < 0)
            return s->task.interrupted ? -1 : err_prefix(e, "plugin %s", p->steps[i].plugin);
    }
    return 0;
}
