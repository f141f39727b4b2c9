#include "plugin/describe.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "model/show.h"

enum {
    NAME_BYTES = 32,
    LINE_BYTES = 200,   /* of version, summary, help */
    VALUE_BYTES = 4096, /* of an option's default */
    OPTIONS_MAX = 64,
    SHOWN_MAX = 60,
};

static void free_options(struct plugin *pl)
{
    for (size_t i = 0; i < pl->noptions; i++) {
        free(pl->options[i].name);
        free(pl->options[i].default_value);
        free(pl->options[i].help);
    }
    free(pl->options);
    pl->options = NULL;
    pl->noptions = 0;
}

void plugin_free(struct plugin *pl)
{
    free(pl->path);
    free(pl->name);
    free(pl->version);
    free(pl->summary);
    free_options(pl);
    *pl = (struct plugin){0};
}

bool describe_is_name(const char *s)
{
    size_t len = strlen(s);

    if (len == 0 || len > NAME_BYTES || *s < 'a' || *s > 'z' || s[len - 1] == '-')
        return false;
    for (const char *p = s; *p; p++)
        if (!(*p >= 'a' && *p <= 'z') && !(*p >= '0' && *p <= '9') && (*p != '-' || p[1] == '-'))
            return false;
    return true;
}

/* ---- checks --------------------------------------------------------------------------------- */

static void check_name(const char *what, const char *s, struct strv *faults)
{
    auto_free char *shown = show_text(s ? s : "", SHOWN_MAX);

    if (s && !describe_is_name(s))
        strv_pushf(faults,
                   "its %s \"%s\" is not made of lower-case letters, digits and '-' (at most %d)",
                   what, shown, NAME_BYTES);
}

/* owner: "option NAME: ", or nothing */
static void check_line(const char *owner, const char *what, const char *s, struct strv *faults)
{
    auto_free char *shown = show_text(s ? s : "", 0);

    if (s && (!*s || strlen(s) > LINE_BYTES || strcmp(s, shown) != 0))
        strv_pushf(faults, "%sits %s is not one line of 1 to %d readable bytes", owner, what,
                   LINE_BYTES);
}

static void check_option(const struct plugin *pl, size_t i, struct strv *faults)
{
    const struct plugin_option *o = &pl->options[i];
    auto_free char *shown = show_text(o->name ? o->name : "", SHOWN_MAX);
    auto_free char *owner = mem_printf("option %s: ", shown);

    check_name("option", o->name, faults);
    check_line(owner, "help", o->help, faults);
    for (size_t j = 0; j < i && o->name; j++)
        if (pl->options[j].name && strcmp(o->name, pl->options[j].name) == 0) {
            strv_pushf(faults, "it has two options %s", shown);
            break;
        }
}

/* A member that is missing was complained of when it was copied. */
static void check_plugin(const struct plugin *pl, struct strv *faults)
{
    if (pl->kind != PLUGIN_AGENT && pl->kind != PLUGIN_TOOL)
        strv_pushf(faults, "its kind %d is neither agent nor tool", (int)pl->kind);
    check_name("name", pl->name, faults);
    check_line("", "version", pl->version, faults);
    check_line("", "summary", pl->summary, faults);
    for (size_t i = 0; i < pl->noptions; i++)
        check_option(pl, i, faults);
    if (pl->kind == PLUGIN_AGENT && !pl->has_hook[PLAN_LAUNCH])
        strv_pushf(faults, "it is an agent without a launch hook: there is nothing to start");
    if (pl->kind == PLUGIN_TOOL && pl->has_hook[PLAN_LOGIN])
        strv_pushf(faults, "it is a tool with a login hook: only agents have credentials");
}

/* ---- from the table ------------------------------------------------------------------------- */

static void copy_text(const char *what, const char *s, char **out, struct strv *faults)
{
    if (!s)
        strv_pushf(faults, "its %s is missing", what);
    else if (strnlen(s, VALUE_BYTES + 1) > VALUE_BYTES)
        strv_pushf(faults, "its %s has more than %d bytes", what, VALUE_BYTES);
    else
        *out = mem_strdup(s);
}

static struct plugin_option *add_option(struct plugin *pl)
{
    pl->options = mem_realloc(pl->options, pl->noptions + 1, sizeof(*pl->options));
    pl->options[pl->noptions] = (struct plugin_option){0};
    return &pl->options[pl->noptions++];
}

static void copy_option(const struct agentvm_option *o, struct plugin_option *copy,
                        struct strv *faults)
{
    copy_text("option's name", o->name, &copy->name, faults);
    copy_text("option's help", o->help, &copy->help, faults);
    if (o->default_value)
        copy_text("option's default", o->default_value, &copy->default_value, faults);
    if (o->flags & ~AGENTVM_OPTION_SENSITIVE)
        strv_pushf(faults, "its option %s has unknown flags 0x%x", copy->name ? copy->name : "",
                   o->flags);
    copy->sensitive = o->flags & AGENTVM_OPTION_SENSITIVE;
}

static void copy_options(const struct agentvm_option *o, struct plugin *out, struct strv *faults)
{
    for (; o && o->name; o++) {
        if (out->noptions >= OPTIONS_MAX) {
            strv_pushf(faults, "it has more than %d options; is the last one zeroed?", OPTIONS_MAX);
            free_options(out); /* nothing ends the list: its members say nothing */
            return;
        }
        copy_option(o, add_option(out), faults);
    }
}

void describe_faults(const struct agentvm_plugin *table, struct plugin *out, struct strv *faults)
{
    out->kind = (enum plugin_kind)table->kind;
    out->abi_major = table->abi_major;
    out->abi_minor = table->abi_minor;
    out->has_hook[PLAN_PROVISION] = table->provision;
    out->has_hook[PLAN_AUTH] = table->auth;
    out->has_hook[PLAN_LAUNCH] = table->launch;
    out->has_hook[PLAN_LOGIN] = table->login;
    if (table->reserved)
        strv_pushf(faults, "its reserved member is not 0");
    copy_text("name", table->name, &out->name, faults);
    copy_text("version", table->version, &out->version, faults);
    copy_text("summary", table->summary, &out->summary, faults);
    copy_options(table->options, out, faults);
    check_plugin(out, faults);
}

/* The first fault as an error. */
static int judge(const struct strv *faults, struct err *e)
{
    return faults->n > 0 ? err_set(e, "%s", faults->v[0]) : 0;
}

int describe_table(const struct agentvm_plugin *table, struct plugin *out, struct err *e)
{
    auto_strv struct strv faults = STRV_INIT;

    describe_faults(table, out, &faults);
    return judge(&faults, e);
}

/* ---- the document --------------------------------------------------------------------------- */

char *describe_to_json(const struct plugin *pl)
{
    cJSON *o = cJSON_CreateObject(), *list;
    char *printed, *text;

    cJSON_AddStringToObject(o, "name", pl->name);
    cJSON_AddStringToObject(o, "version", pl->version);
    cJSON_AddStringToObject(o, "summary", pl->summary);
    cJSON_AddNumberToObject(o, "kind", pl->kind);
    cJSON_AddNumberToObject(o, "abi_major", pl->abi_major);
    cJSON_AddNumberToObject(o, "abi_minor", pl->abi_minor);
    for (int i = 0; i < PLAN_PHASES; i++)
        cJSON_AddBoolToObject(o, plan_phase_name((enum plan_phase)i), pl->has_hook[i]);
    list = cJSON_AddArrayToObject(o, "options");
    for (size_t i = 0; i < pl->noptions; i++) {
        cJSON *item = cJSON_CreateObject();

        cJSON_AddStringToObject(item, "name", pl->options[i].name);
        cJSON_AddStringToObject(item, "help", pl->options[i].help);
        if (pl->options[i].default_value)
            cJSON_AddStringToObject(item, "default", pl->options[i].default_value);
        cJSON_AddBoolToObject(item, "sensitive", pl->options[i].sensitive);
        cJSON_AddItemToArray(list, item);
    }
    printed = cJSON_PrintUnformatted(o);
    cJSON_Delete(o);
    text = mem_strdup(printed);
    cJSON_free(printed);
    return text;
}

static int take_text(const cJSON *o, const char *key, char **out, struct err *e)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(o, key);
    auto_strv struct strv faults = STRV_INIT;

    if (!cJSON_IsString(item))
        return err_set(e, "no text \"%s\"", key);
    copy_text(key, item->valuestring, out, &faults);
    return judge(&faults, e);
}

static int take_number(const cJSON *o, const char *key, unsigned *out, struct err *e)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(o, key);

    if (!cJSON_IsNumber(item) || item->valueint < 0 || item->valueint > UINT16_MAX)
        return err_set(e, "no number \"%s\"", key);
    *out = (unsigned)item->valueint;
    return 0;
}

static bool take_bool(const cJSON *o, const char *key)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, key));
}

static int take_options(const cJSON *list, struct plugin *out, struct err *e)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, list)
    {
        struct plugin_option *o;

        if (out->noptions >= OPTIONS_MAX)
            return err_set(e, "too many options");
        o = add_option(out);
        o->sensitive = take_bool(item, "sensitive");
        if (take_text(item, "name", &o->name, e) < 0 || take_text(item, "help", &o->help, e) < 0)
            return -1;
        if (cJSON_HasObjectItem(item, "default") &&
            take_text(item, "default", &o->default_value, e) < 0)
            return -1;
    }
    return 0;
}

static int take_plugin(const cJSON *o, struct plugin *out, struct err *e)
{
    auto_strv struct strv faults = STRV_INIT;
    unsigned kind = 0;

    if (take_text(o, "name", &out->name, e) < 0 || take_text(o, "version", &out->version, e) < 0 ||
        take_text(o, "summary", &out->summary, e) < 0 || take_number(o, "kind", &kind, e) < 0 ||
        take_number(o, "abi_major", &out->abi_major, e) < 0 ||
        take_number(o, "abi_minor", &out->abi_minor, e) < 0)
        return -1;
    out->kind = (enum plugin_kind)kind;
    for (int i = 0; i < PLAN_PHASES; i++)
        out->has_hook[i] = take_bool(o, plan_phase_name((enum plan_phase)i));
    if (take_options(cJSON_GetObjectItemCaseSensitive(o, "options"), out, e) < 0)
        return -1;
    check_plugin(out, &faults);
    return judge(&faults, e);
}

int describe_from_json(const char *text, size_t len, struct plugin *out, struct err *e)
{
    cJSON *o = cJSON_ParseWithLength(text, len);
    int rc = o ? take_plugin(o, out, e) : err_set(e, "not JSON");

    cJSON_Delete(o);
    return rc;
}
