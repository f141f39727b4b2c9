/* Which API key a session gets, and which server it goes to.
 *
 *   codex-key   CODEX_API_KEY    set for Codex alone
 *   openai-key  OPENAI_API_KEY   set for all that uses the API
 *
 * auto takes the first that is there, in this order; where OPENAI_BASE_URL is set, in the reverse
 * order: the key beside the URL is the one that belongs to it.  A login of the ChatGPT plan in
 * ~/.codex/auth.json stays on the host: a guest that renewed it would end the host's.
 *
 * The server is written as a model provider of its own.  Codex's built-in one ignores keys in the
 * environment, tries WebSockets first, and sends the key to further hosts.
 */
#include <stdio.h>
#include <string.h>

#include "agentvm/text.h"
#include "codex.h"

/* In the guest.  Not OPENAI_API_KEY: what the agent starts should not find and use it unasked. */
#define GUEST_KEY "AGENTVM_OPENAI_KEY"
#define DEFAULT_URL "https://api.openai.com/v1"

struct source {
    const char *name; /* of option credential */
    const char *variable;
};

static const struct source codex_key = {"codex-key", "CODEX_API_KEY"};
static const struct source openai_key = {"openai-key", "OPENAI_API_KEY"};

/* Whether a key can be a header's value; a line end that was pasted along cannot. */
static int is_header_value(const char *s)
{
    for (; *s; s++)
        if (*s <= ' ' || *s > '~')
            return 0;
    return 1;
}

/* Returns 1 if the host has no such key. */
static int give(struct agentvm_host *h, const struct source *s)
{
    const char *key = agentvm_host_env(h, s->variable);
    char why[96];

    if (!key)
        return 1;
    if (is_header_value(key))
        return agentvm_secret_env(h, GUEST_KEY, key);
    snprintf(why, sizeof(why), "%s contains a space, a line end or another odd character",
             s->variable);
    return agentvm_fail(h, why, "set it to the bare key");
}

static int give_any(struct agentvm_host *h, const struct source *first, const struct source *second)
{
    int rc = give(h, first);

    if (rc == 1)
        rc = give(h, second);
    return rc == 1 ? agentvm_fail(h, "no credential for Codex",
                                  "set OPENAI_API_KEY, or CODEX_API_KEY where Codex has a key of "
                                  "its own; the host's own login is not handed over")
                   : rc;
}

static int give_named(struct agentvm_host *h, const struct source *s)
{
    int rc = give(h, s);
    char why[96];

    if (rc != 1)
        return rc;
    snprintf(why, sizeof(why), "option credential is %s, but there is no %s", s->name, s->variable);
    return agentvm_fail(h, why, "set it, or choose another [plugin.codex] credential");
}

/* A secret, because the URL may hold a password. */
static int write_provider(struct agentvm_host *h, const char *url)
{
    struct agentvm_text t = {0};

    agentvm_text_add(&t, "[model_providers." CODEX_PROVIDER "]\n"
                         "name = \"" CODEX_PROVIDER "\"\n"
                         "base_url = ");
    agentvm_text_add_string(&t, url);
    agentvm_text_add(&t, "\n"
                         "env_key = \"" GUEST_KEY "\"\n"
                         "wire_api = \"responses\"\n");
    return agentvm_secret_file(h, "~/.codex/config.toml", 0600, t.s, t.n);
}

int codex_auth(struct agentvm_host *h)
{
    const char *credential = agentvm_option(h, "credential");
    const char *base_url = agentvm_host_env(h, "OPENAI_BASE_URL");

    if (base_url && (!is_header_value(base_url) || strncmp(base_url, "http", 4) != 0))
        return agentvm_fail(h, "OPENAI_BASE_URL is not a URL of the form https://HOST/v1",
                            "correct it, or unset it for OpenAI's own server");
    write_provider(h, base_url ? agentvm_guest_url(h, base_url) : DEFAULT_URL);
    if (strcmp(credential, "auto") == 0)
        return base_url ? give_any(h, &openai_key, &codex_key)
                        : give_any(h, &codex_key, &openai_key);
    if (strcmp(credential, codex_key.name) == 0)
        return give_named(h, &codex_key);
    if (strcmp(credential, openai_key.name) == 0)
        return give_named(h, &openai_key);
    return agentvm_fail(h, "option credential is none of auto, codex-key, openai-key",
                        "correct [plugin.codex] credential in agent.ini");
}
