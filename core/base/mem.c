#include "base/mem.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

static void *checked(void *p)
{
    if (!p)
        log_die("out of memory");
    return p;
}

void *mem_zalloc(size_t n, size_t size)
{
    return checked(calloc(n ? n : 1, size ? size : 1));
}

void *mem_realloc(void *p, size_t n, size_t size)
{
    size_t total;

    if (__builtin_mul_overflow(n, size, &total))
        log_die("out of memory");
    return checked(realloc(p, total ? total : 1));
}

char *mem_strdup(const char *s)
{
    return s ? checked(strdup(s)) : NULL;
}

char *mem_dup(const void *p, size_t len)
{
    char *copy = mem_zalloc(len + 1, 1);

    if (len)
        memcpy(copy, p, len);
    return copy;
}

char *mem_printf(const char *fmt, ...)
{
    va_list ap;
    char *s = NULL;

    va_start(ap, fmt);
    if (vasprintf(&s, fmt, ap) < 0)
        s = NULL;
    va_end(ap);
    return checked(s);
}

void mem_cleanup_free(void *pp)
{
    free(*(void **)pp);
}

void close_fd(int *fd)
{
    int saved = errno;

    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    errno = saved;
}

void mem_cleanup_fd(int *fd)
{
    close_fd(fd);
}

int steal_fd(int *fd)
{
    int taken = *fd;

    *fd = -1;
    return taken;
}
