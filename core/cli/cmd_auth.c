/* `agentvm auth status`: the accounts of every agent, and which of them a session bills. */
#include <string.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/plan_view.h"
#include "model/json_text.h"
#include "model/login.h"
#include "model/show.h"

/* What is known of one agent. */
struct status {
    const struct plugin *agent;
    bool chosen; /* by the profile */
    bool kept;   /* there is something of `agentvm login` */
    struct plan auth;
    struct err why; /* no session of it would start */
};

static void status_free(struct status *st)
{
    plan_free(&st->auth);
    err_clear(&st->why);
}
#define auto_status __attribute__((cleanup(status_free)))

static void find_status(struct session *s, const struct plugin *agent, struct status *st)
{
    auto_free char *login = NULL;

    *st = (struct status){.agent = agent, .chosen = strcmp(agent->name, s->agent.name) == 0};
    st->kept = login_read(&s->paths, agent->name, &login, NULL) < 0 || login;
    if (login)
        explicit_bzero(login, strlen(login));
    session_agent_auth(s, agent, &st->auth, &st->why);
}

static cJSON *status_json(const struct status *st)
{
    cJSON *o = cJSON_CreateObject();

    cJSON_AddStringToObject(o, "agent", st->agent->name);
    cJSON_AddBoolToObject(o, "chosen", st->chosen);
    cJSON_AddBoolToObject(o, "ready", !st->why.msg);
    cJSON_AddBoolToObject(o, "login", st->kept);
    cJSON_AddItemToObject(o, "accounts", plan_view_accounts(&st->auth));
    if (st->why.msg)
        cJSON_AddItemToObject(o, "error", json_text(st->why.msg));
    return o;
}

static void add_text(const struct status *st, struct buf *out)
{
    size_t accounts = plan_count(&st->auth, PLAN_ACCOUNT);

    buf_printf(out, "%s%s\n", st->agent->name, st->chosen ? " (the chosen agent)" : "");
    if (st->why.msg)
        buf_printf(out, "  %s\n", st->why.msg);
    else if (accounts == 0)
        buf_puts(out, "  starts; its plugin names no account\n");
    for (size_t i = 0; i < st->auth.n; i++) {
        const struct plan_step *s = &st->auth.steps[i];
        auto_free char *name = NULL, *billing = NULL;

        if (s->op != PLAN_ACCOUNT)
            continue;
        name = show_text(s->name, 0);
        billing = show_text(s->data.data, 0);
        buf_printf(out, "  %-8s  %s (%s)\n",
                   plan_is_used_account(&st->auth, s) ? "used" : "not used", name, billing);
    }
    if (st->why.advice)
        buf_printf(out, "  %s\n", st->why.advice);
}

/* The session's own agent, or all of them.  *ready: that one has what it needs. */
static int collect(struct session *s, bool all, struct buf *text, cJSON *list, bool *ready,
                   struct err *e)
{
    struct plugin_list found = {.plugins = &s->agent, .n = 1};

    if (all && plugin_scan(&s->paths, &found, e) < 0)
        return -1;
    for (size_t i = 0; i < found.n; i++) {
        auto_status struct status st = {0};

        if (found.plugins[i].kind != PLUGIN_AGENT)
            continue;
        find_status(s, &found.plugins[i], &st);
        if (st.chosen)
            *ready = !st.why.msg;
        add_text(&st, text);
        cJSON_AddItemToArray(list, status_json(&st));
    }
    if (all)
        plugin_list_free(&found);
    return 0;
}

static int print_status(struct session *s, struct cli *cli, struct err *e)
{
    auto_buf struct buf text = BUF_INIT;
    cJSON *list = cJSON_CreateArray();
    bool ready = false;
    int rc = session_load_user(s, e);

    if (rc == 0)
        rc = collect(s, !cli->named, &text, list, &ready, e);
    if (rc == 0 && cli->json)
        return cli_print_json(list, e) < 0 ? -1 : !ready;
    cJSON_Delete(list);
    if (rc < 0 || cli_print(text.data, e) < 0)
        return -1;
    return !ready;
}

int cmd_auth(struct cli *cli, struct err *e)
{
    bool is_status = *cli->words && strcmp(*cli->words, "status") == 0;
    int rc = 0;

    if (is_status)
        rc = cli_parse_more(cli, "auth", e);
    if (is_status && rc == 0)
        rc = cli_take_agent(cli, "auth", e);
    if (rc != 0)
        return rc < 0 ? -1 : 0;
    if (is_status && !*cli->words)
        return cli_with_session(cli, print_status, e);
    err_set(e, "auth takes the words: status [AGENT]");
    return err_advise(e, "see agentvm help auth");
}
