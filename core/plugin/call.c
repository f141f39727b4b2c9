/* Theory of operation
 *
 * The parent opens and checks the plugin's file and forks.  The child gives up everything but that
 * descriptor and a pipe, loads the plugin (whose constructors run now), calls the hook with the
 * table of services and writes one answer: a letter and a document.
 *
 *     D  what the plugin is     (describe)        the answer to an inspection
 *     P  what the hook wants    (model/plan)      the answer to a call
 *     F  why not                {"message", "advice"}
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
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "model/show.h"
#include "plugin/describe.h"
#include "plugin/host.h"
#include "plugin/load.h"
#include "proc/spawn.h"

enum {
    ANSWER_MAX = 8 << 20, /* bytes of an answer with its letter */
    LINE_MAX_BYTES = 2000,
    EXIT_MUTE = 121, /* the child could not write its answer */
};

struct job {
    int so;     /* the checked file */
    int answer; /* the pipe's writing end */
    pid_t parent;
    const struct plugin *plugin; /* NULL: inspect */
    enum plan_phase phase;
    const struct plugin_context *ctx;
};

/* ---- in the child --------------------------------------------------------------------------- */

static int write_answer(const struct job *job, char letter, const char *text)
{
    if (file_write_all(job->answer, &letter, 1, NULL) < 0 ||
        file_write_all(job->answer, text, strlen(text), NULL) < 0)
        _exit(EXIT_MUTE);
    return 0;
}

static int write_fault(const struct job *job, const struct err *why)
{
    cJSON *o = cJSON_CreateObject();
    char *text;

    cJSON_AddStringToObject(o, "message", err_msg(why));
    if (why->advice)
        cJSON_AddStringToObject(o, "advice", why->advice);
    text = cJSON_PrintUnformatted(o);
    return write_answer(job, 'F', text);
}

static void report_fault(struct host *h)
{
    write_fault(h->report_arg, &h->err);
}

/* Leaves the plugin nothing of agentvm's: no terminal, no core dump with secrets in it. */
static int enter_child(const struct job *job)
{
    struct rlimit none = {0, 0};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != job->parent)
        return -1;
    for (int fd = 0; fd < 3; fd++)
        if (dup2(null, fd) < 0)
            return -1;
    close(null);
    return setrlimit(RLIMIT_CORE, &none);
}

static int inspect_in_child(const struct job *job, const struct agentvm_plugin *table)
{
    struct plugin pl = {0}; /* not freed: the process ends */
    struct err why = ERR_INIT;

    if (describe_table(table, &pl, &why) < 0)
        return write_fault(job, &why);
    return write_answer(job, 'D', describe_to_json(&pl));
}

static agentvm_hook *find_hook(const struct agentvm_plugin *table, enum plan_phase phase)
{
    return phase == PLAN_PROVISION ? table->provision
           : phase == PLAN_AUTH    ? table->auth
                                   : table->launch;
}

static int hook_in_child(struct job *job, const struct agentvm_plugin *table)
{
    agentvm_hook *hook = find_hook(table, job->phase);
    struct host h;
    char *text;

    host_init(&h, job->plugin, job->phase, job->ctx);
    h.report = report_fault;
    h.report_arg = job;
    if (!hook || !table->name || strcmp(table->name, job->plugin->name) != 0) {
        err_set(&h.err, "the file was replaced meanwhile; run agentvm again");
        return write_fault(job, &h.err);
    }
    prctl(PR_SET_DUMPABLE, 0); /* a core handler that is a pipe ignores RLIMIT_CORE */
    if (host_finish(&h, hook(&h.services)) < 0)
        return h.failed ? 0 : write_fault(job, &h.err);
    text = plan_to_private_json(&h.plan);
    if (strlen(text) < ANSWER_MAX)
        return write_answer(job, 'P', text);
    err_set(&h.err, "asks for more than %d MiB in all", ANSWER_MAX >> 20);
    return write_fault(job, &h.err);
}

static int child_main(void *arg)
{
    struct job *job = arg;
    struct agentvm_plugin table;
    struct err why = ERR_INIT;

    if (enter_child(job) < 0)
        return EXIT_MUTE;
    if (load_table(job->so, &table, &why) < 0)
        return write_fault(job, &why);
    close(job->so);
    return job->plugin ? hook_in_child(job, &table) : inspect_in_child(job, &table);
}

/* ---- in the parent -------------------------------------------------------------------------- */

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
static bool take_fault(const struct buf *answer, struct err *e)
{
    cJSON *o = NULL;
    auto_free char *message = NULL, *advice = NULL;

    if (answer->len > 1 && answer->data[0] == 'F')
        o = cJSON_ParseWithLength(answer->data + 1, answer->len - 1);
    message = take_line(o, "message");
    advice = take_line(o, "advice");
    cJSON_Delete(o);
    if (!message)
        return false;
    err_set(e, "%s", message);
    if (advice)
        err_advise(e, "%s", advice);
    return true;
}

static int start(struct job *job, struct child *c, int *answer, struct err *e)
{
    int fds[2], keep[2], rc;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return err_errno(e, errno, "cannot create a pipe");
    job->answer = fds[1];
    job->parent = getpid();
    keep[0] = job->so < fds[1] ? job->so : fds[1];
    keep[1] = job->so < fds[1] ? fds[1] : job->so;
    rc = spawn_fork(child_main, job, keep, ARRAY_LEN(keep), c, e);
    close(fds[1]);
    *answer = fds[0];
    return rc < 0 ? -1 : file_set_nonblock(fds[0], true, e);
}

/* Runs the job; the answer starts with the letter if 0 is returned. */
static int run(struct job *job, int deadline_ms, char letter, struct buf *answer, struct err *e)
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
    if (take_fault(answer, &fault)) {
        err_clear(e);
        *e = fault;
        fault = ERR_INIT;
        return -1;
    }
    if (rc < 0)
        return -1;
    if (answer->len == 0 || status.signaled || status.code != 0)
        return judge_end(status, e);
    return answer->data[0] == letter ? 0 : err_set(e, "wrote into agentvm's pipe");
}

int call_inspect(const char *path, int deadline_ms, struct plugin *out, struct err *e)
{
    auto_free char *real = NULL;
    auto_close int so = load_open(path, &real, e);
    auto_buf struct buf answer = BUF_INIT;
    struct job job = {.so = so};

    *out = (struct plugin){0};
    if (so < 0)
        return -1;
    if (run(&job, deadline_ms, 'D', &answer, e) < 0)
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
    if (phase == PLAN_LAUNCH && exec != (pl->kind == PLUGIN_AGENT))
        return err_set(e, "an agent's launch ends in one exec, a tool's in none");
    return plan_validate(p, phase, e);
}

static int call(const struct plugin *pl, struct job *job, int deadline_ms, struct plan *out,
                struct err *e)
{
    auto_plan struct plan p = PLAN_INIT;
    auto_buf struct buf answer = BUF_INIT;

    if (run(job, deadline_ms, 'P', &answer, e) < 0)
        return -1;
    if (plan_from_json(answer.data + 1, answer.len - 1, &p, e) < 0)
        return err_prefix(e, "unreadable plan");
    if (check_plan(pl, job->phase, &p, e) < 0)
        return -1;
    *out = p;
    p = PLAN_INIT;
    return 0;
}

int call_hook(const struct plugin *pl, enum plan_phase phase, const struct plugin_context *ctx,
              int deadline_ms, struct plan *out, struct err *e)
{
    bool has = phase == PLAN_PROVISION ? pl->has_provision
               : phase == PLAN_AUTH    ? pl->has_auth
                                       : pl->has_launch;
    auto_close int so = -1;
    struct job job = {.plugin = pl, .phase = phase, .ctx = ctx};

    *out = PLAN_INIT;
    if (!has)
        return 0;
    so = load_open(pl->path, NULL, e);
    job.so = so;
    if (so < 0 || call(pl, &job, deadline_ms, out, e) < 0)
        return err_prefix(e, "plugin %s, hook %s", pl->name, host_phase_name(phase));
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
