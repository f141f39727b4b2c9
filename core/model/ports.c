#include "model/ports.h"

#include <string.h>

#include "base/mem.h"

unsigned port_number(const char *text)
{
    uint64_t n;

    return *text != '0' && str_to_u64(text, 1, PORT_COUNT - 1, &n) == 0 ? (unsigned)n : 0;
}

int port_set_add(struct port_set *s, const char *word)
{
    const char *dash = strchr(word, '-');
    auto_free char *start = dash ? mem_dup(word, (size_t)(dash - word)) : mem_strdup(word);
    unsigned first = port_number(start), last = dash ? port_number(dash + 1) : first;

    if (!first || last < first)
        return -1;
    for (unsigned port = first; port <= last; port++)
        s->bits[port / 8] |= (uint8_t)(1u << port % 8);
    return 0;
}

void port_set_add_all(struct port_set *s, const struct strv *words)
{
    for (size_t i = 0; i < words->n; i++)
        port_set_add(s, words->v[i]);
}

bool port_set_has(const struct port_set *s, unsigned port)
{
    return port < PORT_COUNT && s->bits[port / 8] >> port % 8 & 1;
}

bool port_set_is_within(const struct port_set *inner, const struct port_set *outer)
{
    for (size_t i = 0; i < sizeof(inner->bits); i++)
        if (inner->bits[i] & ~outer->bits[i])
            return false;
    return true;
}

void port_policy_make(struct port_policy *p, bool automatic, const struct strv *allow,
                      const struct strv *deny, const struct strv *fixed)
{
    *p = (struct port_policy){.automatic = automatic};
    port_set_add_all(&p->allow, allow);
    port_set_add_all(&p->deny, deny);
    for (size_t i = 0; i < fixed->n && p->nfixed < PORT_FIXED_MAX; i++) {
        size_t len = strcspn(fixed->v[i], "=");
        auto_free char *host = mem_dup(fixed->v[i], len);

        p->fixed[p->nfixed++] = (struct port_fixed){(uint16_t)port_number(host),
                                                    (uint16_t)port_number(fixed->v[i] + len + 1)};
    }
}

bool port_policy_is_active(const struct port_policy *p)
{
    return p->automatic || p->nfixed > 0;
}

unsigned port_policy_host(const struct port_policy *p, unsigned guest, bool private)
{
    if (port_set_has(&p->deny, guest))
        return 0;
    for (size_t i = 0; i < p->nfixed; i++)
        if (p->fixed[i].guest == guest)
            return p->fixed[i].host;
    return p->automatic && !private && port_set_has(&p->allow, guest) ? guest : 0;
}
