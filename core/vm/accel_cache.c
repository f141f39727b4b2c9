#include "vm/accel_cache.h"

#include <cjson/cJSON.h>
#include <string.h>

#include "base/mem.h"
#include "vm/fingerprint.h"

void accel_cache_key(const struct accel_request *r, const char *qemu, char hex[DIGEST_HEX + 1])
{
    struct digest *d = digest_new();

    fingerprint_host(d);
    fingerprint_file(d, "qemu", qemu);
    fingerprint_file(d, "kernel", r->kernel);
    fingerprint_file(d, "initrd", r->initrd);
    digest_final(d, hex);
}

static bool has_key(const cJSON *o, const char *key)
{
    const char *saved = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "key"));

    return saved && strcmp(saved, key) == 0;
}

static bool take(const cJSON *o, int64_t now, struct accel_verdict *v)
{
    const char *accel = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "accel"));
    const char *reason = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "reason"));
    const cJSON *when = cJSON_GetObjectItemCaseSensitive(o, "time");
    double age;

    if (!accel || !reason || !cJSON_IsNumber(when))
        return false;
    age = (double)now - when->valuedouble;
    v->accel = strcmp(accel, "kvm") == 0 ? VM_ACCEL_KVM : VM_ACCEL_TCG;
    /* A clock set back makes a verdict from the future: not believed for ever. */
    if (v->accel == VM_ACCEL_TCG && (age < 0 || age >= ACCEL_RETRY_S))
        return false;
    v->reason = str_printable(reason, strcspn(reason, "\n"));
    return true;
}

bool accel_cache_parse(const char *text, size_t len, const char *key, int64_t now,
                       struct accel_verdict *v)
{
    cJSON *list = cJSON_ParseWithLength(text, len);
    const cJSON *o;
    bool valid = false;

    cJSON_ArrayForEach(o, list) if (has_key(o, key))
    {
        valid = take(o, now, v);
        break;
    }
    cJSON_Delete(list);
    return valid;
}

static cJSON *make(const struct accel_verdict *v, const char *key, int64_t now)
{
    cJSON *o = cJSON_CreateObject();

    cJSON_AddStringToObject(o, "key", key);
    cJSON_AddStringToObject(o, "accel", v->accel == VM_ACCEL_KVM ? "kvm" : "tcg");
    cJSON_AddStringToObject(o, "reason", v->reason);
    cJSON_AddNumberToObject(o, "time", (double)now);
    return o;
}

char *accel_cache_format(const char *old, size_t len, const struct accel_verdict *v,
                         const char *key, int64_t now)
{
    cJSON *before = old ? cJSON_ParseWithLength(old, len) : NULL;
    cJSON *list = cJSON_CreateArray();
    char *text;

    cJSON_AddItemToArray(list, make(v, key, now));
    while (cJSON_IsArray(before) && before->child &&
           cJSON_GetArraySize(list) < ACCEL_VERDICTS_MAX) {
        cJSON *o = cJSON_DetachItemViaPointer(before, before->child);

        if (has_key(o, key))
            cJSON_Delete(o);
        else
            cJSON_AddItemToArray(list, o);
    }
    text = cJSON_Print(list);
    cJSON_Delete(before);
    cJSON_Delete(list);
    return text;
}
