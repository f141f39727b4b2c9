/* Frames on the wire and the fields in them: any bytes.  What parses is encoded again and must be
 * the same. */
#include <string.h>

#include "base/mem.h"
#include "channel/conn.h"
#include "channel/fields.h"
#include "channel/frame.h"
#include "fuzz.h"

enum { DEPTH_MAX = 4 };

/* A mount is fields in a field. */
static void walk(const uint8_t *data, size_t len, int depth)
{
    struct field_reader r = field_reader(data, len);
    auto_buf struct buf copy = BUF_INIT;
    struct field f;

    while (field_next(&r, &f)) {
        auto_free char *text = field_str(&f);

        FUZZ_HOLDS(f.data >= data && f.len <= len && (size_t)(f.data - data) <= len - f.len);
        FUZZ_HOLDS(!text || strlen(text) == f.len);
        FUZZ_HOLDS(f.len == 4 || field_u32(&f, 7) == 7);
        FUZZ_HOLDS(f.len == 8 || field_u64(&f, 7) == 7);
        field_put(&copy, f.tag, f.data, f.len);
        if (depth < DEPTH_MAX)
            walk(f.data, f.len, depth + 1);
    }
    FUZZ_HOLDS(r.malformed || copy.len == len);
    FUZZ_HOLDS(copy.len <= len);
}

static void greet(const struct frame *f)
{
    char *why = NULL;

    FUZZ_HOLDS((conn_check_hello(f, "it", &why) == 0) == (why == NULL));
    free(why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t header[FRAME_HEADER];
    struct frame f;

    walk(data, size, 0);
    while (frame_parse(data, size, &f) == FRAME_OK) {
        FUZZ_HOLDS(f.len <= FRAME_PAYLOAD_MAX && f.len <= size - FRAME_HEADER);
        FUZZ_HOLDS(f.payload == data + FRAME_HEADER && f.lane < LANES);
        frame_encode_header(header, f.type, f.lane, f.stream, f.len);
        FUZZ_HOLDS(memcmp(header, data, FRAME_HEADER) == 0);
        greet(&f);
        walk(f.payload, f.len, 0);
        data += FRAME_HEADER + f.len;
        size -= FRAME_HEADER + f.len;
    }
    return 0;
}
