/* The record of a run: one line of JSON in the data folder, for `agentvm history`.
 *
 * It holds no arguments and no values of variables, which may be secret.  The file is bounded: when
 * it is full it becomes the old one, of which there is one. */
#ifndef AGENTVM_STATE_RECORD_H
#define AGENTVM_STATE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cjson/cJSON.h>

#include "base/digest.h"
#include "base/err.h"
#include "guest/ports.h"
#include "model/paths.h"

enum {
    RECORD_LINE_MAX = 65536,   /* longer lines are not ours */
    RECORD_FILE_MAX = 1 << 20, /* some 2,000 runs; a line more at most */
};

/* What a session notes while it runs. */
struct record {
    const char *kind;            /* the command; static; NULL: it leaves no record */
    const char *start;           /* "warm", "cold" or "attached"; NULL: no VM came up */
    bool detached;               /* the supervisor completes it */
    time_t time;                 /* when it began */
    const char *project, *agent; /* borrowed, or NULL */
    char vm[9];                  /* the VM's id; "" if there was none */
    char base[DIGEST_HEX + 1], provisioned[DIGEST_HEX + 1]; /* the template's keys, or "" */
    char warm[DIGEST_HEX + 1];                              /* where start is "warm" */
    struct port_account ports;                              /* of a VM that ended in order */
};

/* The line, with its line feed, of a session that ends with this code, or with -1 and an error,
 * after us microseconds; stages are taken.  The caller frees it. */
char *record_format(const struct record *r, cJSON *stages, int64_t us, int code,
                    const struct err *e);
/* The line of a session whose agent was kept by the supervisor, from what record_format made of it
 * before: more_us longer, with what there was of ports, ended with code, and with an error or NULL.
 * NULL if text is none.  The caller frees it. */
char *record_complete(const char *text, int64_t more_us, const struct port_account *ports, int code,
                      const char *error);
/* Appends a line to the file; line feed included. */
int record_append(const struct paths *p, const char *line, struct err *e);

/* The last records of a project, or of all (NULL), oldest first: a list, at most max long, that the
 * caller deletes.  Lines that are no records are skipped. */
cJSON *record_read(const struct paths *p, const char *project, size_t max);
/* The record of the detached agent in this VM, or NULL; the caller deletes it. */
cJSON *record_find(const struct paths *p, const char *vm);
/* Appends the records of a file's text to the list. */
void record_parse(const char *text, size_t len, const char *project, cJSON *list);

#endif
