/* Stages of a start, shown while they run and timed. */
#ifndef AGENTVM_SESSION_STAGE_H
#define AGENTVM_SESSION_STAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>

#include "base/err.h"

enum { STAGES_MAX = 32 };

struct stages {
    struct stage {
        const char *name; /* static */
        int64_t us;
    } done[STAGES_MAX];
    size_t n;
    int64_t start_us;  /* of everything */
    const char *name;  /* of the stage that runs, or NULL */
    const char *title; /* what the user reads */
    int64_t stage_us;
};

void stages_start(struct stages *s);
/* Begins a stage: name for --timing, title for the user ("making the image") or NULL for one that
 * is not shown.  A long stage is announced as a line where there is no terminal.  Strings must be
 * static. */
void stage_begin(struct stages *s, const char *name, const char *title, bool is_long);
/* Redraws the status line: detail may be NULL; fraction 0 to 1 draws a bar, negative does not. */
void stage_progress(struct stages *s, const char *detail, double fraction);
void stage_end(struct stages *s);
/* Records a stage that somebody else timed; the name must be static. */
void stage_record(struct stages *s, const char *name, int64_t us);
/* [{"name":...,"ms":...}] of the stages that ended. */
cJSON *stages_to_json(const struct stages *s);
/* {"stages":[{"name":...,"ms":...}],"total_ms":...} to the file, or to stderr for "-". */
int stages_write(const struct stages *s, const char *path, struct err *e);

#endif
