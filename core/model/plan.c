#include "model/plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/plan_shape.h"

static const struct plan_shape shapes[PLAN_OPS] = {
    [PLAN_PACKAGE] = {"package", PLAN_HAS_NAME, 1 << PLAN_PROVISION, false, NULL},
    [PLAN_FILE] = {"file", PLAN_HAS_USER | PLAN_HAS_PATH | PLAN_HAS_MODE | PLAN_HAS_DATA,
                   1 << PLAN_PROVISION | 1 << PLAN_LAUNCH, false, "data"},
    [PLAN_RUN] = {"run", PLAN_HAS_NAME | PLAN_HAS_USER | PLAN_HAS_ARGV, 1 << PLAN_PROVISION, false,
                  NULL},
    [PLAN_ENV] = {"env", PLAN_HAS_NAME | PLAN_HAS_DATA, 1 << PLAN_AUTH | 1 << PLAN_LAUNCH, false,
                  "value"},
    [PLAN_SECRET_ENV] = {"secret_env", PLAN_HAS_NAME | PLAN_HAS_DATA, 1 << PLAN_AUTH, true,
                         "value"},
    [PLAN_SECRET_FILE] = {"secret_file", PLAN_HAS_PATH | PLAN_HAS_MODE | PLAN_HAS_DATA,
                          1 << PLAN_AUTH, true, "data"},
    [PLAN_OFFER_MCP] = {"offer_mcp", PLAN_HAS_NAME | PLAN_HAS_ARGV | PLAN_HAS_ENV, 1 << PLAN_LAUNCH,
                        false, NULL},
    [PLAN_EXEC] = {"exec", PLAN_HAS_ARGV, 1 << PLAN_LAUNCH, false, NULL},
    [PLAN_WARM] = {"warm", PLAN_HAS_ARGV, 1 << PLAN_PROVISION, false, NULL},
};

const struct plan_shape *plan_shape(enum plan_op op)
{
    return &shapes[op];
}

const char *plan_op_name(enum plan_op op)
{
    return shapes[op].name;
}

struct plan_step *plan_add(struct plan *p, enum plan_op op, const char *plugin)
{
    struct plan_step *s;

    p->steps = mem_realloc(p->steps, p->n + 1, sizeof(*p->steps));
    s = &p->steps[p->n++];
    *s = (struct plan_step){.op = op, .plugin = mem_strdup(plugin)};
    return s;
}

void plan_append(struct plan *to, struct plan *from)
{
    if (from->n > 0) {
        to->steps = mem_realloc(to->steps, to->n + from->n, sizeof(*to->steps));
        memcpy(to->steps + to->n, from->steps, from->n * sizeof(*from->steps));
        to->n += from->n;
    }
    free(from->steps);
    *from = PLAN_INIT;
}

void plan_free(struct plan *p)
{
    for (size_t i = 0; i < p->n; i++) {
        struct plan_step *s = &p->steps[i];

        free(s->plugin);
        free(s->name);
        free(s->path);
        if (s->data.data && plan_shape(s->op)->secret)
            explicit_bzero(s->data.data, s->data.len);
        buf_free(&s->data);
        strv_free(&s->argv);
        strv_free(&s->env);
    }
    free(p->steps);
    *p = PLAN_INIT;
}
