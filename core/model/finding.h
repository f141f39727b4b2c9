/* What `agentvm doctor` finds: each room looks at what it needs of the host, and the command
 * prints. */
#ifndef AGENTVM_MODEL_FINDING_H
#define AGENTVM_MODEL_FINDING_H

#include <stddef.h>

#include "base/err.h"

enum finding_level {
    FINDING_OK,
    FINDING_WARNING, /* works, but slower or with less than one may expect */
    FINDING_PROBLEM, /* something that agentvm is for does not work */
};

struct finding {
    const char *check; /* static */
    enum finding_level level;
    char *text; /* one printable line */
    char *fix;  /* the shell command that mends it, or NULL where there is none; printable */
};

struct findings {
    const char *check; /* whose turn it is; static */
    struct finding *v;
    size_t n;
};

#define auto_findings __attribute__((cleanup(findings_free)))

#define finding_ok(f, ...) finding_add(f, FINDING_OK, NULL, __VA_ARGS__)
/* fix may be NULL; paths in it went through str_quote. */
void finding_add(struct findings *f, enum finding_level level, const char *fix, const char *fmt,
                 ...) __attribute__((format(printf, 4, 5)));
/* An error: its advice is the fix if it begins with "run: ", unless there is another one; other
 * advice goes into the text. */
void finding_error(struct findings *f, enum finding_level level, const char *fix,
                   const struct err *e);
/* How many of that level there are. */
size_t findings_count(const struct findings *f, enum finding_level level);
void findings_free(struct findings *f);

#endif
