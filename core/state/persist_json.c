/* vm.json. */
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/json_text.h"
#include "state/persist.h"
#include "state/vms.h"
#include "vm/qcow2.h"

enum { NAME_LENGTH_MAX = 32, CPUS_MAX = 64, AGENT_MAX = 64 };

#define SECONDS_MAX ((double)(1ll << 40))

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

bool persist_is_name(const char *s)
{
    size_t len = strlen(s);

    return len > 0 && len <= NAME_LENGTH_MAX && strchr(letters, s[0]) &&
           s[strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")] ==
               '\0' &&
           !vms_is_id(s);
}

char *persist_format(const struct persist *v)
{
    cJSON *o = cJSON_CreateObject();
    char *text;

    cJSON_AddStringToObject(o, "id", v->id);
    cJSON_AddStringToObject(o, "name", v->name);
    cJSON_AddItemToObject(o, "project", json_text(v->project));
    cJSON_AddStringToObject(o, "agent", v->agent);
    cJSON_AddStringToObject(o, "base", v->base);
    cJSON_AddStringToObject(o, "provisioned", v->provisioned);
    cJSON_AddNumberToObject(o, "template_disk", (double)v->template_disk);
    cJSON_AddNumberToObject(o, "created", (double)v->created);
    cJSON_AddNumberToObject(o, "used", (double)v->used);
    cJSON_AddNumberToObject(o, "cpus", v->cpus);
    cJSON_AddNumberToObject(o, "memory", (double)v->memory);
    cJSON_AddNumberToObject(o, "disk", (double)v->disk);
    text = cJSON_Print(o);
    cJSON_Delete(o);
    return text;
}

static const cJSON *member(const cJSON *o, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(o, name);
}

/* A whole number from 1 to max. */
static bool take_number(const cJSON *o, const char *name, double max, uint64_t *out)
{
    const cJSON *item = member(o, name);

    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 1 && item->valuedouble <= max))
        return false;
    *out = (uint64_t)item->valuedouble;
    return true;
}

static bool is_key(const char *s)
{
    return strlen(s) == DIGEST_HEX && strspn(s, "0123456789abcdef") == DIGEST_HEX;
}

static bool take_key(const cJSON *o, const char *name, bool may_lack, char out[DIGEST_HEX + 1])
{
    const char *s = cJSON_GetStringValue(member(o, name));

    if (!s || !(is_key(s) || (may_lack && !*s)))
        return false;
    memcpy(out, s, strlen(s) + 1);
    return true;
}

static bool take_names(const cJSON *o, struct persist *out)
{
    const char *id = cJSON_GetStringValue(member(o, "id"));
    const char *name = cJSON_GetStringValue(member(o, "name"));
    const char *agent = cJSON_GetStringValue(member(o, "agent"));
    auto_free char *project = json_text_take(member(o, "project"));

    if (!id || !vms_is_id(id) || !name || !persist_is_name(name) || !agent || !*agent ||
        strlen(agent) > AGENT_MAX || !project || project[0] != '/')
        return false;
    memcpy(out->id, id, sizeof(out->id));
    out->name = mem_strdup(name);
    out->agent = mem_strdup(agent);
    out->project = steal_ptr(&project);
    return true;
}

static bool take(const cJSON *o, struct persist *out)
{
    uint64_t created, used, cpus;

    if (!take_names(o, out) || !take_key(o, "base", false, out->base) ||
        !take_key(o, "provisioned", true, out->provisioned) ||
        !take_number(o, "template_disk", (double)QCOW2_SIZE_MAX, &out->template_disk) ||
        !take_number(o, "created", SECONDS_MAX, &created) ||
        !take_number(o, "used", SECONDS_MAX, &used) || !take_number(o, "cpus", CPUS_MAX, &cpus) ||
        !take_number(o, "memory", (double)QCOW2_SIZE_MAX, &out->memory) ||
        !take_number(o, "disk", (double)QCOW2_SIZE_MAX, &out->disk))
        return false;
    out->created = (int64_t)created;
    out->used = (int64_t)used;
    out->cpus = (unsigned)cpus;
    return true;
}

int persist_parse(const char *text, size_t len, struct persist *out, struct err *e)
{
    cJSON *o = cJSON_ParseWithLength(text ? text : "", len);
    bool good;

    *out = PERSIST_INIT;
    good = cJSON_IsObject(o) && take(o, out);
    cJSON_Delete(o);
    if (good)
        return 0;
    persist_free(out);
    return err_set(e, "%s says nothing that agentvm understands", PATHS_KEPT_VM_JSON);
}

void persist_free(struct persist *v)
{
    free(v->name);
    free(v->project);
    free(v->agent);
    free(v->dir);
    free(v->holder_run);
    close_fd(&v->lock);
    *v = PERSIST_INIT;
}
