#include "model/json_text.h"

#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "model/base64.h"

/* Length of the UTF-8 sequence at p, 0 if it is malformed or a control character; tab and line
 * ends count as text.  C1 controls are refused as terminals obey them. */
static size_t text_length(const unsigned char *p, size_t len)
{
    size_t n = *p < 0x80 ? 1 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : 4;
    uint32_t c = n == 1 ? *p : *p & (0x7fu >> n);
    static const uint32_t least[] = {0, 0, 0xa0, 0x800, 0x10000};

    if (n == 1)
        return c == '\t' || c == '\n' || c == '\r' || (c >= 0x20 && c != 0x7f);
    if (*p < 0xc0 || *p > 0xf4 || n > len)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3f);
    }
    return c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : n;
}

bool json_is_text(const char *data, size_t len)
{
    for (size_t i = 0, n; i < len; i += n) {
        n = text_length((const unsigned char *)data + i, len - i);
        if (n == 0)
            return false;
    }
    return true;
}

cJSON *json_text(const char *s)
{
    auto_free char *encoded = NULL;
    cJSON *o;

    if (json_is_text(s, strlen(s)))
        return cJSON_CreateString(s);
    encoded = base64_encode(s, strlen(s));
    o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "base64", encoded);
    return o;
}

char *json_text_take(const cJSON *item)
{
    const char *encoded = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, "base64"));
    auto_buf struct buf bytes = BUF_INIT;

    if (cJSON_IsString(item))
        return mem_strdup(item->valuestring);
    if (!encoded || base64_decode(encoded, &bytes) < 0)
        return NULL;
    return buf_steal(&bytes);
}

cJSON *json_texts(const struct strv *sv)
{
    cJSON *list = cJSON_CreateArray();

    for (size_t i = 0; i < sv->n; i++)
        cJSON_AddItemToArray(list, json_text(sv->v[i]));
    return list;
}
