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
    PROFILE_LIST,   /* struct strv; in a file the value may go on in indented lines */
};

#define PROFILE_PLUGIN_SECTION "plugin."

/* A row of the table of keys. */
struct profile_key {
    const char *section, *name;
    enum profile_type type;
    size_t offset; /* of the member in struct profile */
    /* Checks and stores the value; *narrower says whether it grants no more than the one before. */
    int (*set)(struct profile *p, const struct profile_key *k, const struct profile_entry *entry,
               bool *narrower, struct err *e);
    uint64_t min, max;
    bool narrows; /* a project may make it narrower without approval */
};

const struct profile_key *profile_keys(size_t *n);
/* The key's member in p. */
void *profile_member(const struct profile *p, const struct profile_key *k);
/* A size as agent.ini would have it, in the largest unit that leaves no rest; caller frees it. */
char *profile_size_text(uint64_t size);
const char *profile_origin_name(enum profile_origin origin);

/* Checks that a section of that name exists; the error begins with where. */
int profile_check_section(const char *where, const char *section, struct err *e);
/* Whether the key takes a list, which may go on in further lines. */
bool profile_key_is_list(const char *section, const char *key);
/* Checks the value and puts it into the profile, replacing or extending the one before. */
int profile_assign(struct profile *p, const struct profile_entry *entry, struct err *e);

#endif
