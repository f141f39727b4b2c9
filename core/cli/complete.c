/* Theory of operation: the words before the last are read as cli_parse reads them, which tells what
 * the last one is: a command, an option, an option's value, or a word of the command's own.  For
 * the latter two the placeholder in the table, such as ID or DIR, says what to offer; a command's
 * synopsis is taken apart for that:
 *
 *     [--json] | info NAME|FILE | new NAME [DIR]      alternatives; info and new are verbs
 *                     NAME|FILE       NAME [DIR]      their elements
 *
 * So a new row of a table is completed without a line of code here. */
#include "cli/complete.h"

#include <string.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "state/rows.h"

/* What was typed, where candidates go, and what precedes them in their word ("--agent="). */
struct answer {
    const char *typed;
    const char *prefix;
    struct buf *out;
};

static void offer(const struct answer *a, const char *word, const char *what)
{
    if (str_starts(word, a->typed))
        buf_printf(a->out, "%s%s\t%s\n", a->prefix, word, what);
}

/* ---- what placeholders stand for ------------------------------------------------------------ */

static void offer_nothing(const struct answer *a)
{
    (void)a;
}

static void offer_files(const struct answer *a)
{
    buf_puts(a->out, ":files\n");
}

static void offer_folders(const struct answer *a)
{
    buf_puts(a->out, ":folders\n");
}

static void offer_commands(const struct answer *a)
{
    for (size_t i = 0; i < ncommands; i++)
        offer(a, commands[i].name, commands[i].summary);
}

static void offer_plugins_of(const struct answer *a, bool all)
{
    struct plugin_list list = {0};
    struct paths paths;

    if (paths_init(&paths, NULL) < 0)
        return;
    if (plugin_scan(&paths, &list, NULL) == 0)
        for (size_t i = 0; i < list.n; i++)
            if (all || list.plugins[i].kind == PLUGIN_AGENT)
                offer(a, list.plugins[i].name, list.plugins[i].summary);
    plugin_list_free(&list);
    paths_free(&paths);
}

static void offer_agents(const struct answer *a)
{
    offer_plugins_of(a, false);
}

static void offer_plugins(const struct answer *a)
{
    offer_plugins_of(a, true);
}

static void offer_profiles(const struct answer *a)
{
    struct profile p;
    struct paths paths;
    auto_free char *file = NULL;

    if (paths_init(&paths, NULL) < 0)
        return;
    profile_defaults(&p);
    file = mem_printf("%s/%s", paths.config, PATHS_USER_INI);
    if (profile_load(&p, PROFILE_USER, file, false, NULL) == 0)
        for (size_t i = 0; i < p.nnamed; i++)
            offer(a, p.named[i].name, "profile");
    profile_free(&p);
    paths_free(&paths);
}

/* Those that run, and those that are kept; by their names only in their own folder. */
static void offer_vms(const struct answer *a, bool names)
{
    auto_vm_rows struct vm_rows vms = {0};
    auto_free char *here = NULL;
    struct paths paths;

    if (paths_init(&paths, NULL) < 0)
        return;
    if (!names || paths_project(&paths, NULL, &here, NULL) == 0)
        vm_rows_list(&paths, here, &vms, NULL);
    for (size_t i = 0; i < vms.n; i++)
        if (!names || *vms.v[i].name)
            offer(a, names ? vms.v[i].name : vms.v[i].id, vms.v[i].agent);
    paths_free(&paths);
}

static void offer_machines(const struct answer *a)
{
    offer_vms(a, false);
}

static void offer_names(const struct answer *a)
{
    offer_vms(a, true);
}

static const struct {
    const char *owner; /* option, command, or command and verb; NULL: any */
    const char *placeholder;
    void (*offer)(const struct answer *a);
} sources[] = {
    {"--agent", "NAME", offer_agents},      {"--profile", "NAME", offer_profiles},
    {"plugin info", "NAME", offer_plugins}, {"help", "COMMAND", offer_commands},
    {NULL, "AGENT", offer_agents},          {NULL, "ID", offer_machines},
    {"--vm", "NAME", offer_names},          {"--name", "NAME", offer_names},
    {"attach", "NAME", offer_names},        {"wait", "NAME", offer_names},
    {"logs", "NAME", offer_names},          {"info", "NAME", offer_names},
    {"stop", "NAME", offer_names},          {"rm", "NAME", offer_names},
    {NULL, "DIR", offer_folders},           {NULL, "FILE", offer_files},
    {NULL, "NAME", offer_nothing},
};

static bool offer_placeholder(const struct answer *a, const char *owner, const char *name,
                              size_t len)
{
    for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
        if (sources[i].owner && strcmp(sources[i].owner, owner) != 0)
            continue;
        if (strlen(sources[i].placeholder) == len &&
            strncmp(sources[i].placeholder, name, len) == 0) {
            sources[i].offer(a);
            return true;
        }
    }
    return false;
}

/* text[0..len) is placeholders with '|' between them: "NAME|FILE", "[ID... | --all]".  Returns
 * whether any is known. */
static bool offer_element(const struct answer *a, const char *owner, const char *text, size_t len)
{
    const char *end = text + len;
    bool known = false;

    while (text < end) {
        size_t n = 0;

        text += strspn(text, "[ |.");
        while (text + n < end && !strchr("|].", text[n]))
            n++;
        known = (n > 0 && offer_placeholder(a, owner, text, n)) || known;
        text += n + strspn(text + n, "]. |");
    }
    return known;
}

/* ---- options -------------------------------------------------------------------------------- */

static bool find_option(int groups, const char *word, size_t len, struct option_row *o)
{
    for (size_t i = 0; cli_next_option(groups, &i, o);)
        if ((strlen(o->name) == len && strncmp(o->name, word, len) == 0) ||
            (len == 2 && o->letter && word[1] == o->letter))
            return true;
    return false;
}

static void offer_options(const struct answer *a, int groups, bool first)
{
    struct option_row o;

    for (size_t i = 0; cli_next_option(groups, &i, &o);)
        offer(a, o.name, o.help);
    if (first)
        offer(a, "--version", "show the version");
}

static void offer_value(const struct answer *a, const struct option_row *o)
{
    if (o->value)
        offer_element(a, o->name, o->value, strlen(o->value));
}

/* An option, or its value behind '='. */
static void offer_dashed(const struct answer *a, int groups, bool first)
{
    const char *equals = strchr(a->typed, '=');
    auto_free char *prefix = NULL;
    struct option_row o;
    struct answer value;

    if (!equals) {
        offer_options(a, groups, first);
        return;
    }
    prefix = mem_dup(a->typed, (size_t)(equals + 1 - a->typed));
    value = (struct answer){equals + 1, prefix, a->out};
    if (find_option(groups, a->typed, (size_t)(equals - a->typed), &o))
        offer_value(&value, &o);
}

/* ---- words of a command's own --------------------------------------------------------------- */

/* The length of the synopsis' part at s: up to a '|' between alternatives, or a blank if elements
 * are asked for, outside of brackets. */
static size_t part_length(const char *s, bool element)
{
    size_t n = 0;
    int depth = 0;

    for (; s[n]; n++) {
        depth += s[n] == '[' ? 1 : s[n] == ']' ? -1 : 0;
        if (depth == 0 && s[n] == ' ' && (element || str_starts(s + n, " | ")))
            break;
    }
    return n;
}

static size_t verb_length(const char *alternative)
{
    return strspn(alternative, "abcdefghijklmnopqrstuvwxyz");
}

/* The element that word number n of an alternative is, not counting options; NULL: none. */
static const char *find_element(const char *alternative, size_t n)
{
    const char *end = alternative + part_length(alternative, false);
    const char *last = NULL;

    for (const char *s = alternative; s < end; s += part_length(s, true), s += *s == ' ') {
        bool option = *s == '-' || str_starts(s, "[-") || str_starts(s, "[OPTIONS]");

        if (option)
            continue;
        last = s;
        if (n-- == 0)
            return s;
    }
    /* "ID..." stands for any number. */
    return last && memmem(last, part_length(last, true), "...", 3) ? last : NULL;
}

static void offer_word_of(const struct answer *a, const char *owner, const char *alternative,
                          size_t n)
{
    const char *element = find_element(alternative, n);

    /* What the guest or the agent gets may be a file of the project. */
    if (element && !offer_element(a, owner, element, part_length(element, true)))
        offer_files(a);
}

/* n words of the command are before the one to complete; first is the first of them, if any. */
static void offer_word(const struct answer *a, const struct command *c, const char *first, size_t n)
{
    for (const char *s = c->synopsis; *s; s += str_starts(s, " | ") ? 3 : 0) {
        size_t len = verb_length(s);
        auto_free char *verb = mem_dup(s, len);
        auto_free char *owner = mem_printf("%s %s", c->name, verb);

        if (len > 0 && n == 0)
            offer(a, verb, "");
        else if (len > 0 && strcmp(first, verb) == 0)
            offer_word_of(a, owner, s, n);
        else if (len == 0)
            offer_word_of(a, c->name, s, n);
        s += part_length(s, false);
    }
}

/* ---- the command line ----------------------------------------------------------------------- */

static const struct command *command_of(const char *word)
{
    for (size_t i = 0; i < ncommands; i++)
        if (strcmp(commands[i].name, word) == 0)
            return &commands[i];
    return NULL;
}

/* Reads options as cli_parse does; first: none of the words before is a command. */
static void complete_behind(const struct command *c, char *const *words, bool first,
                            struct answer *a)
{
    struct option_row o;
    const char *word = NULL;
    bool over = false; /* no more options */
    size_t n = 0;

    for (; words[1]; words++) {
        size_t len = strcspn(words[0], "=");

        if (over || words[0][0] != '-' || !words[0][1]) {
            word = n++ == 0 ? words[0] : word;
            over = over || !(c->options & OPT_MIXED);
            continue;
        }
        over = strcmp(words[0], "--") == 0;
        if (!find_option(c->options, words[0], len, &o) || !o.value || o.value[0] == '[' ||
            words[0][len])
            continue;
        words++;
        if (!words[1]) {
            offer_value(a, &o);
            return;
        }
    }
    if (!over && a->typed[0] == '-')
        offer_dashed(a, c->options, first);
    else if (c->own_words)
        offer_word(a, c, word, n);
}

void complete_words(char *const *words, struct buf *out)
{
    struct answer a = {"", "", out};
    const struct command *c = &commands[0];
    bool named;
    size_t n = 0;

    while (words[n])
        n++;
    if (n == 0)
        return;
    a.typed = words[n - 1];
    if (n == 1 && a.typed[0] != '-') {
        offer_commands(&a);
        return;
    }
    named = words[0][0] != '-';
    if (named)
        c = command_of(words[0]);
    if (c)
        complete_behind(c, words + named, !named && n == 1, &a);
}
