#include "guest/ssh_filter.h"

#include <stdbool.h>
#include <string.h>

#include "base/mem.h"

/* Types of messages, from the draft. */
enum {
    FAILURE = 5,
    REQUEST_IDENTITIES = 11,
    SIGN_REQUEST = 13,
    EXTENSION = 27,
};

const uint8_t ssh_failure[SSH_FAILURE_BYTES] = {0, 0, 0, 1, FAILURE};

static uint32_t get_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

enum ssh_verdict ssh_judge_answer(const void *data, size_t len, size_t *size)
{
    uint32_t body;

    if (len < SSH_HEAD)
        return SSH_MORE;
    body = get_be32(data);
    if (body == 0 || body > SSH_MESSAGE_MAX - SSH_HEAD)
        return SSH_BROKEN;
    *size = SSH_HEAD + body;
    return len < *size ? SSH_MORE : SSH_PASS;
}

/* Those that change nothing but the connection that they come on: a newer ssh binds it to the
 * session that it is about to sign for, without which the agent refuses keys that are for certain
 * hosts only (ssh-add -h). */
static bool is_harmless_extension(const uint8_t *body, size_t len)
{
    static const char *const names[] = {"query", "session-bind@openssh.com"};
    uint32_t n;

    if (len < SSH_HEAD)
        return false;
    n = get_be32(body);
    if (n > len - SSH_HEAD)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (n == strlen(names[i]) && memcmp(body + SSH_HEAD, names[i], n) == 0)
            return true;
    return false;
}

enum ssh_verdict ssh_judge_request(const void *data, size_t len, size_t *size)
{
    enum ssh_verdict verdict = ssh_judge_answer(data, len, size);
    const uint8_t *body;

    if (verdict != SSH_PASS)
        return verdict;
    body = (const uint8_t *)data + SSH_HEAD;
    switch (body[0]) {
    case REQUEST_IDENTITIES:
    case SIGN_REQUEST:
        return SSH_PASS;
    case EXTENSION:
        return is_harmless_extension(body + 1, *size - SSH_HEAD - 1) ? SSH_PASS : SSH_REFUSE;
    default:
        return SSH_REFUSE;
    }
}
