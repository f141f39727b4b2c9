/* Folders of agentvm's own below a scratch folder. */
#ifndef AGENTVM_TESTS_PATHS_FIXTURE_H
#define AGENTVM_TESTS_PATHS_FIXTURE_H

#include "helpers.h"

#include "model/paths.h"

static inline char *make_folder(const char *parent, const char *name)
{
    char *path = mem_printf("%s/%s", parent, name);

    assert_int_equal(mkdir(path, 0700), 0);
    return path;
}

/* Only what tests use; paths_init looks at the environment and more. */
static inline struct paths paths_make(const char *dir)
{
    return (struct paths){.layers = make_folder(dir, "layers"),
                          .vms = make_folder(dir, "vms"),
                          .cache = make_folder(dir, "cache"),
                          .run = make_folder(dir, "run")};
}

/* For tests that need nothing else. */
struct folders {
    char *dir;
    struct paths paths;
};

static inline int folders_set_up(void **state)
{
    struct folders *f = mem_zalloc(1, sizeof(*f));

    f->dir = scratch_make();
    f->paths = paths_make(f->dir);
    *state = f;
    return 0;
}

static inline int folders_tear_down(void **state)
{
    struct folders *f = *state;

    paths_free(&f->paths);
    scratch_remove(f->dir);
    free(f);
    return 0;
}

#endif
