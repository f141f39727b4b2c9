#include "channel/frame.h"

#include <endian.h>
#include <string.h>

uint16_t get_u16(const void *p)
{
    uint16_t v;

    memcpy(&v, p, sizeof(v));
    return le16toh(v);
}

uint32_t get_u32(const void *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return le32toh(v);
}

uint64_t get_u64(const void *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
    return le64toh(v);
}

void put_u16(void *p, uint16_t v)
{
    v = htole16(v);
    memcpy(p, &v, sizeof(v));
}

void put_u32(void *p, uint32_t v)
{
    v = htole32(v);
    memcpy(p, &v, sizeof(v));
}

void put_u64(void *p, uint64_t v)
{
    v = htole64(v);
    memcpy(p, &v, sizeof(v));
}

void frame_encode_header(uint8_t out[FRAME_HEADER], uint8_t type, uint8_t lane, uint32_t stream,
                         uint32_t len)
{
    out[0] = type;
    out[1] = lane;
    put_u16(out + 2, 0);
    put_u32(out + 4, stream);
    put_u32(out + 8, len);
}

enum frame_parse frame_parse(const void *data, size_t len, struct frame *f)
{
    const uint8_t *p = data;

    if (len < FRAME_HEADER)
        return FRAME_MORE;
    *f = (struct frame){.type = p[0],
                        .lane = p[1],
                        .stream = get_u32(p + 4),
                        .len = get_u32(p + 8),
                        .payload = p + FRAME_HEADER};
    if (f->type == 0 || f->type >= FRAME_TYPE_END || f->lane >= LANES || get_u16(p + 2) != 0 ||
        f->len > FRAME_PAYLOAD_MAX)
        return FRAME_MALFORMED;
    return len - FRAME_HEADER < f->len ? FRAME_MORE : FRAME_OK;
}
