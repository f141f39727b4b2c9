/* Theory of operation
 *
 * The parent opens and checks the plugin's file and forks.  The child gives up everything but that
 * descriptor and a pipe, loads the plugin (whose constructors run now), calls the hook with the
 * table of services and writes one answer: a letter and a document.
 *
 *     D  what the plugin is     (describe)        the answer to an inspection
 *     A  what is wrong with it  ["fault", ...]    the answer to the question for faults
 *     P  what the hook wants    (model/plan)      the answer to a call
 *     N, R  nothing                               the answer to a call of which one service call
 * was to fail: the hook returned after it, before it F  why not                {"message",
 * "advice", "refused"}
 *
 * F is written when the fault is found, so that it is known even if the hook crashes over it.
 * The parent reads until the child has ended, not until the pipe has: the plugin may have left a
 * process that holds the pipe.  What is left of the child's process group is killed.  Nothing that
 * comes through the pipe is believed before describe or plan checked it.
 */
#include "plugin/call.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "model/show.h"
#include "plugin/call_job.h"
#include "plugin/describe.h"
#include "plugin/host.h"
#include "plugin/load.h"
#include "proc/spawn.h"

enum {
    LINE_MAX_BYTES = 2000,
    PRINTED_MAX = 4096, /* bytes kept of what a plugin prints */
    FAULTS_MAX = 200,
};

/* Reads what is there.  Returns 1 at the end of the pipe or when there is nothing now. */
static int read_some(int fd, struct buf *out, struct err *e)
{
    ssize_t n;

    buf_reserve(out, 65536);
    n = read(fd, out->data + out->len, 65536);
    if (n <= 0)
        return n < 0 && errno == EINTR ? 0 : 1;
    out->len += (size_t)n;
    out->data[out->len] = '\0';
    return out->len > ANSWER_MAX ? err_set(e, "answered with more than %d MiB", ANSWER_MAX >> 20)
                                 : 0;
}

/* Collects the answer until the child has ended. */
static int receive(const struct child *c, int fd, int64_t deadline, int limit_ms, struct buf *out,
                   struct err *e)
{
    struct pollfd p[2] = {{.fd = c->pidfd, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    int rc = 0;

    while (!p[0].revents) {
        int n = poll(p, 2, clock_left(deadline));

        if (n == 0)
            return err_set(e, "did not return within %g s", limit_ms / 1000.0);
        if (n < 0 && errno != EINTR)
            return err_errno(e, errno, "cannot wait for it");
        if (n > 0 && p[1].revents)
            rc = read_some(fd, out, e);
        if (rc < 0)
            return -1;
        if (rc > 0 && n > 0 && p[1].revents & POLLHUP)
            p[1].fd = -1;
    }
    spawn_signal(c, SIGKILL); /* before the rest is read: what is left of the group writes too */
    do
        rc = read_some(fd, out, e);
    while (rc == 0);
    return rc < 0 ? -1 : 0;
}

static int judge_end(struct exit_status status, struct err *e)
{
    if (status.signaled)
        return err_set(e, "crashed with SIG%s",
                       sigabbrev_np(status.code) ? sigabbrev_np(status.code) : "?");
    if (status.code == EXIT_MUTE)
        return err_set(e, "closed agentvm's descriptors: there is no way to answer");
    return err_set(e, "called exit(%d) instead of returning", status.code);
}

/* One line of the child's F document, or NULL; the caller frees it. */
static char *take_line(const cJSON *o, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(o, key);

    return cJSON_IsString(item) ? show_text(item->valuestring, LINE_MAX_BYTES) : NULL;
}

/* Turns an F answer into the error it tells of; false if the answer is none. */
static bool take_fault(const struct buf *answer, bool *refused, struct err *e)
{
    cJSON *o = NULL;
    auto_free char *message = NULL, *advice = NULL;

    if (answer->len > 1 && answer->data[0] == 'F')
        o = cJSON_ParseWithLength(answer->data + 1, answer->len - 1);
    message = take_line(o, "message");
    advice = take_line(o, "advice");
    *refused = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, "refused"));
    cJSON_Delete(o);
    if (!message)
        return false;
    err_set(e, "%s", message);
    if (advice)
        err_advise(e, "%s", advice);
    return true;
}

static int compare_numbers(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static int start(struct job *job, struct child *c, int *answer, struct err *e)
{
    int fds[2], keep[3], rc;
    size_t nkeep = job->printed >= 0 ? 3 : 2;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return err_errno(e, errno, "cannot create a pipe");
    job->answer = fds[1];
    job->parent = getpid();
    keep[0] = job->so;
    keep[1] = fds[1];
    keep[2] = job->printed;
    qsort(keep, nkeep, sizeof(*keep), compare_numbers);
    rc = spawn_fork(call_child_main, job, keep, nkeep, c, e);
    close(fds[1]);
    *answer = fds[0];
    return rc < 0 ? -1 : file_set_nonblock(fds[0], true, e);
}

/* Runs the job; the answer starts with one of the letters if 0 is returned. */
static int run(struct job *job, int deadline_ms, const char *letters, struct buf *answer,
               bool *refused, struct err *e)
{
    struct child c = CHILD_INIT;
    struct exit_status status = {0};
    auto_close int fd = -1;
    auto_err struct err fault = ERR_INIT;
    int rc = start(job, &c, &fd, e);

    if (rc == 0)
        rc = receive(&c, fd, clock_ms() + deadline_ms, deadline_ms, answer, e);
    if (rc < 0)
        spawn_signal(&c, SIGKILL);
    if (c.pid > 0 && spawn_reap(&c, &status, &fault) < 0)
        rc = -1;
    if (take_fault(answer, refused, &fault)) {
        err_clear(e);
        *e = fault;
        fault = ERR_INIT;
        return -1;
    }
    if (rc < 0)
        return -1;
    if (answer->len == 0 || status.signaled || status.code != 0)
        return judge_end(status, e);
    return answer->data[0] && strchr(letters, answer->data[0])
               ? 0
               : err_set(e, "wrote into agentvm's pipe");
}

int call_inspect(const char *path, int deadline_ms, struct plugin *out, struct err *e)
{
    auto_free char *real = NULL;
    auto_close int so = load_open(path, &real, e);
    auto_buf struct buf answer = BUF_INIT;
    struct job job = {.kind = JOB_INSPECT, .so = so, .printed = -1};
    bool refused;

    *out = (struct plugin){0};
    if (so < 0)
        return -1;
    if (run(&job, deadline_ms, "D", &answer, &refused, e) < 0)
        return err_prefix(e, "%s", real);
    if (describe_from_json(answer.data + 1, answer.len - 1, out, e) < 0) {
        plugin_free(out);
        return err_prefix(e, "%s: unreadable description", real);
    }
    out->path = steal_ptr(&real);
    return 0;
}

/* What plan_validate cannot know: the plugin's name and kind. */
static int check_plan(const struct plugin *pl, enum plan_phase phase, const struct plan *p,
                      struct err *e)
{
    bool exec = p->n > 0 && p->steps[p->n - 1].op == PLAN_EXEC;

    for (size_t i = 0; i < p->n; i++) {
        if (strcmp(p->steps[i].plugin, pl->name) != 0)
            return err_set(e, "made a step in the name of another plugin");
        if (p->steps[i].op == PLAN_OFFER_MCP && pl->kind == PLUGIN_AGENT)
            return err_set(e, "offers an MCP server, but is an agent");
    }
    if (phase == PLAN_LOGIN && plan_count(p, PLAN_ASK) != 1)
        return err_set(e, "a login asks for exactly one credential");
    if (phase == PLAN_LAUNCH && exec != (pl->kind == PLUGIN_AGENT))
        return err_set(e, "an agent's launch ends in one exec, a tool's in none");
    return plan_validate(p, phase, e);
}

/* Runs the hook and takes its plan, or, where a service call was to fail, no more than its end. */
static int call(struct job *job, struct plugin_trial *trial, struct plan *out, struct err *e)
{
    auto_plan struct plan p = PLAN_INIT;
    auto_buf struct buf answer = BUF_INIT;
    const char *letters = trial->fail_nth > 0 ? "NR" : "P";

    if (run(job, trial->deadline_ms, letters, &answer, &trial->refused, e) < 0)
        return -1;
    trial->reached = answer.data[0] == 'N';
    if (trial->fail_nth > 0)
        return 0;
    if (plan_from_json(answer.data + 1, answer.len - 1, &p, e) < 0)
        return err_prefix(e, "unreadable plan");
    if (check_plan(job->plugin, job->phase, &p, e) < 0)
        return -1;
    *out = p;
    p = PLAN_INIT;
    return 0;
}

/* Makes a pipe for what the plugin prints, full after some pages and then refusing more. */
static int open_printed(int fds[2], struct err *e)
{
    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) == 0)
        return 0;
    fds[0] = fds[1] = -1;
    return err_errno(e, errno, "cannot create a pipe");
}

static void read_printed(int fd, struct buf *out)
{
    ssize_t n;

    buf_reserve(out, PRINTED_MAX);
    n = read(fd, out->data, PRINTED_MAX);
    out->len = n > 0 ? (size_t)n : 0;
    out->data[out->len] = '\0';
}

int plugin_try(const struct plugin *pl, enum plan_phase phase, const struct plugin_context *ctx,
               struct plugin_trial *trial, struct plan *out, struct err *e)
{
    auto_close int so = -1;
    struct job job = {
        .kind = JOB_CALL, .plugin = pl, .phase = phase, .ctx = ctx, .trial = trial, .printed = -1};
    int printed[2] = {-1, -1}, rc;

    *out = PLAN_INIT;
    trial->reached = trial->refused = false;
    if (!pl->has_hook[phase])
        return 0;
    so = load_open(pl->path, NULL, e);
    job.so = so;
    rc = so < 0 || (trial->printed && open_printed(printed, e) < 0) ? -1 : 0;
    job.printed = printed[1];
    if (rc == 0)
        rc = call(&job, trial, out, e);
    if (trial->printed && printed[0] >= 0)
        read_printed(printed[0], trial->printed);
    close_fd(&printed[0]);
    close_fd(&printed[1]);
    return rc < 0 ? err_prefix(e, "plugin %s, hook %s", pl->name, plan_phase_name(phase)) : 0;
}

int call_hook(const struct plugin *pl, enum plan_phase phase, const struct plugin_context *ctx,
              int deadline_ms, struct plan *out, struct err *e)
{
    struct plugin_trial trial = {.deadline_ms = deadline_ms};

    return plugin_try(pl, phase, ctx, &trial, out, e);
}

/* The strings of an A answer. */
static void take_faults(const struct buf *answer, struct strv *out)
{
    cJSON *list = cJSON_ParseWithLength(answer->data + 1, answer->len - 1);
    const cJSON *item;

    cJSON_ArrayForEach(item, list)
    {
        if (cJSON_IsString(item) && out->n < FAULTS_MAX)
            strv_take(out, show_text(item->valuestring, LINE_MAX_BYTES));
    }
    cJSON_Delete(list);
}

int call_faults(const char *path, struct strv *out, struct err *e)
{
    auto_close int so = load_open(path, NULL, e);
    auto_buf struct buf answer = BUF_INIT;
    struct job job = {.kind = JOB_FAULTS, .so = so, .printed = -1};
    bool refused;

    if (so < 0 || run(&job, CALL_DEADLINE_MS, "A", &answer, &refused, e) < 0)
        return -1;
    take_faults(&answer, out);
    return 0;
}

int plugin_inspect(const char *path, struct plugin *out, struct err *e)
{
    return call_inspect(path, CALL_DEADLINE_MS, out, e);
}

int plugin_call(const struct plugin *pl, enum plan_phase phase, const struct plugin_context *ctx,
                struct plan *out, struct err *e)
{
    return call_hook(pl, phase, ctx, CALL_DEADLINE_MS, out, e);
}
