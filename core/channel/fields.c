#include "channel/fields.h"

#include <string.h>

#include "base/mem.h"
#include "channel/frame.h"

enum { FIELD_HEADER = 8 };

void field_put(struct buf *b, uint16_t tag, const void *data, size_t len)
{
    uint8_t header[FIELD_HEADER];

    put_u16(header, tag);
    put_u16(header + 2, 0);
    put_u32(header + 4, (uint32_t)len);
    buf_append(b, header, sizeof(header));
    buf_append(b, data, len);
}

void field_put_str(struct buf *b, uint16_t tag, const char *s)
{
    field_put(b, tag, s, strlen(s));
}

void field_put_u32(struct buf *b, uint16_t tag, uint32_t v)
{
    uint8_t raw[4];

    put_u32(raw, v);
    field_put(b, tag, raw, sizeof(raw));
}

void field_put_u64(struct buf *b, uint16_t tag, uint64_t v)
{
    uint8_t raw[8];

    put_u64(raw, v);
    field_put(b, tag, raw, sizeof(raw));
}

struct field_reader field_reader(const void *data, size_t len)
{
    return (struct field_reader){.p = data, .left = len};
}

bool field_next(struct field_reader *r, struct field *f)
{
    if (r->left == 0 || r->malformed)
        return false;
    if (r->left < FIELD_HEADER || get_u32(r->p + 4) > r->left - FIELD_HEADER) {
        r->malformed = true;
        return false;
    }
    *f =
        (struct field){.tag = get_u16(r->p), .len = get_u32(r->p + 4), .data = r->p + FIELD_HEADER};
    r->p += FIELD_HEADER + f->len;
    r->left -= FIELD_HEADER + f->len;
    return true;
}

char *field_str(const struct field *f)
{
    if (memchr(f->data, '\0', f->len))
        return NULL;
    return mem_dup(f->data, f->len);
}

uint32_t field_u32(const struct field *f, uint32_t fallback)
{
    return f->len == 4 ? get_u32(f->data) : fallback;
}

uint64_t field_u64(const struct field *f, uint64_t fallback)
{
    return f->len == 8 ? get_u64(f->data) : fallback;
}
