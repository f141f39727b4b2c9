#include <ctype.h>
#include <limits.h>
#include <string.h>

#include "base/mem.h"
#include "model/plan.h"
#include "model/plan_shape.h"
#include "model/show.h"

enum {
    SHOWN_MAX = 80, /* bytes of a refused text that an error repeats */
    LABEL_MAX = 100,
    ARG_MAX_BYTES = 128 * 1024 - 1, /* MAX_ARG_STRLEN of Linux, without the NUL */
};

static const char lower_digits[] = "abcdefghijklmnopqrstuvwxyz0123456789";

static int refuse(struct err *e, const char *what, const char *s, const char *why)
{
    auto_free char *shown = show_text(s ? s : "", SHOWN_MAX);

    return err_set(e, "%s \"%s\" %s", what, shown, why);
}

/* As Debian's policy has it.  A trailing '-' would mean "remove" to apt. */
static int check_package(const char *s, struct err *e)
{
    size_t len = strlen(s);

    if (len < 2 || strspn(s, lower_digits) == 0 || s[len - 1] == '-')
        return refuse(e, "name", s, "is not a Debian package's name");
    for (const char *p = s; *p; p++)
        if (!strchr(lower_digits, *p) && !strchr("+-.", *p))
            return refuse(e, "name", s, "is not a Debian package's name");
    return 0;
}

static int check_label(const char *s, struct err *e)
{
    if (!*s || strlen(s) > LABEL_MAX)
        return err_set(e, "name: a label has 1 to %d bytes", LABEL_MAX);
    for (const char *p = s; *p; p++)
        if (iscntrl((unsigned char)*p))
            return refuse(e, "name", s, "contains a control character");
    return 0;
}

static int check_variable(const char *s, struct err *e)
{
    if (!str_is_identifier(s) || strlen(s) > NAME_MAX)
        return refuse(e, "name", s, "is not an environment variable's name");
    return 0;
}

bool plan_is_server_name(const char *s)
{
    for (const char *p = s; *p; p++)
        if (!isalnum((unsigned char)*p) && *p != '-' && *p != '_')
            return false;
    return *s && strlen(s) <= PLAN_SERVER_MAX;
}

static int check_server(const char *s, struct err *e)
{
    if (!*s || strlen(s) > PLAN_SERVER_MAX)
        return err_set(e, "name: a server's name has 1 to %d bytes", PLAN_SERVER_MAX);
    if (!plan_is_server_name(s))
        return refuse(e, "name", s, "has other characters than letters, digits, '-' and '_'");
    return 0;
}

/* Of names of files: with a '/' it would match none. */
static int check_pattern(const char *s, struct err *e)
{
    if (strchr(s, '/'))
        return refuse(e, "transcripts", s, "contains a '/': it is a pattern for a file's name");
    return *s ? check_label(s, e) : 0;
}

bool plan_is_below_home(const char *path)
{
    if (!*path || strlen(path) >= PATH_MAX / 2)
        return false;
    for (const char *p = path;; p++) {
        size_t len = strcspn(p, "/");

        if (len == 0 || (len == 1 && *p == '.') || (len == 2 && str_starts(p, "..")))
            return false;
        p += len;
        if (!*p)
            return true;
    }
}

static int check_source(const char *s, struct err *e)
{
    if (!plan_is_below_home(s))
        return refuse(e, "source", s, "is not a relative path without \"..\"");
    return 0;
}

static int check_name(const struct plan_step *s, struct err *e)
{
    const char *name = s->name ? s->name : "";

    switch (s->op) {
    case PLAN_PACKAGE:
        return check_package(name, e);
    case PLAN_RUN:
    case PLAN_ACCOUNT:
    case PLAN_ASK:
        return check_label(name, e);
    case PLAN_KEEP:
        return check_pattern(name, e);
    case PLAN_IMPORT:
        return check_source(name, e);
    case PLAN_OFFER_MCP:
        return check_server(name, e);
    default:
        return check_variable(name, e);
    }
}

/* below: only the guest user's home will do. */
static int check_path(const char *path, bool below, struct err *e)
{
    const char *p = path ? path : "";

    if (below && !str_starts(p, "~/"))
        return refuse(e, "path", p, "does not start with \"~/\"");
    if (p[0] != '/' && !str_starts(p, "~/"))
        return refuse(e, "path", p, "is neither absolute nor starts with \"~/\"");
    if (strlen(p) >= PATH_MAX)
        return refuse(e, "path", p, "is too long");
    for (const char *q = p; *q; q++)
        if (iscntrl((unsigned char)*q))
            return refuse(e, "path", p, "contains a control character");
    p += *p == '~';
    while (*p) {
        size_t len = strcspn(++p, "/");

        if (len == 0 || (len == 1 && *p == '.') || (len == 2 && str_starts(p, "..")))
            return refuse(e, "path", path, "has an empty, \".\" or \"..\" component");
        p += len;
    }
    return 0;
}

static int check_argv(const struct strv *argv, struct err *e)
{
    if (argv->n == 0 || !*argv->v[0])
        return err_set(e, "argv names no program");
    if (argv->n > PLAN_ARGS_MAX)
        return err_set(e, "argv has more than %d elements", PLAN_ARGS_MAX);
    for (size_t i = 0; i < argv->n; i++)
        if (strlen(argv->v[i]) > ARG_MAX_BYTES)
            return err_set(e, "argv: element %zu has more than %d bytes", i, ARG_MAX_BYTES);
    return 0;
}

static int check_env(const struct strv *env, struct err *e)
{
    if (env->n > PLAN_ARGS_MAX)
        return err_set(e, "env has more than %d elements", PLAN_ARGS_MAX);
    for (size_t i = 0; i < env->n; i++) {
        const char *equals = strchr(env->v[i], '=');
        auto_free char *name = mem_dup(env->v[i], equals ? (size_t)(equals - env->v[i]) : 0);

        if (!equals || !str_is_identifier(name))
            return refuse(e, "env:", equals ? name : env->v[i], "is not NAME=value");
        if (strlen(env->v[i]) > ARG_MAX_BYTES)
            return err_set(e, "env: %s has more than %d bytes", name, ARG_MAX_BYTES);
    }
    return 0;
}

static int check_data(const struct plan_step *s, struct err *e)
{
    bool variable = s->op == PLAN_ENV || s->op == PLAN_SECRET_ENV;
    size_t max = variable ? ARG_MAX_BYTES - strlen(s->name) - 1 : PLAN_DATA_MAX;
    const char *what = plan_shape(s->op)->data;

    if (s->op == PLAN_ACCOUNT)
        return check_label(s->data.data ? s->data.data : "", e);
    if (s->data.len > max)
        return err_set(e, "%s has more than %zu bytes", what, max);
    if (variable && s->data.len > 0 && memchr(s->data.data, 0, s->data.len))
        return err_set(e, "%s contains a NUL", what);
    return 0;
}

/* Those whose path only makes sense in the guest user's home. */
static bool is_home_step(enum plan_op op)
{
    return op == PLAN_KEEP || op == PLAN_KEEP_FILE || op == PLAN_IMPORT;
}

int plan_check_step(const struct plan_step *s, struct err *e)
{
    unsigned fields = plan_shape(s->op)->fields;

    if (fields & PLAN_HAS_NAME && check_name(s, e) < 0)
        return -1;
    if (fields & PLAN_HAS_PATH && check_path(s->path, is_home_step(s->op), e) < 0)
        return -1;
    if (fields & PLAN_HAS_MODE && s->mode & ~(mode_t)0777)
        return err_set(e, "mode %04o has other bits than 0777", (unsigned)s->mode);
    if (fields & PLAN_HAS_ARGV && check_argv(&s->argv, e) < 0)
        return -1;
    if (fields & PLAN_HAS_ENV && check_env(&s->env, e) < 0)
        return -1;
    if (fields & PLAN_HAS_DATA && check_data(s, e) < 0)
        return -1;
    return 0;
}

static int check_place(const struct plan *p, size_t i, enum plan_phase phase, struct err *e)
{
    if (!(plan_shape(p->steps[i].op)->phases & 1u << phase))
        return err_set(e, "is not for %s", plan_phase_name(phase));
    if (p->steps[i].op == PLAN_EXEC && i + 1 < p->n)
        return err_set(e, "is not the last step");
    return 0;
}

int plan_validate(const struct plan *p, enum plan_phase phase, struct err *e)
{
    if (p->n > PLAN_STEPS_MAX)
        return err_set(e, "more than %d steps", PLAN_STEPS_MAX);
    for (size_t i = 0; i < p->n; i++) {
        const struct plan_step *s = &p->steps[i];

        if (check_place(p, i, phase, e) < 0 || plan_check_step(s, e) < 0)
            return err_prefix(e, "plugin %s, step %zu (%s)", s->plugin ? s->plugin : "?", i + 1,
                              plan_op_name(s->op));
    }
    return 0;
}
