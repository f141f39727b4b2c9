/* channel/frame and channel/fields: what is on the wire, and what a hostile peer may put there. */
#include "helpers.h"

#include "channel/fields.h"
#include "channel/frame.h"

static void test_numbers(void **state)
{
    unsigned char raw[8];

    (void)state;
    put_u16(raw, 0x1234);
    assert_memory_equal(raw, "\x34\x12", 2);
    put_u32(raw, 0x12345678);
    assert_memory_equal(raw, "\x78\x56\x34\x12", 4);
    put_u64(raw, 0x123456789abcdef0);
    assert_memory_equal(raw, "\xf0\xde\xbc\x9a\x78\x56\x34\x12", 8);
    assert_int_equal(get_u16(raw), 0xdef0);
    assert_int_equal(get_u32(raw), 0x9abcdef0);
    assert_true(get_u64(raw) == 0x123456789abcdef0);
}

static void test_round_trip(void **state)
{
    uint8_t raw[FRAME_HEADER + 3];
    struct frame f;

    (void)state;
    frame_encode_header(raw, FRAME_DATA, LANE_ERR, 0x01020304, 3);
    assert_memory_equal(raw, "\x04\x02\x00\x00\x04\x03\x02\x01\x03\x00\x00\x00", FRAME_HEADER);
    memcpy(raw + FRAME_HEADER, "abc", 3);
    for (size_t len = 0; len < sizeof(raw); len++)
        assert_int_equal(frame_parse(raw, len, &f), FRAME_MORE);
    assert_int_equal(frame_parse(raw, sizeof(raw), &f), FRAME_OK);
    assert_int_equal(f.type, FRAME_DATA);
    assert_int_equal(f.lane, LANE_ERR);
    assert_int_equal(f.stream, 0x01020304);
    assert_int_equal(f.len, 3);
    assert_memory_equal(f.payload, "abc", 3);
}

static enum frame_parse parse_with(size_t at, uint8_t byte)
{
    uint8_t raw[FRAME_HEADER];
    struct frame f;

    frame_encode_header(raw, FRAME_EOF, 0, 1, 0);
    raw[at] = byte;
    return frame_parse(raw, sizeof(raw), &f);
}

/* Refused as soon as the header is there: nobody waits for what an absurd length announces. */
static void test_malformed(void **state)
{
    uint8_t raw[FRAME_HEADER];
    struct frame f;

    (void)state;
    assert_int_equal(parse_with(0, 0), FRAME_MALFORMED);
    assert_int_equal(parse_with(0, FRAME_TYPE_END), FRAME_MALFORMED);
    assert_int_equal(parse_with(0, 255), FRAME_MALFORMED);
    assert_int_equal(parse_with(0, FRAME_TYPE_END - 1), FRAME_OK);
    assert_int_equal(parse_with(1, LANES), FRAME_MALFORMED);
    assert_int_equal(parse_with(1, LANES - 1), FRAME_OK);
    assert_int_equal(parse_with(2, 1), FRAME_MALFORMED);
    assert_int_equal(parse_with(3, 1), FRAME_MALFORMED);
    assert_int_equal(parse_with(11, 0x80), FRAME_MALFORMED);
    frame_encode_header(raw, FRAME_DATA, 0, 1, FRAME_PAYLOAD_MAX);
    assert_int_equal(frame_parse(raw, sizeof(raw), &f), FRAME_MORE);
    frame_encode_header(raw, FRAME_DATA, 0, 1, FRAME_PAYLOAD_MAX + 1);
    assert_int_equal(frame_parse(raw, sizeof(raw), &f), FRAME_MALFORMED);
    frame_encode_header(raw, FRAME_DATA, 0, 1, UINT32_MAX);
    assert_int_equal(frame_parse(raw, sizeof(raw), &f), FRAME_MALFORMED);
}

static void test_fields(void **state)
{
    auto_buf struct buf b = BUF_INIT;
    auto_free char *text = NULL;
    struct field_reader r;
    struct field f;

    (void)state;
    field_put_u32(&b, TAG_KIND, OPEN_EXEC);
    field_put_str(&b, TAG_ARG, "");
    field_put_str(&b, TAG_ARG, "echo");
    field_put_u64(&b, TAG_TIME, UINT64_MAX);
    field_put(&b, TAG_ARG, "a\0b", 3);
    r = field_reader(b.data, b.len);
    assert_true(field_next(&r, &f));
    assert_int_equal(f.tag, TAG_KIND);
    assert_int_equal(field_u32(&f, 9), OPEN_EXEC);
    assert_true(field_u64(&f, 9) == 9); /* not eight bytes */
    assert_true(field_next(&r, &f));
    text = field_str(&f);
    assert_string_equal(text, "");
    free(text);
    assert_true(field_next(&r, &f));
    text = field_str(&f);
    assert_string_equal(text, "echo");
    assert_true(field_next(&r, &f));
    assert_true(field_u64(&f, 9) == UINT64_MAX);
    assert_int_equal(field_u32(&f, 9), 9);
    assert_true(field_next(&r, &f));
    assert_null(field_str(&f));
    assert_false(field_next(&r, &f));
    assert_false(r.malformed);
}

static void test_empty_body(void **state)
{
    struct field_reader r = field_reader(NULL, 0);
    struct field f;

    (void)state;
    assert_false(field_next(&r, &f));
    assert_false(r.malformed);
}

/* Cut anywhere, the body gives the fields before the cut and says so; the copy is exactly as long
 * as the body, for the sanitizer. */
static void test_truncated_body(void **state)
{
    auto_buf struct buf b = BUF_INIT;

    (void)state;
    field_put_str(&b, TAG_ARG, "one");
    field_put_str(&b, TAG_ARG, "two");
    for (size_t len = 0; len <= b.len; len++) {
        auto_free uint8_t *exact = mem_zalloc(len, 1);
        struct field_reader r;
        struct field f;
        size_t n = 0;

        memcpy(exact, b.data, len);
        r = field_reader(exact, len);
        while (field_next(&r, &f))
            n++;
        assert_int_equal(n, len / 11);
        assert_int_equal(r.malformed, len % 11 != 0);
        assert_false(field_next(&r, &f)); /* it stays at its end */
    }
}

static void test_lying_length(void **state)
{
    static const uint32_t lengths[] = {4, UINT32_MAX, UINT32_MAX - 7, 0x80000000};
    uint8_t raw[8 + 3] = {TAG_ARG};
    struct field f;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        struct field_reader r;

        put_u32(raw + 4, lengths[i]);
        r = field_reader(raw, sizeof(raw));
        assert_false(field_next(&r, &f));
        assert_true(r.malformed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),      cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_malformed),    cmocka_unit_test(test_fields),
        cmocka_unit_test(test_empty_body),   cmocka_unit_test(test_truncated_body),
        cmocka_unit_test(test_lying_length),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
