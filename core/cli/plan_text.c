/* `agentvm plan` for people: what a start would do, in the order in which it would. */
#include <string.h>

#include "base/mem.h"
#include "cli/plan_view.h"
#include "model/show.h"
#include "model/words.h"

enum { LINE_WIDTH = 100 };

static void add_lines(struct buf *out, const char *text)
{
    while (*text) {
        size_t len = strcspn(text, "\n");

        buf_printf(out, "  %.*s\n", (int)len, text);
        text += len + (text[len] == '\n');
    }
}

static void add_layer(struct buf *out, const char *kind, const char *key, bool exists,
                      const char *without)
{
    if (*key)
        buf_printf(out, "  %-12s %.16s  %s\n", kind, key,
                   exists ? "exists" : "does not exist, the next start makes it");
    else
        buf_printf(out, "  %-12s %s\n", kind, without);
}

static void add_words(struct buf *out, const struct strv *words)
{
    size_t column = 1;

    buf_puts(out, " ");
    for (size_t i = 0; i < words->n; i++) {
        size_t len = strlen(words->v[i]) + 1;

        if (column > 1 && column + len > LINE_WIDTH) {
            buf_puts(out, "\n ");
            column = 1;
        }
        buf_printf(out, " %s", words->v[i]);
        column += len;
    }
    buf_puts(out, "\n");
}

static const char *user_name(const struct plan_step *s)
{
    return s->user == PLAN_AS_ROOT ? "root" : "the user";
}

/* One line for a step; nothing for those that have a list of their own. */
static void add_step(struct buf *out, const struct plan_step *s)
{
    auto_free char *argv = words_join(&s->argv), *env = words_join(&s->env);
    auto_free char *path = str_quote(s->path ? s->path : ""), *line = NULL, *shown = NULL;
    auto_free char *name = show_text(s->name ? s->name : "", 0);

    switch (s->op) {
    case PLAN_FILE:
        line = mem_printf("file %s, %zu bytes, mode %04o, of %s", path, s->data.len,
                          (unsigned)s->mode, user_name(s));
        break;
    case PLAN_RUN:
        line = mem_printf("%s, as %s: %s", name, user_name(s), argv);
        break;
    case PLAN_WARM:
        line = mem_printf("warm up, as %s: %s", user_name(s), argv);
        break;
    case PLAN_ENV:
        line = mem_strdup(name);
        break;
    case PLAN_SECRET_ENV:
        line = mem_printf("variable %s", name);
        break;
    case PLAN_SECRET_FILE:
        line = mem_printf("file %s, mode %04o", path, (unsigned)s->mode);
        break;
    case PLAN_OFFER_MCP:
        line = mem_printf("%s: %s%s%s", name, argv, *env ? ", with variables " : "", env);
        break;
    case PLAN_KEEP:
    case PLAN_KEEP_FILE:
        line = mem_printf("%s outlives the VM", path);
        break;
    case PLAN_IMPORT:
        line = mem_printf("a copy of ~/%s goes to %s", name, path);
        break;
    case PLAN_ACCOUNT:
        line = mem_printf("%s: %s", name, s->data.data ? s->data.data : "");
        break;
    case PLAN_PACKAGE:
    case PLAN_EXEC:
    case PLAN_ASK:
        line = mem_strdup(*argv ? argv : name);
        break;
    }
    shown = show_text(line, 0);
    buf_printf(out, "  %s  (%s)\n", shown, s->plugin);
}

/* The steps of one sort under their title; an empty list says so. */
static void add_steps(struct buf *out, const struct plan *p, unsigned ops)
{
    size_t before = out->len;

    for (size_t i = 0; i < p->n; i++)
        if (ops & 1u << p->steps[i].op)
            add_step(out, &p->steps[i]);
    if (out->len == before)
        buf_puts(out, "  none\n");
}

static void add_environment(struct buf *out, const struct plan_view *v)
{
    auto_strv struct strv own = STRV_INIT;

    session_environment(v->session, &own);
    for (size_t i = 0; i < v->auth.n; i++)
        if (v->auth.steps[i].op == PLAN_ENV)
            add_step(out, &v->auth.steps[i]);
    for (size_t i = 0; i < v->launch.n; i++)
        if (v->launch.steps[i].op == PLAN_ENV)
            add_step(out, &v->launch.steps[i]);
    for (size_t i = 0; i < own.n; i++)
        buf_printf(out, "  %.*s\n", (int)strcspn(own.v[i], "="), own.v[i]);
}

static void add_kept(struct buf *out, const struct plan_view *v)
{
    const struct session *s = v->session;
    const char *name = s->options.name ? s->options.name : PERSIST_DEFAULT;

    if (!persist_is_wanted(s))
        return;
    buf_printf(out, "\nkept VM:\n  %s  ", name);
    if (!v->kept.name)
        buf_printf(out, "%s\n",
                   s->options.reset ? "made anew, without what is on its disk"
                                    : "does not exist, the next start makes it");
    else
        buf_printf(out, "%s%s%s\n", v->kept.id, v->kept.busy ? ", runs now" : "",
                   v->kept_old ? ", made from an older template than this profile's" : "");
}

static const char *why_not_warm(const struct session *s)
{
    return persist_is_wanted(s) ? "not used: a kept VM boots"
           : s->options.cold    ? "not used: --cold"
                                : "known once the layers above exist";
}

static void add_image(struct buf *out, const struct plan_view *v)
{
    add_kept(out, v);
    buf_printf(out, "\nlayers of %s:\n", v->kept.name ? "its template" : "the template");
    add_layer(out, "base", v->keys.base, v->has_base, "");
    add_layer(out, "provisioned", v->keys.provisioned, v->has_provisioned, "not needed");
    add_layer(out, "saved VM", v->warm, v->has_warm, why_not_warm(v->session));
    buf_printf(out, "\npackages in the image (%zu):\n", v->packages.n);
    add_words(out, &v->packages);
    buf_puts(out, "\nonce, while the template is made:\n");
    add_steps(out, &v->provision, 1u << PLAN_FILE | 1u << PLAN_RUN | 1u << PLAN_WARM);
}

static void add_ports(struct buf *out, const struct profile *p)
{
    auto_free char *allow = words_join(&p->ports_allow), *deny = words_join(&p->ports_deny);
    bool automatic = strcmp(p->ports_auto, "on") == 0 && *allow;

    for (size_t i = 0; i < p->ports_fixed.n; i++) {
        const char *pair = p->ports_fixed.v[i];
        int len = (int)strcspn(pair, "=");

        buf_printf(out, "  %s as %.*s\n", pair + len + 1, len, pair);
    }
    if (automatic)
        buf_printf(out, "  those of %s that open, under their own number\n", allow);
    if (*deny)
        buf_printf(out, "  never %s\n", deny);
    if (!automatic && p->ports_fixed.n == 0)
        buf_puts(out, "  none\n");
}

/* What of the host's files the VM sees, and may write. */
static void add_mounts(struct buf *out, const struct session *s, const char *project)
{
    const struct view *v = &s->view;

    buf_printf(out, "\nmounts:\n  %s  %s, at the same path in the VM\n", project,
               s->profile.readonly ? "read-only" : "writable");
    for (size_t i = 0; i < v->nbinds; i++) {
        const struct jail_bind *b = &v->binds[i];
        auto_free char *path = str_quote(b->source ? b->source : b->target);

        if (b->kind == JAIL_MASK)
            buf_printf(out, "  %s  hidden\n", path);
        else if (b->readonly || b->kind == JAIL_MOUNT)
            buf_printf(out, "  %s  %s\n", path, b->readonly ? "read-only" : "writable");
    }
    for (size_t i = 0; i < v->locals.n; i++) {
        auto_free char *path = str_quote(v->locals.v[i]);

        buf_printf(out, "  %s  on the VM's own disk%s\n", path,
                   s->profile.locals_keep ? ", kept" : "");
    }
}

static void add_git(struct buf *out, const struct git_identity *id)
{
    auto_free char *name = show_text(id->name ? id->name : "", 0);
    auto_free char *email = show_text(id->email ? id->email : "", 0);

    if (id->name || id->email)
        buf_printf(out, "\ncommits as:\n  %s <%s>\n", name, email);
}

static void add_ssh_agent(struct buf *out, const struct plan_view *v)
{
    auto_free char *path = str_quote(v->session->ssh_agent ? v->session->ssh_agent : "");

    if (v->ssh_error.msg)
        buf_printf(out, "\nssh-agent:\n  none: %s\n", v->ssh_error.msg);
    else if (v->session->ssh_agent)
        buf_printf(out, "\nssh-agent:\n  the VM can sign with the keys of %s\n", path);
}

static void add_runtime(struct buf *out, const struct plan_view *v)
{
    bool project = v->session->project_runtime.present;

    buf_puts(out, "\nruntime scripts, as the user, before the agent:\n");
    if (v->user_runtime) {
        auto_free char *path = str_quote(v->user_runtime);

        buf_printf(out, "  %s\n", path);
    }
    if (project)
        buf_printf(out, "  " PATHS_PROJECT_RUNTIME " of the folder%s\n",
                   v->runtime_approved ? "" : ", once you approved it");
    if (!v->user_runtime && !project)
        buf_puts(out, "  none\n");
}

static void add_session(struct buf *out, const struct plan_view *v, const char *project)
{
    add_mounts(out, v->session, project);
    buf_puts(out, "\nports of the VM on the host's 127.0.0.1:\n");
    add_ports(out, &v->session->profile);
    buf_puts(out, "\ncredentials:\n");
    if (v->auth_error.msg)
        buf_printf(out, "  none: %s\n", v->auth_error.msg);
    else
        add_steps(out, &v->auth, 1u << PLAN_SECRET_ENV | 1u << PLAN_SECRET_FILE);
    buf_puts(out, "\naccounts, the first of an agent is billed:\n");
    add_steps(out, &v->auth, 1u << PLAN_ACCOUNT);
    buf_puts(out, "\nenvironment, by name:\n");
    add_environment(out, v);
    add_git(out, &v->session->git);
    add_ssh_agent(out, v);
    buf_puts(out, "\nfiles of the session:\n");
    add_steps(out, &v->launch,
              1u << PLAN_FILE | 1u << PLAN_IMPORT | 1u << PLAN_KEEP | 1u << PLAN_KEEP_FILE);
    buf_puts(out, "\nMCP servers:\n");
    add_steps(out, &v->launch, 1u << PLAN_OFFER_MCP);
    add_runtime(out, v);
    buf_puts(out, "\nstarts:\n");
    add_steps(out, &v->launch, 1u << PLAN_EXEC);
}

char *plan_view_text(const struct plan_view *v)
{
    const struct session *s = v->session;
    auto_free char *settings = profile_describe(&s->profile), *project = str_quote(s->project);
    struct buf out = BUF_INIT;

    buf_printf(&out, "folder: %s\nagent: %s %s (%s)\n", project, s->agent.name, s->agent.version,
               s->agent.path);
    for (size_t i = 0; i < s->ntools; i++)
        buf_printf(&out, "tool: %s %s (%s)\n", s->tools[i].name, s->tools[i].version,
                   s->tools[i].path);
    buf_puts(&out, "\nsettings:\n");
    add_lines(&out, settings);
    add_image(&out, v);
    add_session(&out, v, project);
    return buf_steal(&out);
}
