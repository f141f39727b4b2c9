/* A folder of plugins, copied from the build tree so that owner and modes are known. */
#ifndef TEST_PLUGIN_FIXTURE_H
#define TEST_PLUGIN_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include "helpers.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"
#include "plugin/call.h"
#include "plugin/plugin.h"

#define USER_FOLDER "user"
#define SYSTEM_FOLDER "system"

static char *fixture_root;  /* a temporary folder */
static char *fixture_built; /* where this program lies */

static int fixture_setup(void **state)
{
    char template[] = "/tmp/agentvm-test.XXXXXX";
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    auto_free char *user = NULL, *system_ = NULL;

    (void)state;
    if (n < 0 || !mkdtemp(template))
        return -1;
    self[n] = '\0';
    *strrchr(self, '/') = '\0';
    fixture_built = mem_strdup(self);
    fixture_root = realpath(template, NULL);
    user = mem_printf("%s/" USER_FOLDER, fixture_root);
    system_ = mem_printf("%s/" SYSTEM_FOLDER, fixture_root);
    return mkdir(user, 0700) < 0 || mkdir(system_, 0755) < 0 ? -1 : 0;
}

static int fixture_teardown(void **state)
{
    (void)state;
    file_remove_tree_at(AT_FDCWD, fixture_root, NULL);
    free(fixture_root);
    free(fixture_built);
    return 0;
}

/* Empties both folders. */
static inline int fixture_empty(void **state)
{
    static const char *const folders[] = {USER_FOLDER, SYSTEM_FOLDER};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        auto_free char *path = mem_printf("%s/%s", fixture_root, folders[i]);

        file_remove_tree_at(AT_FDCWD, path, NULL);
        assert_int_equal(mkdir(path, 0755), 0);
    }
    return 0;
}

/* Writes a file below the root and returns its path; the caller frees it. */
static inline char *fixture_write(const char *name, const void *data, size_t len, mode_t mode)
{
    char *path = mem_printf("%s/%s", fixture_root, name);

    assert_int_equal(file_write_at(AT_FDCWD, path, data, len, mode, NULL), 0);
    return path;
}

/* Copies a built plugin (path relative to the build's tests folder) to the user's folder, unless
 * another is named; returns the copy's path, which the caller frees. */
static inline char *fixture_install(const char *built, const char *folder, const char *name)
{
    auto_free char *from = mem_printf("%s/%s", fixture_built, built);
    auto_free char *to = mem_printf("%s/%s", folder, name);
    auto_buf struct buf bytes = BUF_INIT;

    assert_int_equal(file_read_at(AT_FDCWD, from, 64 << 20, &bytes, NULL), 0);
    return fixture_write(to, bytes.data, bytes.len, 0755);
}

static inline void assert_message(struct err *e, const char *why)
{
    if (!strstr(err_msg(e), why))
        fail_msg("\"%s\" instead of \"%s\"", err_msg(e), why);
    for (const char *p = err_msg(e); *p; p++)
        if ((unsigned char)*p < ' ')
            fail_msg("\"%s\" contains a control character", err_msg(e));
    err_clear(e);
}

/* What the plan says of an operation and name; fails if there is none. */
static inline const struct plan_step *find_step(const struct plan *p, enum plan_op op,
                                                const char *name)
{
    for (size_t i = 0; i < p->n; i++) {
        const struct plan_step *s = &p->steps[i];

        if (s->op == op && (!name || (s->name && strcmp(s->name, name) == 0) ||
                            (s->path && strcmp(s->path, name) == 0)))
            return s;
    }
    fail_msg("no step %s %s", plan_op_name(op), name ? name : "");
    return NULL;
}

#endif
