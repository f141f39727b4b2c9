/* Which ports of the guest appear on the host, as [ports] of the profile says it.  Pure. */
#ifndef AGENTVM_MODEL_PORTS_H
#define AGENTVM_MODEL_PORTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum { PORT_COUNT = 65536, PORT_FIXED_MAX = 64 };

struct port_set {
    uint8_t bits[PORT_COUNT / 8];
};

/* Adds "N" or "N-M", 1 to 65535, without leading zeros.  Returns 0 or -1. */
int port_set_add(struct port_set *s, const char *word);
/* Adds all words, each of which is one that port_set_add takes. */
void port_set_add_all(struct port_set *s, const struct strv *words);
bool port_set_has(const struct port_set *s, unsigned port);
bool port_set_is_within(const struct port_set *inner, const struct port_set *outer);

/* A decimal port, 1 to 65535; 0 if the text is none. */
unsigned port_number(const char *text);

struct port_policy {
    bool automatic; /* those of allow appear by themselves */
    struct port_set allow, deny;
    struct port_fixed {
        uint16_t host, guest;
    } fixed[PORT_FIXED_MAX];
    size_t nfixed;
};

/* allow, deny: words as above; fixed: "HOST=GUEST", at most PORT_FIXED_MAX of them. */
void port_policy_make(struct port_policy *p, bool automatic, const struct strv *allow,
                      const struct strv *deny, const struct strv *fixed);
/* Whether any port may appear. */
bool port_policy_is_active(const struct port_policy *p);
/* The number on the host that a port of the guest should get, or 0 if it is not to appear.
 * private: see enum port_state. */
unsigned port_policy_host(const struct port_policy *p, unsigned guest, bool private);

#endif
