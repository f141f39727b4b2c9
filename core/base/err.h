/* Errors are values: made once where the cause is known, prefixed with context on the way up,
 * printed only by cli/.
 *
 * A failing function takes a struct err * last and returns -1; all makers return -1 so that
 * `return err_set(e, ...)` reads well.  Every maker accepts e == NULL and then records nothing.
 */
#ifndef AGENTVM_BASE_ERR_H
#define AGENTVM_BASE_ERR_H

/* Exit codes of agentvm's own failures; the numbers are those of env(1) and docker-run(1). */
enum {
    EXIT_AGENTVM = 125,
    EXIT_CANNOT_EXEC = 126,
    EXIT_NOT_FOUND = 127,
    EXIT_SIGNAL_BASE = 128, /* + signal number */
};

struct err {
    char *msg;     /* one line, no trailing period; owned */
    char *advice;  /* what the user can do, or NULL; owned */
    char *detail;  /* further lines (the tail of a log), or NULL; owned */
    int exit_code; /* what the process should exit with; 0 means EXIT_AGENTVM */
};

/* Makers: replace whatever e held. */
int err_set(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* As err_set, with ": " and the text of errnum appended. */
int err_errno(struct err *e, int errnum, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Prefixes the message with context and ": ". */
int err_prefix(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Sets the advice line. */
int err_advise(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Sets the detail text; takes ownership of detail (may be NULL). */
int err_detail(struct err *e, char *detail);
/* Sets the exit code. */
int err_exit(struct err *e, int code);

const char *err_msg(const struct err *e);
int err_exit_code(const struct err *e);
/* Frees what e holds and makes it empty again. */
void err_clear(struct err *e);

#define auto_err __attribute__((cleanup(err_clear)))
#define ERR_INIT ((struct err){0})

#endif
