/* The plan as a document.
 *
 *     {"steps": [{"op": "file", "plugin": "claude", "user": "user", "path": "~/x",
 *                 "mode": "0600", "data": "text"}, ...]}
 *
 * Members stand in one order, numbers are texts, so the same plan gives the same bytes.  Data that
 * is no readable text stands in "data_base64", an argument of that sort as {"base64": "..."}.
 */
#include <cjson/cJSON.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include "base/mem.h"
#include "model/base64.h"
#include "model/json_text.h"
#include "model/plan.h"
#include "model/plan_shape.h"

/* Values, lists and objects that a private document may contain: bounds what the parser allocates,
 * 512 steps with all their members and as many arguments as fit. */
enum { ITEMS_MAX = 64 * 1024, MODE_TEXT = 8 };

/* ---- out ------------------------------------------------------------------------------------ */

static void add_string(cJSON *o, const char *key, const char *s)
{
    cJSON_AddItemToObject(o, key, json_text(s ? s : ""));
}

static void add_strings(cJSON *o, const char *key, const struct strv *sv)
{
    cJSON_AddItemToObject(o, key, json_texts(sv));
}

static void add_data(cJSON *o, const char *key, const struct buf *data)
{
    const char *text = data->data ? data->data : "";

    if (json_is_text(text, data->len)) {
        cJSON_AddStringToObject(o, key, text);
    } else {
        auto_free char *name = mem_printf("%s_base64", key);
        auto_free char *encoded = base64_encode(text, data->len);

        cJSON_AddStringToObject(o, name, encoded);
    }
}

static cJSON *step_item(const struct plan_step *s, bool with_secrets)
{
    const struct plan_shape *shape = plan_shape(s->op);
    cJSON *o = cJSON_CreateObject();

    cJSON_AddStringToObject(o, "op", shape->name);
    add_string(o, "plugin", s->plugin);
    if (shape->fields & PLAN_HAS_NAME)
        add_string(o, shape->key, s->name);
    if (shape->fields & PLAN_HAS_USER)
        cJSON_AddStringToObject(o, "user", s->user == PLAN_AS_ROOT ? "root" : "user");
    if (shape->fields & PLAN_HAS_PATH)
        add_string(o, "path", s->path);
    if (shape->fields & PLAN_HAS_MODE) {
        char mode[MODE_TEXT];

        snprintf(mode, sizeof(mode), "%04o", (unsigned)s->mode & 07777);
        cJSON_AddStringToObject(o, "mode", mode);
    }
    if (shape->fields & PLAN_HAS_ARGV)
        add_strings(o, "argv", &s->argv);
    if (shape->fields & PLAN_HAS_ENV)
        add_strings(o, "env", &s->env);
    if (shape->secret && !with_secrets)
        cJSON_AddTrueToObject(o, "secret");
    else if (shape->fields & PLAN_HAS_DATA)
        add_data(o, shape->data, &s->data);
    return o;
}

/* An empty document; *steps is its list. */
static cJSON *new_document(cJSON **steps)
{
    cJSON *document = cJSON_CreateObject();

    *steps = cJSON_AddArrayToObject(document, "steps");
    return document;
}

/* Frees the document. */
static char *print_document(cJSON *document, bool formatted)
{
    char *printed = formatted ? cJSON_Print(document) : cJSON_PrintUnformatted(document);
    char *text = mem_strdup(printed);

    cJSON_Delete(document);
    cJSON_free(printed);
    return text;
}

char *plan_to_json(const struct plan *p)
{
    cJSON *steps, *document = new_document(&steps);

    for (size_t i = 0; i < p->n; i++)
        cJSON_AddItemToArray(steps, step_item(&p->steps[i], false));
    return print_document(document, true);
}

char *plan_part_to_json(const struct plan *p, enum plan_op op, bool others)
{
    cJSON *steps, *document = new_document(&steps);

    for (size_t i = 0; i < p->n; i++)
        if ((p->steps[i].op == op) != others)
            cJSON_AddItemToArray(steps, step_item(&p->steps[i], false));
    return print_document(document, true);
}

char *plan_to_private_json(const struct plan *p)
{
    cJSON *steps, *document = new_document(&steps);

    for (size_t i = 0; i < p->n; i++)
        cJSON_AddItemToArray(steps, step_item(&p->steps[i], true));
    return print_document(document, false);
}

/* ---- in ------------------------------------------------------------------------------------- */

/* Refuses what would make the parser allocate without bound, and \u0000, which would cut a string
 * short. */
static int scan_document(const char *text, size_t len, struct err *e)
{
    size_t items = 0;
    bool quoted = false;

    for (size_t i = 0; i < len; i++) {
        if (quoted && text[i] == '\\') {
            if (len - i >= 6 && memcmp(text + i, "\\u0000", 6) == 0)
                return err_set(e, "a NUL in a string");
            i++;
        } else if (text[i] == '"') {
            quoted = !quoted;
        } else if (!quoted && strchr(",[{", text[i])) {
            items++;
        }
    }
    return items > ITEMS_MAX ? err_set(e, "more than %d values", ITEMS_MAX) : 0;
}

static int take_data(const cJSON *item, bool encoded, struct buf *out, struct err *e)
{
    if (!cJSON_IsString(item) || strlen(item->valuestring) > PLAN_DATA_MAX / 3 * 4 + 4)
        return err_set(e, "no string, or too long");
    if (!encoded)
        buf_puts(out, item->valuestring);
    else if (base64_decode(item->valuestring, out) < 0)
        return err_set(e, "not base64");
    return 0;
}

/* What json_text made: a string, or an object with the bytes that are none. */
static int take_text(const cJSON *item, char **out, struct err *e)
{
    auto_buf struct buf bytes = BUF_INIT;
    const cJSON *value = item;
    bool encoded = cJSON_IsObject(item);

    if (encoded) {
        value = item->child;
        if (!value || value->next || strcmp(value->string, "base64") != 0)
            return err_set(e, "neither string nor base64");
    }
    if (take_data(value, encoded, &bytes, e) < 0)
        return -1;
    if (memchr(bytes.data ? bytes.data : "", 0, bytes.len))
        return err_set(e, "a NUL in a string");
    *out = buf_steal(&bytes);
    return 0;
}

static int take_string(const cJSON *item, size_t max, char **out, struct err *e)
{
    if (take_text(item, out, e) < 0)
        return -1;
    return strlen(*out) <= max ? 0 : err_set(e, "longer than %zu bytes", max);
}

static int take_argument(const cJSON *item, struct strv *out, struct err *e)
{
    char *text = NULL;

    if (take_text(item, &text, e) < 0)
        return -1;
    strv_take(out, text);
    return 0;
}

static int take_strings(const cJSON *item, struct strv *out, struct err *e)
{
    if (!cJSON_IsArray(item))
        return err_set(e, "not a list");
    for (const cJSON *i = item->child; i; i = i->next) {
        if (out->n >= PLAN_ARGS_MAX)
            return err_set(e, "more than %d elements", PLAN_ARGS_MAX);
        if (take_argument(i, out, e) < 0)
            return -1;
    }
    return 0;
}

static int take_user(const cJSON *item, enum plan_user *out, struct err *e)
{
    const char *s = cJSON_IsString(item) ? item->valuestring : "";

    if (strcmp(s, "root") != 0 && strcmp(s, "user") != 0)
        return err_set(e, "neither \"user\" nor \"root\"");
    *out = *s == 'r' ? PLAN_AS_ROOT : PLAN_AS_USER;
    return 0;
}

static int take_mode(const cJSON *item, mode_t *out, struct err *e)
{
    const char *s = cJSON_IsString(item) ? item->valuestring : "";

    if (strlen(s) != 4 || strspn(s, "01234567") != 4)
        return err_set(e, "not a mode of four octal digits");
    *out = (mode_t)strtoul(s, NULL, 8);
    return 0;
}

/* Which field of the shape a member is; 0 if it has none of that name. */
static unsigned field_of(const struct plan_shape *shape, const char *key)
{
    static const struct {
        const char *key;
        unsigned field;
    } keys[] = {
        {"user", PLAN_HAS_USER}, {"path", PLAN_HAS_PATH}, {"mode", PLAN_HAS_MODE},
        {"argv", PLAN_HAS_ARGV}, {"env", PLAN_HAS_ENV},
    };

    if (shape->key && strcmp(key, shape->key) == 0)
        return PLAN_HAS_NAME;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (strcmp(key, keys[i].key) == 0)
            return shape->fields & keys[i].field;
    if (shape->data && str_starts(key, shape->data) &&
        (key[strlen(shape->data)] == '\0' || strcmp(key + strlen(shape->data), "_base64") == 0))
        return PLAN_HAS_DATA;
    return 0;
}

static int take_field(const cJSON *item, unsigned field, struct plan_step *s, struct err *e)
{
    switch (field) {
    case PLAN_HAS_NAME:
        return take_string(item, NAME_MAX, &s->name, e);
    case PLAN_HAS_PATH:
        return take_string(item, PATH_MAX, &s->path, e);
    case PLAN_HAS_USER:
        return take_user(item, &s->user, e);
    case PLAN_HAS_MODE:
        return take_mode(item, &s->mode, e);
    case PLAN_HAS_ARGV:
        return take_strings(item, &s->argv, e);
    case PLAN_HAS_ENV:
        return take_strings(item, &s->env, e);
    default:
        return take_data(item, str_ends(item->string, "_base64"), &s->data, e);
    }
}

static int parse_op(const cJSON *step, enum plan_op *op, struct err *e)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(step, "op");

    for (int i = 0; cJSON_IsString(item) && i < PLAN_OPS; i++) {
        *op = (enum plan_op)i;
        if (strcmp(item->valuestring, plan_op_name(*op)) == 0)
            return 0;
    }
    return err_set(e, "unknown operation");
}

static int parse_step(const cJSON *item, struct plan *out, struct err *e)
{
    enum plan_op op = PLAN_PACKAGE;
    struct plan_step *s;
    unsigned seen = 0;
    int ops = 0, plugins = 0;

    if (!cJSON_IsObject(item) || parse_op(item, &op, e) < 0)
        return err_set(e, "no object with a known \"op\"");
    s = plan_add(out, op, NULL);
    for (const cJSON *i = item->child; i; i = i->next) {
        unsigned field = field_of(plan_shape(op), i->string);

        if (strcmp(i->string, "op") == 0 && ++ops == 1)
            continue;
        if (strcmp(i->string, "plugin") == 0 && ++plugins == 1) {
            if (take_string(i, NAME_MAX, &s->plugin, e) < 0)
                return err_prefix(e, "plugin");
            continue;
        }
        if (!field || seen & field)
            return err_set(e, "%s has an unknown or repeated field", plan_op_name(op));
        seen |= field;
        if (take_field(i, field, s, e) < 0)
            return err_prefix(e, "%s", i->string);
    }
    if (seen != plan_shape(op)->fields || !s->plugin)
        return err_set(e, "%s lacks a field", plan_op_name(op));
    return 0;
}

static int parse_steps(const cJSON *document, struct plan *out, struct err *e)
{
    const cJSON *steps = cJSON_IsObject(document) ? document->child : NULL;

    if (!steps || steps->next || strcmp(steps->string, "steps") != 0 || !cJSON_IsArray(steps))
        return err_set(e, "not an object with a list \"steps\"");
    for (const cJSON *i = steps->child; i; i = i->next) {
        if (out->n >= PLAN_STEPS_MAX)
            return err_set(e, "more than %d steps", PLAN_STEPS_MAX);
        if (parse_step(i, out, e) < 0)
            return err_prefix(e, "step %zu", out->n + 1);
    }
    return 0;
}

int plan_from_json(const char *text, size_t len, struct plan *out, struct err *e)
{
    auto_plan struct plan p = PLAN_INIT;
    const char *end = NULL;
    cJSON *document;
    int rc;

    if (scan_document(text, len, e) < 0)
        return -1;
    document = cJSON_ParseWithLengthOpts(text, len, &end, false);
    if (!document || (size_t)(end - text) != len) {
        cJSON_Delete(document);
        return err_set(e, "not one JSON document");
    }
    rc = parse_steps(document, &p, e);
    cJSON_Delete(document);
    if (rc == 0) {
        *out = p;
        p = PLAN_INIT;
    }
    return rc;
}
