#include "model/plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/plan_shape.h"

enum {
    IN_PROVISION = 1 << PLAN_PROVISION,
    IN_AUTH = 1 << PLAN_AUTH,
    IN_LAUNCH = 1 << PLAN_LAUNCH,
    IN_LOGIN = 1 << PLAN_LOGIN,
};

static const struct plan_shape shapes[PLAN_OPS] = {
    [PLAN_PACKAGE] = {"package", PLAN_HAS_NAME, IN_PROVISION, .key = "name"},
    [PLAN_FILE] = {"file", PLAN_HAS_USER | PLAN_HAS_PATH | PLAN_HAS_MODE | PLAN_HAS_DATA,
                   IN_PROVISION | IN_LAUNCH | IN_LOGIN, .data = "data"},
    [PLAN_RUN] = {"run", PLAN_HAS_NAME | PLAN_HAS_USER | PLAN_HAS_ARGV, IN_PROVISION,
                  .key = "name"},
    [PLAN_ENV] = {"env", PLAN_HAS_NAME | PLAN_HAS_DATA, IN_AUTH | IN_LAUNCH | IN_LOGIN,
                  .key = "name", .data = "value"},
    [PLAN_SECRET_ENV] = {"secret_env", PLAN_HAS_NAME | PLAN_HAS_DATA, IN_AUTH, .secret = true,
                         .key = "name", .data = "value"},
    [PLAN_SECRET_FILE] = {"secret_file", PLAN_HAS_PATH | PLAN_HAS_MODE | PLAN_HAS_DATA, IN_AUTH,
                          .secret = true, .data = "data"},
    [PLAN_OFFER_MCP] = {"offer_mcp", PLAN_HAS_NAME | PLAN_HAS_ARGV | PLAN_HAS_ENV, IN_LAUNCH,
                        .key = "name"},
    [PLAN_EXEC] = {"exec", PLAN_HAS_ARGV, IN_LAUNCH | IN_LOGIN},
    [PLAN_WARM] = {"warm", PLAN_HAS_ARGV, IN_PROVISION},
    [PLAN_KEEP] = {"keep", PLAN_HAS_NAME | PLAN_HAS_PATH, IN_LAUNCH, .key = "transcripts"},
    [PLAN_KEEP_FILE] = {"keep_file", PLAN_HAS_PATH, IN_LAUNCH},
    [PLAN_IMPORT] = {"import", PLAN_HAS_NAME | PLAN_HAS_PATH, IN_LAUNCH, .key = "source"},
    [PLAN_ACCOUNT] = {"account", PLAN_HAS_NAME | PLAN_HAS_DATA, IN_AUTH, .key = "name",
                      .data = "billing"},
    [PLAN_ASK] = {"ask", PLAN_HAS_NAME, IN_LOGIN, .key = "what"},
};

const struct plan_shape *plan_shape(enum plan_op op)
{
    return &shapes[op];
}

const char *plan_phase_name(enum plan_phase phase)
{
    static const char *const names[] = {"provision", "auth", "launch", "login"};

    return names[phase];
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

const struct plan_step *plan_find(const struct plan *p, enum plan_op op)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->steps[i].op == op)
            return &p->steps[i];
    return NULL;
}

size_t plan_count(const struct plan *p, enum plan_op op)
{
    size_t n = 0;

    for (size_t i = 0; i < p->n; i++)
        n += p->steps[i].op == op;
    return n;
}

static void free_step(struct plan_step *s)
{
    free(s->plugin);
    free(s->name);
    free(s->path);
    if (s->data.data && plan_shape(s->op)->secret)
        explicit_bzero(s->data.data, s->data.len);
    buf_free(&s->data);
    strv_free(&s->argv);
    strv_free(&s->env);
}

void plan_drop(struct plan *p, enum plan_op op)
{
    size_t left = 0;

    for (size_t i = 0; i < p->n; i++) {
        if (p->steps[i].op == op)
            free_step(&p->steps[i]);
        else
            p->steps[left++] = p->steps[i];
    }
    p->n = left;
}

bool plan_is_used_account(const struct plan *p, const struct plan_step *s)
{
    const struct plan_step *first = p->steps;

    while (first < s && (first->op != PLAN_ACCOUNT || strcmp(first->plugin, s->plugin) != 0))
        first++;
    return s->op == PLAN_ACCOUNT && first == s;
}

void plan_free(struct plan *p)
{
    for (size_t i = 0; i < p->n; i++)
        free_step(&p->steps[i]);
    free(p->steps);
    *p = PLAN_INIT;
}
