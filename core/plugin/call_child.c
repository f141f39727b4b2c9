/* The process in which a plugin's code runs; see call.c. */
#include <cjson/cJSON.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "plugin/call_job.h"
#include "plugin/describe.h"
#include "plugin/host.h"
#include "plugin/load.h"

static int write_answer(const struct job *job, char letter, const char *text)
{
    if (file_write_all(job->answer, &letter, 1, NULL) < 0 ||
        file_write_all(job->answer, text, strlen(text), NULL) < 0)
        _exit(EXIT_MUTE);
    return 0;
}

static int write_document(const struct job *job, char letter, const cJSON *document)
{
    char *text = cJSON_PrintUnformatted(document); /* not freed: the process ends */

    return write_answer(job, letter, text);
}

static int write_fault(const struct job *job, const struct err *why, bool refused)
{
    cJSON *o = cJSON_CreateObject();

    cJSON_AddStringToObject(o, "message", err_msg(why));
    if (why->advice)
        cJSON_AddStringToObject(o, "advice", why->advice);
    cJSON_AddBoolToObject(o, "refused", refused);
    return write_document(job, 'F', o);
}

static void report_fault(struct host *h)
{
    write_fault(h->report_arg, &h->err, h->refused);
}

/* Leaves the plugin nothing of agentvm's: no terminal, no core dump with secrets in it. */
static int enter_child(const struct job *job)
{
    struct rlimit none = {0, 0};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != job->parent)
        return -1;
    for (int fd = 0; fd < 3; fd++)
        if (dup2(fd > 0 && job->printed >= 0 ? job->printed : null, fd) < 0)
            return -1;
    close(null);
    if (job->printed >= 0)
        close(job->printed);
    if (job->trial && job->trial->elsewhere && (clearenv() != 0 || chdir("/") < 0))
        return -1;
    return setrlimit(RLIMIT_CORE, &none);
}

static int inspect_in_child(const struct job *job, const struct agentvm_plugin *table)
{
    struct plugin pl = {0}; /* not freed: the process ends */
    struct err why = ERR_INIT;

    if (describe_table(table, &pl, &why) < 0)
        return write_fault(job, &why, false);
    return write_answer(job, 'D', describe_to_json(&pl));
}

static int list_faults(const struct job *job, const struct agentvm_plugin *table)
{
    struct plugin pl = {0};
    struct strv faults = STRV_INIT;
    cJSON *list = cJSON_CreateArray();

    describe_faults(table, &pl, &faults);
    for (size_t i = 0; i < faults.n; i++)
        cJSON_AddItemToArray(list, cJSON_CreateString(faults.v[i]));
    return write_document(job, 'A', list);
}

static agentvm_hook *find_hook(const struct agentvm_plugin *table, enum plan_phase phase)
{
    agentvm_hook *const hooks[PLAN_PHASES] = {table->provision, table->auth, table->launch,
                                              table->login};

    return hooks[phase];
}

/* Judges how the hook ended and answers. */
static int answer_call(const struct job *job, struct host *h, int returned)
{
    char *text;

    if (h->fail_nth > 0)
        return write_answer(job, h->injected ? 'N' : 'R', "");
    if (host_finish(h, returned) < 0)
        return h->failed ? 0 : write_fault(job, &h->err, false);
    text = plan_to_private_json(&h->plan);
    if (strlen(text) < ANSWER_MAX)
        return write_answer(job, 'P', text);
    err_set(&h->err, "asks for more than %d MiB in all", ANSWER_MAX >> 20);
    return write_fault(job, &h->err, false);
}

static int hook_in_child(struct job *job, const struct agentvm_plugin *table)
{
    agentvm_hook *hook = find_hook(table, job->phase);
    struct host h;

    host_init(&h, job->plugin, job->phase, job->ctx);
    h.fail_nth = job->trial ? job->trial->fail_nth : 0;
    h.report = h.fail_nth > 0 ? NULL : report_fault;
    h.report_arg = job;
    if (!hook || !table->name || strcmp(table->name, job->plugin->name) != 0) {
        err_set(&h.err, "the file was replaced meanwhile; run agentvm again");
        return write_fault(job, &h.err, false);
    }
    prctl(PR_SET_DUMPABLE, 0); /* a core handler that is a pipe ignores RLIMIT_CORE */
    return answer_call(job, &h, hook(&h.services));
}

int call_child_main(void *arg)
{
    struct job *job = arg;
    struct agentvm_plugin table;
    struct err why = ERR_INIT;

    if (enter_child(job) < 0)
        return EXIT_MUTE;
    if (load_table(job->so, &table, &why) < 0)
        return write_fault(job, &why, false);
    close(job->so);
    switch (job->kind) {
    case JOB_INSPECT:
        return inspect_in_child(job, &table);
    case JOB_FAULTS:
        return list_faults(job, &table);
    default:
        return hook_in_child(job, &table);
    }
}
