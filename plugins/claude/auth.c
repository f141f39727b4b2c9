/* Which credential a session gets: exactly one, so that it is clear who pays.
 *
 *   oauth-token  CLAUDE_CODE_OAUTH_TOKEN      a subscription, from `claude setup-token`
 *   login        kept by `agentvm login`      the same
 *   file         ~/.claude/.credentials.json  a subscription, from logging in on the host
 *   auth-token   ANTHROPIC_AUTH_TOKEN         a gateway's bearer token
 *   api-key      ANTHROPIC_API_KEY            metered billing
 *
 * auto takes the first that is there, in this order: a key that lies in the environment for other
 * programs must not silently move a subscriber to metered billing.  Where ANTHROPIC_BASE_URL is set
 * the order is auth-token, api-key, oauth-token: the key beside the URL is the one that belongs to
 * it, and neither login is ever sent to another server unless option credential says so.
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

enum { APPROVED_TAIL = 20 }; /* last bytes of a key by which Claude Code remembers it */

struct source {
    const char *name;    /* of option credential */
    const char *account; /* as the user is told of it; the variable, where it is in one */
    const char *billing;
};

#define SUBSCRIPTION "subscription"
#define GATEWAY "gateway"

static const struct source oauth_token = {"oauth-token", "CLAUDE_CODE_OAUTH_TOKEN", SUBSCRIPTION};
static const struct source kept_login = {"login", "agentvm login", SUBSCRIPTION};
static const struct source login_file = {"file", "~/" LOGIN_FILE, SUBSCRIPTION};
static const struct source auth_token = {"auth-token", "ANTHROPIC_AUTH_TOKEN", GATEWAY};
static const struct source api_key = {"api-key", "ANTHROPIC_API_KEY", "metered API"};

/* In the order of preference. */
static const struct source *const sources[] = {&oauth_token, &kept_login, &login_file,
                                               &auth_token,  &api_key,    NULL};
static const struct source *const gateway_sources[] = {&auth_token, &api_key, &oauth_token, NULL};

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

static int give_value(struct agentvm_host *h, const struct source *s, const char *value)
{
    const char *variable = s == &kept_login ? oauth_token.account : s->account;
    char why[96];

    if (!value) /* it was there, so the call is being made to fail */
        return -1;
    if (!is_header_value(value)) {
        snprintf(why, sizeof(why), "%s contains a space, a line end or another odd character",
                 s->account);
        return agentvm_fail(h, why, "set it to the bare key or token");
    }
    agentvm_secret_env(h, variable, value);
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

/* Finds the host's login and copies what a session needs of it; 0 if there is none. */
static int read_login(struct agentvm_host *h, struct agentvm_text *out, int *expired)
{
    size_t len = 0, login_len = 0;
    const char *file = agentvm_host_secret(h, LOGIN_FILE, &len);
    const char *login = file ? json_find(file, len, "claudeAiOauth", &login_len) : NULL;

    if (!login || !copy_login(login, login_len, out))
        return 0;
    *expired = has_expired(login, login_len);
    return 1;
}

static int give_file(struct agentvm_host *h)
{
    struct agentvm_text t = {0};
    int expired = 0;

    if (!read_login(h, &t, &expired))
        return -1;
    if (expired)
        return agentvm_fail(h, "the login in ~/" LOGIN_FILE " has expired",
                            "run claude on this host once to renew it, or run agentvm login "
                            "claude for a token that lasts a year");
    return agentvm_secret_file(h, "~/" LOGIN_FILE, 0600, t.s, t.n);
}

/* The credential where it is one text, else NULL. */
static const char *find_value(struct agentvm_host *h, const struct source *s)
{
    if (s == &login_file)
        return NULL;
    return s == &kept_login ? agentvm_login(h) : agentvm_host_env(h, s->account);
}

static int exists(struct agentvm_host *h, const struct source *s)
{
    struct agentvm_text t = {0};
    int expired;

    return s == &login_file ? read_login(h, &t, &expired) : find_value(h, s) != NULL;
}

static void name_account(struct agentvm_host *h, const struct source *s, const char *base_url)
{
    agentvm_account(h, s->account, base_url && s == &api_key ? GATEWAY : s->billing);
}

/* Hands one over, which exists, and names all that there are. */
static int give(struct agentvm_host *h, const struct source *s, const char *base_url)
{
    name_account(h, s, base_url);
    for (size_t i = 0; sources[i]; i++)
        if (sources[i] != s && exists(h, sources[i]))
            name_account(h, sources[i], base_url);
    return s == &login_file ? give_file(h) : give_value(h, s, find_value(h, s));
}

static int give_first(struct agentvm_host *h, const char *base_url)
{
    const struct source *const *s = base_url ? gateway_sources : sources;

    for (; *s; s++)
        if (exists(h, *s))
            return give(h, *s, base_url);
    return agentvm_fail(h, "no credential for Claude Code",
                        "run agentvm login claude; or set CLAUDE_CODE_OAUTH_TOKEN (from: claude "
                        "setup-token), ANTHROPIC_API_KEY or ANTHROPIC_AUTH_TOKEN; or log in with "
                        "claude on this host (~/" LOGIN_FILE ")");
}

static int give_named(struct agentvm_host *h, const char *name, const char *base_url)
{
    char why[128];

    for (size_t i = 0; sources[i]; i++) {
        if (strcmp(sources[i]->name, name) != 0)
            continue;
        if (exists(h, sources[i]))
            return give(h, sources[i], base_url);
        snprintf(why, sizeof(why), "option credential is %s, but there is no %s%s", name,
                 sources[i] == &login_file ? "login in " : "", sources[i]->account);
        return agentvm_fail(h, why,
                            sources[i] == &kept_login
                                ? "run agentvm login claude, or choose another [plugin.claude] "
                                  "credential"
                                : "set it, or choose another [plugin.claude] credential");
    }
    return agentvm_fail(h, "option credential is none of auto, " CLAUDE_CREDENTIALS,
                        "correct [plugin.claude] credential in agent.ini");
}

int claude_auth(struct agentvm_host *h)
{
    const char *credential = agentvm_option(h, "credential");
    const char *base_url = agentvm_host_env(h, "ANTHROPIC_BASE_URL");
    const char *guest_url = base_url ? agentvm_guest_url(h, base_url) : NULL;

    if (guest_url && strchr(guest_url, '@')) /* may hold a password */
        agentvm_secret_env(h, "ANTHROPIC_BASE_URL", guest_url);
    else if (guest_url)
        agentvm_env(h, "ANTHROPIC_BASE_URL", guest_url);
    return strcmp(credential, "auto") == 0 ? give_first(h, base_url)
                                           : give_named(h, credential, base_url);
}

/* setup-token is for a subscription and prints a token that lasts a year.  Its output is for
 * people, so it is not read; the user is asked for the token. */
int claude_login(struct agentvm_host *h)
{
    struct agentvm_list argv = {0};

    claude_set_environment(h);
    agentvm_ask(h, "OAuth token");
    agentvm_list_add(&argv, "claude");
    agentvm_list_add(&argv, "setup-token");
    agentvm_list_add_all(&argv, agentvm_args(h));
    return agentvm_exec(h, argv.v);
}
