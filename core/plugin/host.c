#include "plugin/host.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "model/show.h"

int host_fail(struct host *h)
{
    h->failed = true;
    if (h->report)
        h->report(h);
    return -1;
}

int host_misuse(struct host *h, const char *service, const char *fmt, ...)
{
    auto_free char *shown = NULL;
    char why[512];
    va_list ap;

    if (h->failed)
        return -1;
    va_start(ap, fmt);
    vsnprintf(why, sizeof(why), fmt, ap);
    va_end(ap);
    shown = show_text(why, 0);
    err_set(&h->err, "agentvm_%s: %s", service, shown);
    return host_fail(h);
}

struct host *host_enter(struct agentvm_host *services, const char *service, unsigned phases)
{
    struct host *h = (struct host *)services;

    if (!(phases & 1u << h->phase)) {
        host_misuse(h, service, "not a service of hook %s", plan_phase_name(h->phase));
        return NULL;
    }
    if (++h->calls != h->fail_nth)
        return h;
    h->injected = h->failed = true; /* not reported: how the hook ends is what counts */
    return NULL;
}

const char *host_keep(struct host *h, char *s)
{
    strv_take(&h->kept, s);
    return s;
}

/* ---- recording ------------------------------------------------------------------------------ */

/* Adds the step that the service stands for, or records why not and returns NULL. */
static struct plan_step *begin(struct agentvm_host *services, enum plan_op op, unsigned phases)
{
    const char *service = plan_op_name(op);
    struct host *h = host_enter(services, service, phases);
    struct plan *p = h ? &h->plan : NULL;

    if (!h || h->failed)
        return NULL;
    if (p->n >= PLAN_STEPS_MAX) {
        host_misuse(h, service, "the hook makes more than %d steps", PLAN_STEPS_MAX);
        return NULL;
    }
    if (p->n > 0 && p->steps[p->n - 1].op == PLAN_EXEC) {
        host_misuse(h, service, "nothing may follow agentvm_exec");
        return NULL;
    }
    return plan_add(p, op, h->plugin->name);
}

static int finish(struct agentvm_host *services, const struct plan_step *s)
{
    struct host *h = (struct host *)services;
    auto_err struct err e = ERR_INIT;

    if (plan_check_step(s, &e) < 0)
        return host_misuse(h, plan_op_name(s->op), "%s", err_msg(&e));
    return 0;
}

static int copy_bytes(struct agentvm_host *services, struct plan_step *s, const void *data,
                      size_t len)
{
    struct host *h = (struct host *)services;

    if (!data && len > 0)
        return host_misuse(h, plan_op_name(s->op), "the data is missing");
    if (len > PLAN_DATA_MAX)
        return host_misuse(h, plan_op_name(s->op), "%zu bytes are more than %d", len,
                           PLAN_DATA_MAX);
    buf_append(&s->data, data, len);
    return 0;
}

static int copy_strings(struct agentvm_host *services, struct plan_step *s, struct strv *out,
                        const char *const *v)
{
    struct host *h = (struct host *)services;

    for (; v && *v; v++) {
        if (out->n >= PLAN_ARGS_MAX)
            return host_misuse(h, plan_op_name(s->op),
                               "more than %d arguments; does NULL end them?", PLAN_ARGS_MAX);
        strv_push(out, *v);
    }
    return 0;
}

static int service_package(struct agentvm_host *services, const char *name)
{
    struct plan_step *s = begin(services, PLAN_PACKAGE, 1 << PLAN_PROVISION);

    if (!s)
        return -1;
    s->name = mem_strdup(name);
    return finish(services, s);
}

static int add_file(struct agentvm_host *services, struct plan_step *s, const char *path,
                    unsigned mode, const void *data, size_t len)
{
    if (!s)
        return -1;
    s->path = mem_strdup(path);
    s->mode = mode;
    return copy_bytes(services, s, data, len) < 0 ? -1 : finish(services, s);
}

/* Whether the flags are known; sets who the step acts as. */
static int set_user(struct agentvm_host *services, struct plan_step *s, unsigned flags)
{
    if (!s)
        return -1;
    if (flags & ~AGENTVM_AS_ROOT)
        return host_misuse((struct host *)services, plan_op_name(s->op), "unknown flags 0x%x",
                           flags);
    s->user = flags & AGENTVM_AS_ROOT ? PLAN_AS_ROOT : PLAN_AS_USER;
    return 0;
}

static int service_file(struct agentvm_host *services, const char *path, unsigned mode,
                        const void *data, size_t len, unsigned flags)
{
    struct plan_step *s =
        begin(services, PLAN_FILE, 1 << PLAN_PROVISION | HOST_LAUNCH | HOST_LOGIN);

    return set_user(services, s, flags) < 0 ? -1 : add_file(services, s, path, mode, data, len);
}

static int service_run(struct agentvm_host *services, const char *label, const char *const *argv,
                       unsigned flags)
{
    struct plan_step *s = begin(services, PLAN_RUN, 1 << PLAN_PROVISION);

    if (set_user(services, s, flags) < 0)
        return -1;
    s->name = mem_strdup(label);
    return copy_strings(services, s, &s->argv, argv) < 0 ? -1 : finish(services, s);
}

static int service_warm(struct agentvm_host *services, const char *const *argv)
{
    struct plan_step *s = begin(services, PLAN_WARM, 1 << PLAN_PROVISION);

    if (!s)
        return -1;
    return copy_strings(services, s, &s->argv, argv) < 0 ? -1 : finish(services, s);
}

static int add_variable(struct agentvm_host *services, struct plan_step *s, const char *name,
                        const char *value)
{
    if (!s)
        return -1;
    s->name = mem_strdup(name);
    if (!value)
        return host_misuse((struct host *)services, plan_op_name(s->op), "the value is missing");
    return copy_bytes(services, s, value, strlen(value)) < 0 ? -1 : finish(services, s);
}

static int service_env(struct agentvm_host *services, const char *name, const char *value)
{
    return add_variable(services, begin(services, PLAN_ENV, HOST_AUTH | HOST_LAUNCH | HOST_LOGIN),
                        name, value);
}

static int service_secret_env(struct agentvm_host *services, const char *name, const char *value)
{
    return add_variable(services, begin(services, PLAN_SECRET_ENV, HOST_AUTH), name, value);
}

static int service_secret_file(struct agentvm_host *services, const char *path, unsigned mode,
                               const void *data, size_t len)
{
    return add_file(services, begin(services, PLAN_SECRET_FILE, HOST_AUTH), path, mode, data, len);
}

/* As begin, for a service of one kind of plugin. */
static struct plan_step *begin_kind(struct agentvm_host *services, enum plan_op op,
                                    enum plugin_kind kind, unsigned phases)
{
    struct host *h = (struct host *)services;

    if (h->plugin->kind != kind) {
        host_misuse(h, plan_op_name(op), "only %s have this service",
                    kind == PLUGIN_AGENT ? "agents" : "tools");
        return NULL;
    }
    return begin(services, op, phases);
}

static int service_offer_mcp(struct agentvm_host *services, const char *name,
                             const char *const *argv, const char *const *env)
{
    struct plan_step *s = begin_kind(services, PLAN_OFFER_MCP, PLUGIN_TOOL, HOST_LAUNCH);

    if (!s)
        return -1;
    s->name = mem_strdup(name);
    if (copy_strings(services, s, &s->argv, argv) < 0 ||
        copy_strings(services, s, &s->env, env) < 0)
        return -1;
    return finish(services, s);
}

static int service_exec(struct agentvm_host *services, const char *const *argv)
{
    struct plan_step *s = begin_kind(services, PLAN_EXEC, PLUGIN_AGENT, HOST_LAUNCH | HOST_LOGIN);

    if (!s)
        return -1;
    return copy_strings(services, s, &s->argv, argv) < 0 ? -1 : finish(services, s);
}

static int service_keep(struct agentvm_host *services, const char *path, const char *transcripts)
{
    struct plan_step *s = begin_kind(services, PLAN_KEEP, PLUGIN_AGENT, HOST_LAUNCH);

    if (!s)
        return -1;
    s->path = mem_strdup(path);
    s->name = mem_strdup(transcripts ? transcripts : "");
    return finish(services, s);
}

static int service_keep_file(struct agentvm_host *services, const char *path)
{
    struct plan_step *s = begin_kind(services, PLAN_KEEP_FILE, PLUGIN_AGENT, HOST_LAUNCH);

    if (!s)
        return -1;
    s->path = mem_strdup(path);
    return finish(services, s);
}

static int service_import(struct agentvm_host *services, const char *source, const char *path)
{
    struct plan_step *s = begin(services, PLAN_IMPORT, HOST_LAUNCH);

    if (!s)
        return -1;
    s->name = mem_strdup(source);
    s->path = mem_strdup(path);
    return finish(services, s);
}

static int service_account(struct agentvm_host *services, const char *name, const char *billing)
{
    return add_variable(services, begin(services, PLAN_ACCOUNT, HOST_AUTH), name, billing);
}

static int service_ask(struct agentvm_host *services, const char *what)
{
    struct plan_step *s = begin_kind(services, PLAN_ASK, PLUGIN_AGENT, HOST_LOGIN);

    if (!s)
        return -1;
    s->name = mem_strdup(what);
    return finish(services, s);
}

/* ---- life ----------------------------------------------------------------------------------- */

void host_init(struct host *h, const struct plugin *pl, enum plan_phase phase,
               const struct plugin_context *ctx)
{
    *h = (struct host){.plugin = pl, .phase = phase, .ctx = ctx};
    h->services = (struct agentvm_host){
        .size = sizeof(h->services),
        .abi_minor = AGENTVM_ABI_MINOR,
        .package = service_package,
        .file = service_file,
        .run = service_run,
        .env = service_env,
        .secret_env = service_secret_env,
        .secret_file = service_secret_file,
        .offer_mcp = service_offer_mcp,
        .exec = service_exec,
        .warm = service_warm,
        .keep = service_keep,
        .keep_file = service_keep_file,
        .import = service_import,
        .account = service_account,
        .ask = service_ask,
    };
    host_init_read(&h->services);
}

int host_finish(struct host *h, int returned)
{
    const struct plan *p = &h->plan;

    if (h->failed)
        return -1;
    if (returned != 0) {
        err_set(&h->err, "returned %d without saying why", returned);
        err_advise(&h->err,
                   "a hook refuses with: return agentvm_fail(host, \"why\", \"what to do\")");
        return -1;
    }
    if (h->phase == PLAN_LAUNCH && h->plugin->kind == PLUGIN_AGENT &&
        (p->n == 0 || p->steps[p->n - 1].op != PLAN_EXEC))
        return err_set(&h->err, "ended without agentvm_exec: there is nothing to start");
    if (h->phase == PLAN_LOGIN && plan_count(p, PLAN_ASK) != 1)
        return err_set(&h->err,
                       "calls agentvm_ask other than once: there is no credential to keep");
    return 0;
}

void host_free(struct host *h)
{
    plan_free(&h->plan);
    err_clear(&h->err);
    strv_free(&h->kept);
    free(h->mcp);
}
