/* The protocol of ssh-agents (draft-ietf-sshm-ssh-agent), as far as one must know it to let a guest
 * use the keys of an agent and do nothing else to it.  Pure.
 *
 * Both directions are messages: u32 length, big-endian, then so many bytes, of which the first is
 * the type.  Each request gets one answer, in order. */
#ifndef AGENTVM_GUEST_SSH_FILTER_H
#define AGENTVM_GUEST_SSH_FILTER_H

#include <stddef.h>
#include <stdint.h>

enum {
    SSH_HEAD = 4,                             /* bytes of the length */
    SSH_MESSAGE_MAX = SSH_HEAD + (256 << 10), /* with its head; AGENT_MAX_LEN of OpenSSH */
    SSH_FAILURE_BYTES = SSH_HEAD + 1,
};

enum ssh_verdict {
    SSH_MORE, /* the message is not complete yet, and may become a good one */
    SSH_PASS,
    SSH_REFUSE, /* it is to be answered by ssh_failure */
    SSH_BROKEN, /* no message: empty, or longer than any may be */
};

/* SSH_AGENT_FAILURE, as a whole message. */
extern const uint8_t ssh_failure[SSH_FAILURE_BYTES];

/* Judges the request that data begins with.  What lists keys, signs, or tells for whom (a query
 * of extensions, session-bind@openssh.com) may pass; what adds, removes or locks keys, and
 * whatever is not known, is refused.  *size is that of the whole message, unless it is broken or
 * its head is not there yet. */
enum ssh_verdict ssh_judge_request(const void *data, size_t len, size_t *size);
/* The same for an answer, which is never refused. */
enum ssh_verdict ssh_judge_answer(const void *data, size_t len, size_t *size);

#endif
