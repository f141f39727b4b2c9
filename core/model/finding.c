#include "model/finding.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "model/show.h"

#define RUN "run: "

static void add(struct findings *f, enum finding_level level, const char *fix, const char *text)
{
    f->v = mem_realloc(f->v, f->n + 1, sizeof(*f->v));
    f->v[f->n++] = (struct finding){.check = f->check,
                                    .level = level,
                                    .text = show_text(text, 0),
                                    .fix = fix ? show_text(fix, 0) : NULL};
}

void finding_add(struct findings *f, enum finding_level level, const char *fix, const char *fmt,
                 ...)
{
    auto_free char *text = NULL;
    va_list ap;

    va_start(ap, fmt);
    if (vasprintf(&text, fmt, ap) < 0)
        log_die("out of memory");
    va_end(ap);
    add(f, level, fix, text);
}

void finding_error(struct findings *f, enum finding_level level, const char *fix,
                   const struct err *e)
{
    const char *command = e->advice && str_starts(e->advice, RUN) ? e->advice + strlen(RUN) : NULL;
    const char *advice = command ? NULL : e->advice;
    auto_free char *text =
        mem_printf("%s%s%s", err_msg(e), advice ? "; " : "", advice ? advice : "");

    add(f, level, fix ? fix : command, text);
}

size_t findings_count(const struct findings *f, enum finding_level level)
{
    size_t n = 0;

    for (size_t i = 0; i < f->n; i++)
        n += f->v[i].level == level;
    return n;
}

void findings_free(struct findings *f)
{
    for (size_t i = 0; i < f->n; i++) {
        free(f->v[i].text);
        free(f->v[i].fix);
    }
    free(f->v);
    *f = (struct findings){0};
}
