/* The first frame each way. */
#include "base/mem.h"
#include "channel/conn.h"
#include "channel/fields.h"

void conn_send_hello(struct conn *c)
{
    auto_buf struct buf body = BUF_INIT;

    field_put_u32(&body, TAG_MAJOR, PROTO_MAJOR);
    field_put_u32(&body, TAG_MINOR, PROTO_MINOR);
    field_put_str(&body, TAG_BUILD, AGENTVM_VERSION);
    conn_send(c, FRAME_HELLO, 0, 0, body.data, body.len);
}

int conn_check_hello(const struct frame *f, const char *who, char **why)
{
    struct field_reader r = field_reader(f->payload, f->len);
    struct field field;
    uint32_t major = 0;

    if (f->type != FRAME_HELLO || f->stream != 0) {
        *why = mem_printf("%s did not say hello (frame type %u)", who, f->type);
        return -1;
    }
    while (field_next(&r, &field))
        if (field.tag == TAG_MAJOR)
            major = field_u32(&field, 0);
    if (major != PROTO_MAJOR) {
        *why = mem_printf("%s speaks protocol version %u, this agentvm speaks %d", who, major,
                          PROTO_MAJOR);
        return -1;
    }
    return 0;
}
