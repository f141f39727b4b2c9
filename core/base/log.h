/* The one door to stderr.
 *
 * Two kinds of text go through it: log lines, and on a terminal one transient status line that is
 * redrawn in place and always stands below the log lines.
 */
#ifndef AGENTVM_BASE_LOG_H
#define AGENTVM_BASE_LOG_H

#include <stdbool.h>

enum log_level {
    LOG_QUIET = -1, /* errors only */
    LOG_NORMAL = 0,
    LOG_VERBOSE = 1,
};

void log_set_level(enum log_level level);
enum log_level log_get_level(void);
/* Carriage returns before line feeds: for the time that the terminal is in raw mode. */
void log_set_raw(bool raw);
/* Prefix of warnings and errors, e.g. "agentvm"; the string must stay valid. */
void log_set_name(const char *name);

/* Plain line, shown unless quiet. */
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Plain line, shown with -v only. */
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* "NAME: warning: ..." */
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* "NAME: ..." */
void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Whether stderr takes nothing now: a full pipe, a stopped terminal. */
bool log_is_stuck(void);
/* Raw bytes, e.g. a log's tail or a prompt. */
void log_raw(const char *text);
/* Prints an error and ends the process with 125; only for what cannot be handled. */
void log_die(const char *msg) __attribute__((noreturn));

/* Whether status lines are drawn: stderr is a terminal that can move its cursor. */
bool log_status_shown(void);
/* Draws or replaces the status line, cut to the terminal's width; NULL removes it. */
void log_status(const char *text);

#endif
