#include "model/base64.h"

#include <stdint.h>
#include <string.h>

#include "base/mem.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *base64_encode(const void *data, size_t len)
{
    const unsigned char *p = data;
    char *text = mem_zalloc(len / 3 * 4 + 5, 1), *out = text;

    for (size_t i = 0; i < len; i += 3) {
        size_t n = len - i < 3 ? len - i : 3;
        uint32_t group = (uint32_t)p[i] << 16;

        if (n > 1)
            group |= (uint32_t)p[i + 1] << 8;
        if (n > 2)
            group |= p[i + 2];
        *out++ = alphabet[group >> 18];
        *out++ = alphabet[group >> 12 & 63];
        *out++ = n > 1 ? alphabet[group >> 6 & 63] : '=';
        *out++ = n > 2 ? alphabet[group & 63] : '=';
    }
    return text;
}

/* The six bits that a character stands for, or -1. */
static int digit_value(char c)
{
    const char *p = c ? strchr(alphabet, c) : NULL;

    return p ? (int)(p - alphabet) : -1;
}

/* Decodes four characters into up to three bytes; returns their number or 0 if malformed. */
static size_t decode_group(const char *in, unsigned char out[3])
{
    size_t pad = in[3] != '=' ? 0 : in[2] != '=' ? 1 : 2;
    uint32_t group = 0;

    for (size_t i = 0; i < 4; i++) {
        int value = i < 4 - pad ? digit_value(in[i]) : 0;

        if (value < 0)
            return 0;
        group = group << 6 | (uint32_t)value;
    }
    if (group & ((1u << 8 * pad) - 1))
        return 0;
    out[0] = (unsigned char)(group >> 16);
    out[1] = (unsigned char)(group >> 8);
    out[2] = (unsigned char)group;
    return 3 - pad;
}

int base64_decode(const char *text, struct buf *out)
{
    size_t len = strlen(text);

    if (len % 4 != 0)
        return -1;
    buf_reserve(out, len / 4 * 3);
    for (size_t i = 0; i < len; i += 4) {
        unsigned char bytes[3];
        size_t n = decode_group(text + i, bytes);

        if (n == 0 || (n < 3 && i + 4 < len))
            return -1;
        buf_append(out, bytes, n);
    }
    return 0;
}
