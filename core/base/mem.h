/* Memory and ownership helpers.
 *
 * Allocation never returns NULL: running out of memory ends the process, as every caller would do
 * nothing else.  Ownership is written with cleanup attributes; hand-over is explicit (steal_*).
 */
#ifndef AGENTVM_BASE_MEM_H
#define AGENTVM_BASE_MEM_H

#include <stddef.h>

/* Returns zeroed memory for n objects of size bytes; the caller frees it. */
void *mem_zalloc(size_t n, size_t size);
/* Resizes p to n objects of size bytes, checking the product; the caller owns the result. */
void *mem_realloc(void *p, size_t n, size_t size);
/* Returns a copy of the string (NULL stays NULL); the caller frees it. */
char *mem_strdup(const char *s);
/* Returns a NUL-terminated copy of len bytes; the caller frees it. */
char *mem_dup(const void *p, size_t len);
/* Returns a formatted string; the caller frees it. */
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Helpers behind the attributes; not called directly. */
void mem_cleanup_free(void *pp);
void mem_cleanup_fd(int *fd);

#define auto_free __attribute__((cleanup(mem_cleanup_free)))
#define auto_close __attribute__((cleanup(mem_cleanup_fd)))

/* Hand a pointer or descriptor over to a new owner, leaving NULL or -1 behind. */
#define steal_ptr(pp)                        \
    ({                                       \
        __typeof__(*(pp)) steal_tmp = *(pp); \
        *(pp) = NULL;                        \
        steal_tmp;                           \
    })
int steal_fd(int *fd);
/* Closes *fd if it is open and sets it to -1; errno is kept. */
void close_fd(int *fd);

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
