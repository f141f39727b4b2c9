/* The services by which a hook learns something, and agentvm_fail. */
#include <string.h>
#include <sys/utsname.h>

#include "base/file.h"
#include "base/home.h"
#include "base/mem.h"
#include "base/str.h"
#include "model/show.h"
#include "plugin/host.h"
#include "plugin/url.h"

enum {
    HOST_FILE_MAX = 1 << 20, /* bytes, as the interface promises */
    MESSAGE_MAX = 1000,
    ADVICE_MAX = 2000,
    SHOWN_MAX = 60,
};

static const char *service_option(struct agentvm_host *services, const char *name)
{
    struct host *h = (struct host *)services;
    /* A call that is made to fail finds nothing set: a default is always there. */
    const struct profile *profile =
        host_enter(services, "option", HOST_ANY) ? h->ctx->profile : NULL;
    const char *wanted = name ? name : "";
    auto_free char *shown = show_text(wanted, SHOWN_MAX);
    const struct plugin_option *option = NULL;

    for (size_t i = 0; i < h->plugin->noptions; i++)
        if (strcmp(h->plugin->options[i].name, wanted) == 0)
            option = &h->plugin->options[i];
    if (!option) {
        host_misuse(h, "option", "the plugin declares no option \"%s\"", shown);
        return NULL;
    }
    for (size_t i = profile ? profile->nsettings : 0; i-- > 0;)
        if (strcmp(profile->settings[i].plugin, h->plugin->name) == 0 &&
            strcmp(profile->settings[i].key, wanted) == 0)
            return profile->settings[i].value;
    return option->default_value;
}

static const char *service_host_env(struct agentvm_host *services, const char *name)
{
    struct host *h = host_enter(services, "host_env", HOST_AUTH);
    size_t len = name ? strlen(name) : 0;

    if (!h)
        return NULL;
    if (!name || !str_is_identifier(name)) {
        host_misuse(h, "host_env", "not an environment variable's name");
        return NULL;
    }
    for (char *const *v = h->ctx->host_env; v && *v; v++)
        if (strncmp(*v, name, len) == 0 && (*v)[len] == '=')
            return (*v)[len + 1] ? *v + len + 1 : NULL;
    return NULL;
}

/* ---- files below the home folder ------------------------------------------------------------ */

static int read_below(const char *home, const char *path, bool secret, struct buf *out,
                      struct err *e)
{
    auto_home_file struct home_file f = HOME_FILE_INIT;
    int rc = home_find(home, path, &f, e);

    if (rc != 0)
        return rc;
    rc = secret ? file_read_private_at(f.dir, f.name, HOST_FILE_MAX, out, e)
                : file_read_at(f.dir, f.name, HOST_FILE_MAX, out, e);
    return rc < 0 ? err_prefix(e, "~/%s", path) : rc;
}

/* As host_misuse, with what the error advises. */
static void fail_for(struct host *h, const char *service, const struct err *why)
{
    if (h->failed)
        return;
    err_set(&h->err, "agentvm_%s: %s", service, err_msg(why));
    if (why->advice)
        err_advise(&h->err, "%s", why->advice);
    host_fail(h);
}

static const char *give_file(struct agentvm_host *services, const char *service, unsigned phases,
                             const char *path, size_t *len)
{
    struct host *h = host_enter(services, service, phases);
    auto_free char *shown = show_text(path ? path : "", SHOWN_MAX);
    bool secret = strcmp(service, "host_secret") == 0;
    auto_buf struct buf data = BUF_INIT;
    auto_err struct err e = ERR_INIT;
    int rc;

    if (!h)
        return NULL;
    if (!path || !plan_is_below_home(path)) {
        host_misuse(h, service, "\"%s\" is not a relative path without \"..\"", shown);
        return NULL;
    }
    rc = read_below(h->ctx->home, path, secret, &data, &e);
    if (rc < 0)
        fail_for(h, service, &e);
    if (rc != 0)
        return NULL;
    if (len)
        *len = data.len;
    return host_keep(h, buf_steal(&data));
}

static const char *service_host_file(struct agentvm_host *services, const char *path, size_t *len)
{
    return give_file(services, "host_file", HOST_AUTH | HOST_LAUNCH, path, len);
}

static const char *service_host_secret(struct agentvm_host *services, const char *path, size_t *len)
{
    return give_file(services, "host_secret", HOST_AUTH, path, len);
}

static const char *service_login(struct agentvm_host *services)
{
    struct host *h = host_enter(services, "login", HOST_AUTH);

    return h ? h->ctx->login : NULL;
}

/* ---- the session ---------------------------------------------------------------------------- */

static const char *service_guest_url(struct agentvm_host *services, const char *url)
{
    struct host *h = host_enter(services, "guest_url", HOST_AUTH);

    if (!h)
        return NULL;
    if (!url) {
        host_misuse(h, "guest_url", "the URL is missing");
        return NULL;
    }
    return host_keep(h, url_for_guest(url, h->ctx->guest_host));
}

static const char *service_fact(struct agentvm_host *services, const char *name)
{
    struct host *h = host_enter(services, "fact", HOST_ANY);
    const struct plugin_context *ctx;
    struct utsname host;

    if (!h || !name)
        return NULL;
    ctx = h->ctx;
    /* Guests have the host's architecture. */
    if (strcmp(name, "arch") == 0 && uname(&host) == 0)
        return host_keep(h, mem_strdup(host.machine));
    if (strcmp(name, "user") == 0)
        return ctx->user;
    if (strcmp(name, "uid") == 0)
        return host_keep(h, mem_printf("%u", ctx->uid));
    if (strcmp(name, "home") == 0)
        return ctx->home;
    if (strcmp(name, "workspace") == 0)
        return HOST_AUTH & 1 << h->phase || HOST_LAUNCH & 1 << h->phase ? ctx->workspace : NULL;
    if (strcmp(name, "tty") == 0 && (h->phase == PLAN_LAUNCH || h->phase == PLAN_LOGIN))
        return ctx->tty ? "1" : "0";
    return NULL;
}

static const char *const *service_args(struct agentvm_host *services)
{
    static const char *const none[] = {NULL};
    struct host *h = host_enter(services, "args", HOST_LAUNCH | HOST_LOGIN);

    return h && h->ctx->args ? (const char *const *)h->ctx->args : none;
}

/* Makes the interface's view of the offers, once. */
static void render_offers(struct host *h)
{
    static const char *const none[] = {NULL};
    const struct plan *offers = h->ctx->offers;

    h->mcp = mem_zalloc(offers->n, sizeof(*h->mcp));
    for (size_t i = 0; i < offers->n; i++) {
        const struct plan_step *s = &offers->steps[i];

        if (s->op != PLAN_OFFER_MCP)
            continue;
        h->mcp[h->nmcp++] = (struct agentvm_mcp){
            .size = sizeof(*h->mcp),
            .name = s->name,
            .argv = s->argv.n ? (const char *const *)s->argv.v : none,
            .env = s->env.n ? (const char *const *)s->env.v : none,
        };
    }
}

static const struct agentvm_mcp *service_mcp(struct agentvm_host *services, size_t index)
{
    struct host *h = host_enter(services, "mcp", HOST_LAUNCH);

    if (!h)
        return NULL;
    if (h->plugin->kind != PLUGIN_AGENT) {
        host_misuse(h, "mcp", "only agents have this service");
        return NULL;
    }
    if (!h->mcp && h->ctx->offers)
        render_offers(h);
    return index < h->nmcp ? &h->mcp[index] : NULL;
}

static int service_fail(struct agentvm_host *services, const char *message, const char *advice)
{
    struct host *h = (struct host *)services;
    auto_free char *why = show_text(message && *message ? message : "no reason given", MESSAGE_MAX);
    auto_free char *what = show_text(advice ? advice : "", ADVICE_MAX);

    if (h->failed)
        return -1;
    err_set(&h->err, "%s", why);
    if (*what)
        err_advise(&h->err, "%s", what);
    h->refused = true;
    return host_fail(h);
}

void host_init_read(struct agentvm_host *services)
{
    services->option = service_option;
    services->host_env = service_host_env;
    services->host_file = service_host_file;
    services->host_secret = service_host_secret;
    services->login = service_login;
    services->guest_url = service_guest_url;
    services->fact = service_fact;
    services->args = service_args;
    services->mcp = service_mcp;
    services->fail = service_fail;
}
