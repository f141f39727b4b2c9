#include <cjson/cJSON.h>
#include <stdlib.h>

#include "base/mem.h"
#include "cli/cli.h"

/* The three plans and the keys of one start. */
struct all {
    struct plan provision, auth, launch;
    struct template_keys keys;
    struct err auth_error; /* no credential: shown, not fatal here */
};

static void all_free(struct all *a)
{
    plan_free(&a->provision);
    plan_free(&a->auth);
    plan_free(&a->launch);
    err_clear(&a->auth_error);
}

static int collect(struct session *s, struct all *a, struct err *e)
{
    if (session_load(s, e) < 0 || session_provision_plan(s, &a->provision, e) < 0 ||
        template_keys(s, &a->provision, &a->keys, e) < 0)
        return -1;
    session_plan(s, PLAN_AUTH, &a->auth, &a->auth_error);
    return session_plan(s, PLAN_LAUNCH, &a->launch, e);
}

static void add_plan(cJSON *root, const char *name, const struct plan *p)
{
    auto_free char *text = plan_to_json(p);

    cJSON_AddItemToObject(root, name, cJSON_Parse(text));
}

static char *as_json(struct session *s, const struct all *a)
{
    cJSON *root = cJSON_CreateObject();
    char *text;

    cJSON_AddStringToObject(root, "project", s->project);
    cJSON_AddStringToObject(root, "agent", s->agent.name);
    cJSON_AddStringToObject(root, "base_layer", a->keys.base);
    cJSON_AddStringToObject(root, "provisioned_layer", a->keys.provisioned);
    add_plan(root, "provision", &a->provision);
    if (a->auth_error.msg)
        cJSON_AddStringToObject(root, "auth_error", a->auth_error.msg);
    else
        add_plan(root, "auth", &a->auth);
    add_plan(root, "launch", &a->launch);
    text = cJSON_Print(root);
    cJSON_Delete(root);
    return text;
}

static void add_section(struct buf *out, const char *title, const struct plan *p)
{
    auto_free char *text = plan_to_json(p);

    buf_printf(out, "\n%s:\n%s\n", title, text);
}

static char *as_text(struct session *s, const struct all *a)
{
    auto_free char *profile = profile_describe(&s->profile);
    auto_free char *project = str_quote(s->project);
    struct buf out = BUF_INIT;

    buf_printf(&out, "folder: %s\nagent: %s %s (%s)\n\nprofile:\n%s", project, s->agent.name,
               s->agent.version, s->agent.path, profile);
    buf_printf(&out, "\nlayers:\n  base        %s\n  provisioned %s\n", a->keys.base,
               a->keys.provisioned[0] ? a->keys.provisioned : "(none needed)");
    add_section(&out, "provision, once, in a VM", &a->provision);
    if (a->auth_error.msg)
        buf_printf(&out, "\nauth, every run:\n%s\n", a->auth_error.msg);
    else
        add_section(&out, "auth, every run", &a->auth);
    add_section(&out, "launch, every run", &a->launch);
    return buf_steal(&out);
}

static int plan(struct session *s, struct cli *cli, struct err *e)
{
    __attribute__((cleanup(all_free))) struct all a = {0};
    auto_free char *text = NULL;

    if (collect(s, &a, e) < 0)
        return -1;
    text = cli->json ? as_json(s, &a) : as_text(s, &a);
    return cli_print(text, e) < 0 || (cli->json && cli_print("\n", e) < 0) ? -1 : 0;
}

int cmd_plan(struct cli *cli, struct err *e)
{
    cli->session.args = cli->words;
    return cli_with_session(cli, plan, e);
}
