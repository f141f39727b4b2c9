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

bool accel_cache_parse(const char *text, size_t len, const char *key, int64_t now,
                       struct accel_verdict *v)
{
    cJSON *o = cJSON_ParseWithLength(text, len);
    const char *saved = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "key"));
    const char *accel = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "accel"));
    const char *reason = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "reason"));
    const cJSON *when = cJSON_GetObjectItemCaseSensitive(o, "time");
    bool valid = false;

    if (saved && accel && reason && cJSON_IsNumber(when) && strcmp(saved, key) == 0) {
        double age = (double)now - when->valuedouble;

        v->accel = strcmp(accel, "kvm") == 0 ? VM_ACCEL_KVM : VM_ACCEL_TCG;
        /* A clock set back makes a verdict from the future: not believed for ever. */
        valid = v->accel == VM_ACCEL_KVM || (age >= 0 && age < ACCEL_RETRY_S);
    }
    if (valid)
        v->reason = str_printable(reason, strcspn(reason, "\n"));
    cJSON_Delete(o);
    return valid;
}

char *accel_cache_format(const struct accel_verdict *v, const char *key, int64_t now)
{
    cJSON *o = cJSON_CreateObject();
    char *text;

    cJSON_AddStringToObject(o, "key", key);
    cJSON_AddStringToObject(o, "accel", v->accel == VM_ACCEL_KVM ? "kvm" : "tcg");
    cJSON_AddStringToObject(o, "reason", v->reason);
    cJSON_AddNumberToObject(o, "time", (double)now);
    text = cJSON_Print(o);
    cJSON_Delete(o);
    return text;
}
