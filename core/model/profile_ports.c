/* [ports]: the values of its keys, and the fixed pairs, whose keys are numbers. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/ports.h"
#include "model/profile_keys.h"
#include "model/show.h"

enum { SHOWN_MAX = 80 };

static const char not_port[] = "is not a port or a range of ports from 1 to 65535, such as 3000 or "
                               "8000-8099";

static bool is_ports(const char *word)
{
    struct port_set scratch = {{0}};

    return port_set_add(&scratch, word) == 0;
}

int profile_set_auto(struct profile *p, const struct profile_key *k,
                     const struct profile_entry *entry, bool *narrower, struct err *e)
{
    char **at = profile_member(p, k);
    bool on = strcmp(entry->value, "on") == 0;

    if (!on && strcmp(entry->value, "off") != 0)
        return profile_refuse(entry, entry->value, "is neither 'on' nor 'off'", e);
    *narrower = !on || strcmp(*at, "on") == 0;
    free(*at);
    *at = mem_strdup(entry->value);
    return 0;
}

int profile_set_allow(struct profile *p, const struct profile_key *k,
                      const struct profile_entry *entry, bool *narrower, struct err *e)
{
    struct strv *at = profile_member(p, k), words = STRV_INIT;
    struct port_set before = {{0}}, after = {{0}};

    if (profile_parse_names(entry, is_ports, not_port, &words, e) < 0) {
        strv_free(&words);
        return -1;
    }
    port_set_add_all(&before, at);
    port_set_add_all(&after, &words);
    *narrower = port_set_is_within(&after, &before);
    strv_free(at);
    *at = words;
    return 0;
}

int profile_add_deny(struct profile *p, const struct profile_key *k,
                     const struct profile_entry *entry, bool *narrower, struct err *e)
{
    *narrower = true;
    return profile_parse_names(entry, is_ports, not_port, profile_member(p, k), e);
}

/* A port of the guest has one number on the host: another pair takes the place of the one before.
 */
static void forget_guest_port(struct strv *pairs, const char *guest)
{
    size_t kept = 0;

    for (size_t i = 0; i < pairs->n; i++) {
        if (strcmp(strchr(pairs->v[i], '=') + 1, guest) == 0)
            free(pairs->v[i]);
        else
            pairs->v[kept++] = pairs->v[i];
    }
    if (pairs->v)
        pairs->v[kept] = NULL;
    pairs->n = kept;
}

int profile_set_port(struct profile *p, const struct profile_entry *entry, struct err *e)
{
    auto_free char *shown = show_text(entry->key, SHOWN_MAX);

    if (!port_number(entry->key))
        return err_set(e,
                       "%s: '%s' in [ports] is neither auto, allow or deny nor a port of the "
                       "host from 1 to 65535",
                       entry->where, shown);
    if (!port_number(entry->value))
        return profile_refuse(entry, entry->value, "is not a port of the VM from 1 to 65535", e);
    forget_guest_port(&p->ports_fixed, entry->value);
    strv_setenv(&p->ports_fixed, entry->key, entry->value);
    if (p->ports_fixed.n > PORT_FIXED_MAX)
        return profile_refuse(entry, entry->value, "is one fixed port too many; 64 may be set", e);
    return 0;
}

void profile_port_policy(const struct profile *p, struct port_policy *out)
{
    port_policy_make(out, strcmp(p->ports_auto, "on") == 0, &p->ports_allow, &p->ports_deny,
                     &p->ports_fixed);
}
