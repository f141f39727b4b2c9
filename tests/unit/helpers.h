/* What unit tests share: a scratch folder, and waiting on the event loop for what must happen. */
#ifndef AGENTVM_TESTS_HELPERS_H
#define AGENTVM_TESTS_HELPERS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "proc/loop.h"

enum { TEST_DEADLINE_MS = 20000 };

static inline void assert_ok(int rc, struct err *e)
{
    if (rc != 0)
        fail_msg("%s", err_msg(e));
}

/* Steps the loop until condition holds. */
#define WAIT_FOR(loop, condition)                                 \
    do {                                                          \
        int64_t wait_deadline = clock_ms() + TEST_DEADLINE_MS;    \
        while (!(condition)) {                                    \
            if (clock_ms() > wait_deadline)                       \
                fail_msg("waited in vain until: %s", #condition); \
            loop_step(loop, clock_left(wait_deadline));           \
        }                                                         \
    } while (0)

/* Dispatches what is ready now. */
static inline void run_ready(struct loop *l)
{
    for (int i = 0; i < 100; i++)
        loop_step(l, 0);
}

/* Fails with the message that a function made. */
#define ASSERT_OK(e, call)                            \
    do {                                              \
        if ((call) != 0)                              \
            fail_msg("%s: %s", #call, err_msg(&(e))); \
    } while (0)

/* A new folder; the caller frees the path. */
static inline char *scratch_make(void)
{
    const char *tmp = getenv("TMPDIR");
    char *path = mem_printf("%s/agentvm-test.XXXXXX", tmp ? tmp : "/tmp");

    assert_non_null(mkdtemp(path));
    return path;
}

static inline void scratch_remove(char *path)
{
    assert_int_equal(file_remove_tree_at(AT_FDCWD, path, NULL), 0);
    free(path);
}

static inline void write_text(const char *path, const char *text)
{
    assert_int_equal(file_write_at(AT_FDCWD, path, text, strlen(text), 0600, NULL), 0);
}

/* The caller frees it. */
static inline char *read_text(const char *path)
{
    struct buf text = BUF_INIT;

    assert_int_equal(file_read_at(AT_FDCWD, path, 1 << 20, &text, NULL), 0);
    return buf_steal(&text);
}

static inline size_t count_entries(const char *path)
{
    DIR *dir = opendir(path);
    size_t n = 0;

    assert_non_null(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n - 2;
}

/* Descriptors that this process has open. */
static inline size_t count_fds(void)
{
    return count_entries("/proc/self/fd");
}

#endif
