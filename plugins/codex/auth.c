/* Which API key a session gets, and which server it goes to.
 *
 *   codex-key   CODEX_API_KEY              set for Codex alone
 *   login       kept by `agentvm login`    given for Codex in VMs alone
 *   openai-key  OPENAI_API_KEY             set for all that uses the API
 *
 * auto takes the first that is there, in this order.  Where OPENAI_BASE_URL is set the order is
 * openai-key, codex-key: the key beside the URL is the one that belongs to it, and what was given
 * at a login goes to another server only if option credential says so.  A login of the ChatGPT plan
 * in
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
    const char *name;    /* of option credential */
    const char *account; /* as the user is told of it; the variable, where it is in one */
};

static const struct source codex_key = {"codex-key", "CODEX_API_KEY"};
static const struct source kept_login = {"login", "agentvm login"};
static const struct source openai_key = {"openai-key", "OPENAI_API_KEY"};

/* In the order of preference. */
static const struct source *const sources[] = {&codex_key, &kept_login, &openai_key, NULL};
static const struct source *const gateway_sources[] = {&openai_key, &codex_key, NULL};

/* Whether a key can be a header's value; a line end that was pasted along cannot. */
static int is_header_value(const char *s)
{
    for (; *s; s++)
        if (*s <= ' ' || *s > '~')
            return 0;
    return 1;
}

static const char *find_key(struct agentvm_host *h, const struct source *s)
{
    return s == &kept_login ? agentvm_login(h) : agentvm_host_env(h, s->account);
}

/* Hands one over and names all that there are. */
static int give(struct agentvm_host *h, const struct source *s, const char *key,
                const char *base_url)
{
    const char *billing = base_url ? "gateway" : "metered API";
    char why[96];

    if (!is_header_value(key)) {
        snprintf(why, sizeof(why), "%s contains a space, a line end or another odd character",
                 s->account);
        return agentvm_fail(h, why, "set it to the bare key");
    }
    agentvm_account(h, s->account, billing);
    for (size_t i = 0; sources[i]; i++)
        if (sources[i] != s && find_key(h, sources[i]))
            agentvm_account(h, sources[i]->account, billing);
    return agentvm_secret_env(h, GUEST_KEY, key);
}

static int give_first(struct agentvm_host *h, const char *base_url)
{
    const struct source *const *s = base_url ? gateway_sources : sources;

    for (; *s; s++) {
        const char *key = find_key(h, *s);

        if (key)
            return give(h, *s, key, base_url);
    }
    return agentvm_fail(h, "no credential for Codex",
                        "run agentvm login codex, or set OPENAI_API_KEY, or CODEX_API_KEY where "
                        "Codex has a key of its own; the host's own login is not handed over");
}

static int give_named(struct agentvm_host *h, const char *name, const char *base_url)
{
    char why[96];

    for (size_t i = 0; sources[i]; i++) {
        const char *key;

        if (strcmp(sources[i]->name, name) != 0)
            continue;
        key = find_key(h, sources[i]);
        if (key)
            return give(h, sources[i], key, base_url);
        snprintf(why, sizeof(why), "option credential is %s, but there is no %s", name,
                 sources[i]->account);
        return agentvm_fail(h, why,
                            sources[i] == &kept_login
                                ? "run agentvm login codex, or choose another [plugin.codex] "
                                  "credential"
                                : "set it, or choose another [plugin.codex] credential");
    }
    return agentvm_fail(h, "option credential is none of auto, " CODEX_CREDENTIALS,
                        "correct [plugin.codex] credential in agent.ini");
}

/* A secret, because the URL may hold a password.  Without a URL the host has failed a call. */
static int write_provider(struct agentvm_host *h, const char *url)
{
    struct agentvm_text t = {0};

    if (!url)
        return -1;
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
    if (write_provider(h, base_url ? agentvm_guest_url(h, base_url) : DEFAULT_URL) < 0)
        return -1;
    return strcmp(credential, "auto") == 0 ? give_first(h, base_url)
                                           : give_named(h, credential, base_url);
}

/* Keys are made on OpenAI's web site: no program helps with that. */
int codex_login(struct agentvm_host *h)
{
    return agentvm_ask(h, "OpenAI API key");
}
