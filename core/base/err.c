#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

__attribute__((format(printf, 1, 0))) static char *format(const char *fmt, va_list ap)
{
    char *s = NULL;

    if (vasprintf(&s, fmt, ap) < 0)
        return mem_strdup(fmt);
    return s;
}

int err_set(struct err *e, const char *fmt, ...)
{
    va_list ap;
    char *msg;

    if (!e)
        return -1;
    va_start(ap, fmt);
    msg = format(fmt, ap); /* before the old text goes: it may be an argument */
    va_end(ap);
    err_clear(e);
    e->msg = msg;
    return -1;
}

int err_errno(struct err *e, int errnum, const char *fmt, ...)
{
    auto_free char *what = NULL;
    va_list ap;

    if (!e)
        return -1;
    va_start(ap, fmt);
    what = format(fmt, ap);
    va_end(ap);
    return err_set(e, "%s: %s", what, strerror(errnum));
}

int err_prefix(struct err *e, const char *fmt, ...)
{
    auto_free char *what = NULL;
    char *joined;
    va_list ap;

    if (!e)
        return -1;
    va_start(ap, fmt);
    what = format(fmt, ap);
    va_end(ap);
    joined = mem_printf("%s: %s", what, err_msg(e));
    free(e->msg);
    e->msg = joined;
    return -1;
}

int err_advise(struct err *e, const char *fmt, ...)
{
    va_list ap;

    if (!e)
        return -1;
    free(e->advice);
    va_start(ap, fmt);
    e->advice = format(fmt, ap);
    va_end(ap);
    return -1;
}

int err_detail(struct err *e, char *detail)
{
    if (!e) {
        free(detail);
        return -1;
    }
    free(e->detail);
    e->detail = detail;
    return -1;
}

int err_exit(struct err *e, int code)
{
    if (e)
        e->exit_code = code;
    return -1;
}

const char *err_msg(const struct err *e)
{
    return e && e->msg ? e->msg : "unknown error";
}

int err_exit_code(const struct err *e)
{
    return e && e->exit_code ? e->exit_code : EXIT_AGENTVM;
}

void err_clear(struct err *e)
{
    if (!e)
        return;
    free(e->msg);
    free(e->advice);
    free(e->detail);
    *e = ERR_INIT;
}
