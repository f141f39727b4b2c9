/* Which credential a session gets: exactly one, so that it is clear who pays.
 *
 *   oauth-token  CLAUDE_CODE_OAUTH_TOKEN      a subscription, from `claude setup-token`
 *   file         ~/.claude/.credentials.json  a subscription, from logging in on the host
 *   auth-token   ANTHROPIC_AUTH_TOKEN         a gateway's bearer token
 *   api-key      ANTHROPIC_API_KEY            metered billing
 *
 * auto takes the first that is there, in this order: a key that lies in the environment for other
 * programs must not silently move a subscriber to metered billing.  Where ANTHROPIC_BASE_URL is set
 * the order is auth-token, api-key, oauth-token: the key beside the URL is the one that belongs to
 * it, and the host's own login is never sent to another server unless `credential = file` says so.
 *
 * Of the host's login only the access token goes along, which lasts some hours.  With the refresh
 * token, the guest would renew the login and thereby end the host's; MCP servers' tokens, which
 * are in the same file, stay on the host, too.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agentvm/text.h"
#include "claude.h"
#include "json.h"

#define LOGIN_FILE ".claude/.credentials.json"
#define SETUP_TOKEN "CLAUDE_CODE_OAUTH_TOKEN (from: claude setup-token)"

enum { APPROVED_TAIL = 20 }; /* last bytes of a key by which Claude Code remembers it */

struct source {
    const char *name;     /* of option credential */
    const char *variable; /* NULL: the host's login */
};

static const struct source oauth_token = {"oauth-token", "CLAUDE_CODE_OAUTH_TOKEN"};
static const struct source login_file = {"file", NULL};
static const struct source auth_token = {"auth-token", "ANTHROPIC_AUTH_TOKEN"};
static const struct source api_key = {"api-key", "ANTHROPIC_API_KEY"};

/* Whether a secret can be a header's value; a line end that was pasted along cannot. */
static int is_header_value(const char *s)
{
    for (; *s; s++)
        if (*s <= ' ' || *s > '~')
            return 0;
    return 1;
}

/* Interactively, Claude Code would ask whether a key from the environment may be used; its answer
 * lies in its state file, which provision wrote without one. */
static int approve_key(struct agentvm_host *h, const char *key)
{
    size_t len = strlen(key);
    struct agentvm_text t = {0};

    agentvm_text_add(&t, "{" CLAUDE_ONBOARDED ", \"customApiKeyResponses\": {\"approved\": [");
    agentvm_text_add_string(&t, len > APPROVED_TAIL ? key + len - APPROVED_TAIL : key);
    agentvm_text_add(&t, "], \"rejected\": []}}\n");
    return agentvm_secret_file(h, "~/.claude.json", 0600, t.s, t.n);
}

static int give_variable(struct agentvm_host *h, const struct source *s, const char *value)
{
    char why[96];

    if (!is_header_value(value)) {
        snprintf(why, sizeof(why), "%s contains a space, a line end or another odd character",
                 s->variable);
        return agentvm_fail(h, why, "set it to the bare key or token");
    }
    agentvm_secret_env(h, s->variable, value);
    return s == &api_key ? approve_key(h, value) : 0;
}

/* Copies what a session needs of the login; 0 if it has no access token. */
static int copy_login(const char *login, size_t len, struct agentvm_text *out)
{
    static const char *const members[] = {"accessToken", "expiresAt", "scopes", "subscriptionType",
                                          "rateLimitTier"};
    int found = 0;

    agentvm_text_add(out, "{\"claudeAiOauth\": {");
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        size_t value_len;
        const char *value = json_find(login, len, members[i], &value_len);

        if (!value)
            continue;
        agentvm_text_add(out, found++ ? ", " : "");
        agentvm_text_add_string(out, members[i]);
        agentvm_text_add(out, ": ");
        agentvm_text_add_bytes(out, value, value_len);
        if (i == 0 && value_len <= 2)
            return 0;
    }
    agentvm_text_add(out, "}}\n");
    return json_find(login, len, members[0], &len) != NULL;
}

/* The time is not the host table's to tell, but a login that has run out is better refused before
 * a VM starts than reported by the agent inside. */
static int has_expired(const char *login, size_t len)
{
    size_t value_len;
    const char *expires = json_find(login, len, "expiresAt", &value_len);

    return expires && strtoll(expires, NULL, 10) / 1000 <= (long long)time(NULL);
}

/* Returns 1 if there is no login. */
static int give_login(struct agentvm_host *h)
{
    size_t len = 0, login_len = 0;
    const char *file = agentvm_host_file(h, LOGIN_FILE, &len);
    const char *login = file ? json_find(file, len, "claudeAiOauth", &login_len) : NULL;
    struct agentvm_text t = {0};

    if (!login || !copy_login(login, login_len, &t))
        return 1;
    if (has_expired(login, login_len))
        return agentvm_fail(h, "the login in ~/" LOGIN_FILE " has expired",
                            "run claude on this host once to renew it, or set " SETUP_TOKEN
                            ", which lasts a year");
    return agentvm_secret_file(h, "~/" LOGIN_FILE, 0600, t.s, t.n);
}

/* Returns 1 if the host has no such credential. */
static int give(struct agentvm_host *h, const struct source *s)
{
    const char *value;

    if (!s->variable)
        return give_login(h);
    value = agentvm_host_env(h, s->variable);
    return value ? give_variable(h, s, value) : 1;
}

static int give_first(struct agentvm_host *h, const struct source *const *sources, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int rc = give(h, sources[i]);

        if (rc <= 0)
            return rc;
    }
    return agentvm_fail(h, "no credential for Claude Code",
                        "set " SETUP_TOKEN ", ANTHROPIC_API_KEY or ANTHROPIC_AUTH_TOKEN, or log in "
                        "with claude on this host (~/" LOGIN_FILE ")");
}

static int give_named(struct agentvm_host *h, const char *name)
{
    static const struct source *const all[] = {&oauth_token, &login_file, &auth_token, &api_key};
    char why[128];

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        int rc;

        if (strcmp(all[i]->name, name) != 0)
            continue;
        rc = give(h, all[i]);
        if (rc <= 0)
            return rc;
        snprintf(why, sizeof(why), "option credential is %s, but there is no %s", name,
                 all[i]->variable ? all[i]->variable : "login in ~/" LOGIN_FILE);
        return agentvm_fail(h, why, "set it, or choose another [plugin.claude] credential");
    }
    return agentvm_fail(h,
                        "option credential is none of auto, oauth-token, file, auth-token, api-key",
                        "correct [plugin.claude] credential in agent.ini");
}

int claude_auth(struct agentvm_host *h)
{
    static const struct source *const own[] = {&oauth_token, &login_file, &auth_token, &api_key};
    static const struct source *const gateway[] = {&auth_token, &api_key, &oauth_token};
    const char *credential = agentvm_option(h, "credential");
    const char *base_url = agentvm_host_env(h, "ANTHROPIC_BASE_URL");
    const char *guest_url = base_url ? agentvm_guest_url(h, base_url) : NULL;

    if (guest_url && strchr(guest_url, '@')) /* may hold a password */
        agentvm_secret_env(h, "ANTHROPIC_BASE_URL", guest_url);
    else if (guest_url)
        agentvm_env(h, "ANTHROPIC_BASE_URL", guest_url);
    if (strcmp(credential, "auto") != 0)
        return give_named(h, credential);
    return base_url ? give_first(h, gateway, sizeof(gateway) / sizeof(gateway[0]))
                    : give_first(h, own, sizeof(own) / sizeof(own[0]));
}
