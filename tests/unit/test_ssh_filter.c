/* guest/ssh_filter: what of an ssh-agent's protocol a guest may say. */
#include "helpers.h"

#include "guest/ssh_filter.h"

/* A request of that type with a body of len bytes; the caller frees it. */
static uint8_t *make(uint8_t type, const void *body, size_t len)
{
    uint8_t *m = mem_zalloc(SSH_HEAD + 1 + len, 1);

    m[0] = (uint8_t)((len + 1) >> 24);
    m[1] = (uint8_t)((len + 1) >> 16);
    m[2] = (uint8_t)((len + 1) >> 8);
    m[3] = (uint8_t)(len + 1);
    m[4] = type;
    memcpy(m + SSH_HEAD + 1, body, len);
    return m;
}

static enum ssh_verdict judge(uint8_t type, const void *body, size_t len)
{
    auto_free uint8_t *m = make(type, body, len);
    size_t size = 0;
    enum ssh_verdict verdict = ssh_judge_request(m, SSH_HEAD + 1 + len, &size);

    assert_int_equal(size, SSH_HEAD + 1 + len);
    return verdict;
}

#define EXTENSION(name) judge(27, name, sizeof(name) - 1)

static void test_types(void **state)
{
    (void)state;
    for (unsigned type = 0; type < 256; type++)
        if (type != 27)
            assert_int_equal(judge((uint8_t)type, "body", 4),
                             type == 11 || type == 13 ? SSH_PASS : SSH_REFUSE);
    assert_int_equal(judge(11, "", 0), SSH_PASS);
}

static void test_extensions(void **state)
{
    (void)state;
    assert_int_equal(EXTENSION("\0\0\0\5query"), SSH_PASS);
    assert_int_equal(EXTENSION("\0\0\0\x18session-bind@openssh.com\0\0\0\1x"), SSH_PASS);
    assert_int_equal(EXTENSION("\0\0\0\x18session-bind@openssh.con"), SSH_REFUSE);
    assert_int_equal(EXTENSION("\0\0\0\5querz"), SSH_REFUSE);
    assert_int_equal(EXTENSION("\0\0\0\4query"), SSH_REFUSE);
    assert_int_equal(EXTENSION("\0\0\0\6query"), SSH_REFUSE); /* longer than the message */
    assert_int_equal(EXTENSION("\xff\xff\xff\xffquery"), SSH_REFUSE);
    assert_int_equal(EXTENSION("\0\0\0\0"), SSH_REFUSE);
    assert_int_equal(EXTENSION("\0\0\0"), SSH_REFUSE);
    assert_int_equal(EXTENSION(""), SSH_REFUSE);
}

static void test_pieces(void **state)
{
    auto_free uint8_t *m = make(13, "a body", 6);
    size_t size;

    (void)state;
    for (size_t len = 0; len < 11; len++)
        assert_int_equal(ssh_judge_request(m, len, &size), SSH_MORE);
    assert_int_equal(ssh_judge_request(m, 11, &size), SSH_PASS);
    assert_int_equal(size, 11);
    assert_int_equal(ssh_judge_answer(m, 10, &size), SSH_MORE);
    m[4] = 99; /* any answer may pass */
    assert_int_equal(ssh_judge_answer(m, 11, &size), SSH_PASS);
}

static void test_lengths(void **state)
{
    size_t size;

    (void)state;
    assert_int_equal(ssh_judge_request("\0\0\0\0", 4, &size), SSH_BROKEN);
    assert_int_equal(ssh_judge_request("\0\4\0\0", 4, &size), SSH_MORE);
    assert_int_equal(size, SSH_MESSAGE_MAX);
    assert_int_equal(ssh_judge_request("\0\4\0\1", 4, &size), SSH_BROKEN);
    assert_int_equal(ssh_judge_request("\xff\xff\xff\xff", 4, &size), SSH_BROKEN);
    assert_int_equal(ssh_judge_answer("\x80\0\0\0", 4, &size), SSH_BROKEN);
    assert_int_equal(ssh_judge_answer(ssh_failure, sizeof(ssh_failure), &size), SSH_PASS);
    assert_int_equal(size, sizeof(ssh_failure));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_extensions),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_lengths),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
