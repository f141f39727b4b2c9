/* What a session gets of the user's own ~/.claude, where option import asks for it.
 *
 * Everything named here is text that Claude Code reads.  Credentials, history and what plugins or
 * hooks put into ~/.claude are not; of settings.json only members that start nothing, name nothing
 * of the host and hand nothing over.
 */
#include <stdio.h>
#include <string.h>

#include "agentvm/text.h"
#include "claude.h"
#include "json.h"

#define SETTINGS ".claude/settings.json"
#define WORDS "memory, skills, commands, agents, output-styles, settings"

static const struct {
    const char *word;
    const char *source; /* the same place in the guest's home; NULL: the plugin writes it */
} parts[] = {
    {"memory", ".claude/CLAUDE.md"},
    {"skills", ".claude/skills"},
    {"commands", ".claude/commands"},
    {"agents", ".claude/agents"},
    {"output-styles", ".claude/output-styles"},
    {"settings", NULL},
};

/* The settings that go along, where they are plain; agentvm.ini(5) has the list. */
static const char *const members[] = {
    "alwaysThinkingEnabled",
    "attribution",
    "autoCompactEnabled",
    "effortLevel",
    "includeCoAuthoredBy",
    "language",
    "includeGitInstructions",
    "model",
    "outputStyle",
    "showThinkingSummaries",
    "theme",
};

/* user: the text of the user's own settings, or NULL. */
static int write_settings(struct agentvm_host *h, const char *user, size_t len)
{
    struct agentvm_text t = {0};
    int themed = 0;

    agentvm_text_add(&t, "{");
    for (size_t i = 0; user && i < sizeof(members) / sizeof(members[0]); i++) {
        size_t value_len;
        const char *value = json_member(user, len, members[i], &value_len);

        if (!value || !json_is_plain(value, value_len))
            continue;
        themed |= strcmp(members[i], "theme") == 0;
        agentvm_text_add_string(&t, members[i]);
        agentvm_text_add(&t, ": ");
        agentvm_text_add_bytes(&t, value, value_len);
        agentvm_text_add(&t, ", ");
    }
    agentvm_text_add(&t, themed ? "" : "\"theme\": \"dark\", ");
    agentvm_text_add(&t, "\"skipDangerousModePermissionPrompt\": true}\n");
    return agentvm_file(h, "~/" SETTINGS, 0600, t.s, t.n, AGENTVM_AS_USER);
}

int claude_settings(struct agentvm_host *h)
{
    return write_settings(h, NULL, 0);
}

static int import_settings(struct agentvm_host *h)
{
    size_t len;
    const char *user = agentvm_host_file(h, SETTINGS, &len);

    if (!user)
        return 0;
    if (strlen(user) != len || !json_is_object(user))
        return agentvm_fail(h, "~/" SETTINGS " is not a JSON object",
                            "correct it, or leave settings out of [plugin.claude] import");
    return write_settings(h, user, len);
}

static int import_part(struct agentvm_host *h, size_t i)
{
    char path[64];

    if (!parts[i].source)
        return import_settings(h);
    snprintf(path, sizeof(path), "~/%s", parts[i].source);
    return agentvm_import(h, parts[i].source, path);
}

static int import_word(struct agentvm_host *h, const char *word, int all)
{
    char why[128];
    int found = 0;

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (!all && strcmp(parts[i].word, word) != 0)
            continue;
        found = 1;
        if (import_part(h, i) < 0)
            return -1;
    }
    if (found)
        return 0;
    snprintf(why, sizeof(why), "option import has the word \"%.40s\", which is none of its own",
             word);
    return agentvm_fail(h, why,
                        "set [plugin.claude] import to none, to all, or to some of: " WORDS);
}

int claude_import(struct agentvm_host *h)
{
    struct agentvm_list words = {0};

    agentvm_list_add_words(&words, agentvm_option(h, "import"));
    if (words.n == 1 && strcmp(words.v[0], "none") == 0)
        return 0;
    for (size_t i = 0; i < words.n; i++)
        if (import_word(h, words.v[i], words.n == 1 && strcmp(words.v[i], "all") == 0) < 0)
            return -1;
    return 0;
}
