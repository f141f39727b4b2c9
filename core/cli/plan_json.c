/* `agentvm plan --json`: the plans as they are, and what follows from them. */
#include <cjson/cJSON.h>
#include <string.h>

#include "base/mem.h"
#include "cli/plan_view.h"
#include "model/json_text.h"

static void add_plan(cJSON *root, const char *name, const struct plan *p)
{
    auto_free char *text = plan_to_json(p);

    cJSON_AddItemToObject(root, name, cJSON_Parse(text));
}

static void add_layer(cJSON *list, const char *kind, const char *key, bool exists)
{
    cJSON *o;

    if (!*key)
        return;
    o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "kind", kind);
    cJSON_AddStringToObject(o, "key", key);
    cJSON_AddBoolToObject(o, "exists", exists);
    cJSON_AddItemToArray(list, o);
}

static void add_mount(cJSON *list, const char *host, const char *guest, bool writable)
{
    cJSON *o = cJSON_CreateObject();

    cJSON_AddItemToObject(o, "host", json_text(host));
    cJSON_AddItemToObject(o, "guest", json_text(guest));
    cJSON_AddBoolToObject(o, "writable", writable);
    cJSON_AddItemToArray(list, o);
}

static void add_ports(cJSON *root, const struct profile *p)
{
    cJSON *o = cJSON_AddObjectToObject(root, "ports"), *fixed;

    cJSON_AddBoolToObject(o, "auto", strcmp(p->ports_auto, "on") == 0);
    cJSON_AddItemToObject(o, "allow", json_texts(&p->ports_allow));
    cJSON_AddItemToObject(o, "deny", json_texts(&p->ports_deny));
    fixed = cJSON_AddArrayToObject(o, "fixed");
    for (size_t i = 0; i < p->ports_fixed.n; i++) {
        const char *pair = p->ports_fixed.v[i];
        auto_free char *host = mem_dup(pair, strcspn(pair, "="));
        cJSON *item = cJSON_CreateObject();

        cJSON_AddNumberToObject(item, "guest", port_number(strchr(pair, '=') + 1));
        cJSON_AddNumberToObject(item, "host", port_number(host));
        cJSON_AddItemToArray(fixed, item);
    }
}

static const char *guest_path(const struct view *v, const struct jail_bind *b)
{
    for (size_t i = 0; i < v->nitems; i++)
        if (strcmp(v->items[i].source, b->target) == 0)
            return v->items[i].path;
    return b->source;
}

/* What of the host's files the VM sees, and may write. */
static void add_files(cJSON *root, const struct session *s)
{
    cJSON *mounts = cJSON_AddArrayToObject(root, "mounts");
    cJSON *masks = cJSON_AddArrayToObject(root, "masks");
    cJSON *git = cJSON_AddArrayToObject(root, "git_readonly");
    const struct view *v = &s->view;

    add_mount(mounts, s->project, s->project, !s->profile.readonly);
    for (size_t i = 0; i < v->nbinds; i++) {
        const struct jail_bind *b = &v->binds[i];

        if (b->kind == JAIL_MASK)
            cJSON_AddItemToArray(masks, json_text(b->target));
        else if (b->kind == JAIL_MOUNT)
            add_mount(mounts, b->source, guest_path(v, b), !b->readonly);
        else if (b->readonly)
            cJSON_AddItemToArray(git, json_text(b->source ? b->source : b->target));
    }
    cJSON_AddItemToObject(root, "guest_local", json_texts(&v->locals));
}

/* Names of the session's variables, each once; secret ones are credentials. */
static void add_environment(cJSON *root, const struct plan_view *v)
{
    const struct plan *const plans[] = {&v->auth, &v->launch};
    auto_strv struct strv env = STRV_INIT;
    auto_strv struct strv names = STRV_INIT;

    for (size_t i = 0; i < ARRAY_LEN(plans); i++)
        for (size_t j = 0; j < plans[i]->n; j++)
            if (plans[i]->steps[j].op == PLAN_ENV)
                strv_setenv(&env, plans[i]->steps[j].name, "");
    session_environment(v->session, &env);
    for (size_t i = 0; i < env.n; i++) {
        char *name = mem_dup(env.v[i], strcspn(env.v[i], "="));

        if (strv_has(&names, name))
            free(name);
        else
            strv_take(&names, name);
    }
    cJSON_AddItemToObject(root, "environment", json_texts(&names));
}

static void add_git(cJSON *root, const struct git_identity *id)
{
    cJSON *o = cJSON_AddObjectToObject(root, "git_identity");

    if (id->name)
        cJSON_AddItemToObject(o, "name", json_text(id->name));
    if (id->email)
        cJSON_AddItemToObject(o, "email", json_text(id->email));
}

static void add_ssh_agent(cJSON *root, const struct plan_view *v)
{
    if (v->ssh_error.msg)
        cJSON_AddItemToObject(root, "ssh_agent_error", json_text(v->ssh_error.msg));
    else if (v->session->ssh_agent)
        cJSON_AddItemToObject(root, "ssh_agent", json_text(v->session->ssh_agent));
}

static void add_credentials(cJSON *root, const struct plan *auth)
{
    cJSON *list = cJSON_AddArrayToObject(root, "credentials");

    for (size_t i = 0; i < auth->n; i++) {
        const struct plan_step *s = &auth->steps[i];
        cJSON *o;

        if (s->op != PLAN_SECRET_ENV && s->op != PLAN_SECRET_FILE)
            continue;
        o = cJSON_CreateObject();
        if (s->op == PLAN_SECRET_ENV)
            cJSON_AddStringToObject(o, "variable", s->name);
        else
            cJSON_AddItemToObject(o, "file", json_text(s->path));
        cJSON_AddStringToObject(o, "plugin", s->plugin);
        cJSON_AddItemToArray(list, o);
    }
}

cJSON *plan_view_accounts(const struct plan *auth)
{
    cJSON *list = cJSON_CreateArray();

    for (size_t i = 0; i < auth->n; i++) {
        const struct plan_step *s = &auth->steps[i];
        cJSON *o;

        if (s->op != PLAN_ACCOUNT)
            continue;
        o = cJSON_CreateObject();
        cJSON_AddItemToObject(o, "name", json_text(s->name));
        cJSON_AddItemToObject(o, "billing", json_text(s->data.data));
        cJSON_AddBoolToObject(o, "used", plan_is_used_account(auth, s));
        cJSON_AddStringToObject(o, "plugin", s->plugin);
        cJSON_AddItemToArray(list, o);
    }
    return list;
}

static void add_servers(cJSON *root, const struct plan *launch)
{
    cJSON *list = cJSON_AddArrayToObject(root, "mcp_servers");

    for (size_t i = 0; i < launch->n; i++) {
        const struct plan_step *s = &launch->steps[i];
        cJSON *o;

        if (s->op != PLAN_OFFER_MCP)
            continue;
        o = cJSON_CreateObject();
        cJSON_AddStringToObject(o, "name", s->name);
        cJSON_AddStringToObject(o, "from", s->plugin);
        cJSON_AddItemToObject(o, "argv", json_texts(&s->argv));
        cJSON_AddItemToArray(list, o);
    }
}

static void add_script(cJSON *list, const char *path, bool approved)
{
    cJSON *o = cJSON_CreateObject();

    cJSON_AddItemToObject(o, "path", json_text(path));
    cJSON_AddBoolToObject(o, "approved", approved);
    cJSON_AddItemToArray(list, o);
}

/* In the order in which they run; one's own needs no approval. */
static void add_runtime(cJSON *root, const struct plan_view *v)
{
    cJSON *list = cJSON_AddArrayToObject(root, "runtime_scripts");
    auto_free char *path = mem_printf("%s/" PATHS_PROJECT_RUNTIME, v->session->project);

    if (v->user_runtime)
        add_script(list, v->user_runtime, true);
    if (v->session->project_runtime.present)
        add_script(list, path, v->runtime_approved);
}

static void add_argv(cJSON *root, const struct plan *launch)
{
    for (size_t i = 0; i < launch->n; i++)
        if (launch->steps[i].op == PLAN_EXEC)
            cJSON_AddItemToObject(root, "argv", json_texts(&launch->steps[i].argv));
}

static void add_kept(cJSON *root, const struct plan_view *v)
{
    const struct session *s = v->session;
    cJSON *o;

    if (!persist_is_wanted(s))
        return;
    o = cJSON_AddObjectToObject(root, "kept_vm");
    cJSON_AddStringToObject(o, "name", s->options.name ? s->options.name : PERSIST_DEFAULT);
    cJSON_AddBoolToObject(o, "exists", v->kept.name != NULL);
    if (!v->kept.name)
        return;
    cJSON_AddStringToObject(o, "id", v->kept.id);
    cJSON_AddBoolToObject(o, "running", v->kept.busy);
    cJSON_AddBoolToObject(o, "older", v->kept_old);
}

char *plan_view_json(const struct plan_view *v)
{
    auto_free char *settings = profile_to_json(&v->session->profile);
    auto_free char *text = NULL;
    cJSON *root = cJSON_CreateObject(), *layers;

    cJSON_AddItemToObject(root, "project", json_text(v->session->project));
    cJSON_AddStringToObject(root, "agent", v->session->agent.name);
    cJSON_AddItemToObject(root, "settings", cJSON_Parse(settings));
    add_kept(root, v);
    cJSON_AddStringToObject(root, "base_layer", v->keys.base);
    cJSON_AddStringToObject(root, "provisioned_layer", v->keys.provisioned);
    layers = cJSON_AddArrayToObject(root, "layers");
    add_layer(layers, "base", v->keys.base, v->has_base);
    add_layer(layers, "provisioned", v->keys.provisioned, v->has_provisioned);
    add_layer(layers, "warm", v->warm, v->has_warm);
    cJSON_AddItemToObject(root, "packages", json_texts(&v->packages));
    add_files(root, v->session);
    add_ports(root, &v->session->profile);
    add_environment(root, v);
    add_git(root, &v->session->git);
    add_ssh_agent(root, v);
    add_credentials(root, &v->auth);
    cJSON_AddItemToObject(root, "accounts", plan_view_accounts(&v->auth));
    add_servers(root, &v->launch);
    add_runtime(root, v);
    add_argv(root, &v->launch);
    add_plan(root, "provision", &v->provision);
    if (v->auth_error.msg)
        cJSON_AddItemToObject(root, "auth_error", json_text(v->auth_error.msg));
    else
        add_plan(root, "auth", &v->auth);
    add_plan(root, "launch", &v->launch);
    text = cJSON_Print(root);
    cJSON_Delete(root);
    return mem_printf("%s\n", text);
}
