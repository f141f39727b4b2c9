/* The sections and keys of a profile: one table, and how a value gets in. */
#ifndef AGENTVM_MODEL_PROFILE_KEYS_H
#define AGENTVM_MODEL_PROFILE_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "model/profile.h"

/* One setting on its way into the profile; borrowed strings. */
struct profile_entry {
    enum profile_origin origin;
    const char *where; /* "file:line", or the option: begins every error */
    const char *section;
    const char *key;
    const char *value;
};

enum profile_type {
    PROFILE_TEXT,   /* char * */
    PROFILE_NUMBER, /* unsigned */
    PROFILE_SIZE,   /* uint64_t, bytes */
    PROFILE_PATHS,  /* struct strv; words, and each is the path of a file or folder */
    PROFILE_BOOL,   /* bool; "true" or "false" */
    PROFILE_LIST,   /* struct strv; in a file the value may go on in indented lines */
};

/* Whether a value of the type is a struct strv. */
bool profile_type_is_list(enum profile_type type);

/* What the names of sections with a name of their own begin with. */
#define PROFILE_PLUGIN_SECTION "plugin."
#define PROFILE_MCP_SECTION "mcp."
#define PROFILE_NAMED_SECTION "profile."

/* A row of the table of keys. */
struct profile_key {
    const char *section, *name;
    enum profile_type type;
    size_t offset; /* of the member in struct profile */
    /* Checks and stores the value; *narrower says whether it grants no more than the one before. */
    int (*set)(struct profile *p, const struct profile_key *k, const struct profile_entry *entry,
               bool *narrower, struct err *e);
    uint64_t min, max;
    bool narrows;        /* a project may make it narrower without approval */
    bool adds;           /* to the lists of earlier texts, rather than replacing them */
    const char *does;    /* what another value does, for the approval; NULL: it raises a limit */
    const char *none;    /* what an empty value does; NULL: as another, with "nothing" */
    const char *help;    /* for profile_sample */
    const char *example; /* likewise; a value other than the default */
};

const struct profile_key *profile_keys(size_t *n);
/* The key's member in p. */
void *profile_member(const struct profile *p, const struct profile_key *k);
/* A size as agent.ini would have it, in the largest unit that leaves no rest; caller frees it. */
char *profile_size_text(uint64_t size);
const char *profile_origin_name(enum profile_origin origin);

/* The value as agent.ini has it; lists separated by blanks.  The caller frees it. */
char *profile_key_text(const struct profile *p, const struct profile_key *k);
/* The row of a key, or NULL. */
const struct profile_key *profile_find_key(const char *section, const char *name);

/* The names of plugins, their options and named profiles: lower-case words joined by '-'. */
bool profile_is_plain_name(const char *s);
/* "where: key: 'value' what"; an option on the command line is its own name.  Returns -1. */
int profile_refuse(const struct profile_entry *entry, const char *value, const char *what,
                   struct err *e);

/* Checks that a section of that name may stand in a text of that origin, and begins those that are
 * a thing of their own, [mcp.NAME] and [profile.NAME]; the error begins with where. */
int profile_section(struct profile *p, enum profile_origin origin, const char *where,
                    const char *section, struct err *e);
/* Whether the key takes a list, which may go on in further lines; these are joined by '\n'. */
bool profile_key_is_list(const char *section, const char *key);
/* Checks the value and puts it into the profile, replacing or extending the one before. */
int profile_assign(struct profile *p, const struct profile_entry *entry, struct err *e);

/* Splits the value at white space and commas into distinct words, each of which passes the test,
 * and adds them; what says what one is that does not. */
int profile_parse_names(const struct profile_entry *entry, bool (*test)(const char *),
                        const char *what, struct strv *out, struct err *e);

/* [ports]: setters of its keys in the table, and of a fixed pair. */
int profile_set_auto(struct profile *p, const struct profile_key *k,
                     const struct profile_entry *entry, bool *narrower, struct err *e);
int profile_set_allow(struct profile *p, const struct profile_key *k,
                      const struct profile_entry *entry, bool *narrower, struct err *e);
int profile_add_deny(struct profile *p, const struct profile_key *k,
                     const struct profile_entry *entry, bool *narrower, struct err *e);
int profile_set_port(struct profile *p, const struct profile_entry *entry, struct err *e);

/* Forgets who set the keys whose "section.key" begins so. */
void profile_forget_notes(struct profile *p, const char *prefix);
void profile_note_free(struct profile_note *n);

/* Tells in words what the project's file does with a key of the table (k) or of [env].  before is
 * the value so far, as text. */
void profile_widen(struct profile *p, const struct profile_key *k,
                   const struct profile_entry *entry, const char *before);
void profile_widen_mcp(struct profile *p, const struct profile_mcp *m);

/* Setters of keys that are paths: of [mask], [guest-local] and [mounts]. */
int profile_add_masks(struct profile *p, const struct profile_key *k,
                      const struct profile_entry *entry, bool *narrower, struct err *e);
int profile_add_locals(struct profile *p, const struct profile_key *k,
                       const struct profile_entry *entry, bool *narrower, struct err *e);
int profile_add_mounts(struct profile *p, const struct profile_key *k,
                       const struct profile_entry *entry, bool *narrower, struct err *e);

/* [mcp.NAME]: begins a server, replacing one of an earlier text; sets a key of it; tells what it
 * lacks at the end of the text. */
int profile_mcp_begin(struct profile *p, enum profile_origin origin, const char *where,
                      const char *name, struct err *e);
int profile_mcp_set(struct profile *p, const struct profile_entry *entry, struct err *e);
int profile_mcp_check(const struct profile_mcp *m, struct err *e);
bool profile_mcp_is_list(const char *key);
void profile_mcp_free(struct profile_mcp *m);

/* [profile.NAME], likewise; a setting is checked and kept. */
int profile_named_begin(struct profile *p, enum profile_origin origin, const char *where,
                        const char *name, struct err *e);
int profile_named_add(struct profile *p, const struct profile_entry *entry, struct err *e);
int profile_named_check(const struct profile_named *n, struct err *e);
/* Splits "SECTION.KEY" at its last '.'; false if there is none.  The caller frees both. */
bool profile_named_split(const char *dotted, char **section, char **key);
void profile_named_free(struct profile_named *n);

#endif
