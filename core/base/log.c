#include "base/log.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/file.h"

enum { EXIT_CODE_DIE = 125, DEFAULT_COLUMNS = 80 };

static struct {
    enum log_level level;
    bool raw;
    const char *name;
    char status[512];
} state = {.name = "agentvm"};

void log_set_level(enum log_level level)
{
    state.level = level;
}

enum log_level log_get_level(void)
{
    return state.level;
}

void log_set_raw(bool raw)
{
    state.raw = raw;
}

void log_set_name(const char *name)
{
    state.name = name;
}

static void put(const char *text, size_t len)
{
    file_write_stream(STDERR_FILENO, text, len);
}

static void erase_status(void)
{
    if (state.status[0])
        put("\r\033[K", 4);
}

static void draw_status(void)
{
    if (state.status[0])
        put(state.status, strlen(state.status));
}

__attribute__((format(printf, 2, 0))) static void put_line(const char *kind, const char *fmt,
                                                           va_list ap)
{
    char line[4096];
    int prefix = 0, n;

    if (kind)
        prefix = snprintf(line, sizeof(line), "%s: %s", state.name, kind);
    n = vsnprintf(line + prefix, sizeof(line) - (size_t)prefix - 2, fmt, ap);
    if (n < 0)
        return;
    n = (int)strlen(line);
    erase_status();
    put(line, (size_t)n);
    put(state.raw ? "\r\n" : "\n", state.raw ? 2 : 1);
    draw_status();
}

#define LOG_BODY(condition, kind) \
    do {                          \
        va_list ap;               \
        if (!(condition))         \
            return;               \
        va_start(ap, fmt);        \
        put_line(kind, fmt, ap);  \
        va_end(ap);               \
    } while (0)

void log_info(const char *fmt, ...)
{
    LOG_BODY(state.level >= LOG_NORMAL, NULL);
}

void log_debug(const char *fmt, ...)
{
    LOG_BODY(state.level >= LOG_VERBOSE, NULL);
}

void log_warn(const char *fmt, ...)
{
    LOG_BODY(state.level >= LOG_NORMAL, "warning: ");
}

void log_error(const char *fmt, ...)
{
    LOG_BODY(true, "");
}

bool log_is_stuck(void)
{
    struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};

    return poll(&p, 1, 0) == 0;
}

void log_raw(const char *text)
{
    erase_status();
    put(text, strlen(text));
    draw_status();
}

void log_die(const char *msg)
{
    log_error("%s", msg);
    _exit(EXIT_CODE_DIE);
}

bool log_status_shown(void)
{
    const char *term = getenv("TERM");

    return state.level == LOG_NORMAL && isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
}

static size_t terminal_columns(void)
{
    struct winsize size;

    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
        return DEFAULT_COLUMNS;
    return size.ws_col;
}

void log_status(const char *text)
{
    size_t columns = terminal_columns(), len = 0, shown = 0;

    erase_status();
    state.status[0] = '\0';
    if (!text || !log_status_shown())
        return;
    while (text[len] && len < sizeof(state.status) - 1) {
        if (((unsigned char)text[len] & 0xc0) != 0x80 && ++shown >= columns)
            break;
        len++;
    }
    memcpy(state.status, text, len);
    state.status[len] = '\0';
    draw_status();
}
