#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/plan_view.h"

static void free_view(struct plan_view *v)
{
    plan_free(&v->provision);
    plan_free(&v->auth);
    plan_free(&v->launch);
    strv_free(&v->packages);
    free(v->user_runtime);
    persist_free(&v->kept);
    err_clear(&v->auth_error);
    err_clear(&v->ssh_error);
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void collect_packages(struct session *s, struct plan_view *v)
{
    auto_strv struct strv all = STRV_INIT;

    template_packages(s, &v->provision, &all);
    qsort(all.v, all.n, sizeof(*all.v), compare);
    for (size_t i = 0; i < all.n; i++)
        if (i == 0 || strcmp(all.v[i], all.v[i - 1]) != 0)
            strv_push(&v->packages, all.v[i]);
}

/* A kept VM always boots, from the template that its disk is based on. */
static int find_kept(struct session *s, struct plan_view *v, struct err *e)
{
    int rc;

    if (!persist_is_wanted(s))
        return 0;
    s->options.cold = true;
    rc = persist_look(s, &v->provision, &v->kept, &v->kept_old, e);
    if (rc == 0) {
        memcpy(v->keys.base, v->kept.base, sizeof(v->keys.base));
        memcpy(v->keys.provisioned, v->kept.provisioned, sizeof(v->keys.provisioned));
    }
    return rc < 0 ? -1 : 0;
}

static int find_runtime(struct session *s, struct plan_view *v, struct err *e)
{
    auto_free char *path = NULL;
    auto_buf struct buf text = BUF_INIT;
    int rc = session_user_runtime(s, &path, &text, e);
    enum trust_state state;

    if (rc < 0 || trust_state(&s->paths, s->project, &s->project_runtime, &state, e) < 0)
        return -1;
    if (rc == 0)
        v->user_runtime = steal_ptr(&path);
    v->runtime_approved = state == TRUST_APPROVED;
    return 0;
}

static int collect(struct session *s, struct plan_view *v, struct err *e)
{
    v->session = s;
    if (session_load(s, e) < 0 || persist_check_options(s, e) < 0 ||
        session_provision_plan(s, &v->provision, e) < 0 ||
        template_keys(s, &v->provision, &v->keys, e) < 0 || find_kept(s, v, e) < 0 ||
        find_runtime(s, v, e) < 0)
        return -1;
    v->has_base = store_has(&s->paths, v->keys.base);
    v->has_provisioned = v->keys.provisioned[0] && store_has(&s->paths, v->keys.provisioned);
    if (template_find_warm(s, &v->provision, &v->keys, v->warm))
        v->has_warm = store_has(&s->paths, v->warm);
    else
        v->warm[0] = '\0';
    collect_packages(s, v);
    session_find_git(s);
    session_find_ssh_agent(s, &v->ssh_error);
    session_plan(s, PLAN_AUTH, &v->auth, &v->auth_error);
    if (session_plan(s, PLAN_LAUNCH, &v->launch, e) < 0)
        return -1;
    return session_view(s, e);
}

static int plan(struct session *s, struct cli *cli, struct err *e)
{
    __attribute__((cleanup(free_view))) struct plan_view v = {.kept = PERSIST_INIT};
    auto_free char *text = NULL;

    if (collect(s, &v, e) < 0)
        return -1;
    text = cli->json ? plan_view_json(&v) : plan_view_text(&v);
    return cli_print(text, e);
}

int cmd_plan(struct cli *cli, struct err *e)
{
    cli->session.args = cli->words;
    return cli_with_session(cli, plan, e);
}
