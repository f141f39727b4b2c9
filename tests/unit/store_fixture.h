/* A template store of the test's own, and layers in it. */
#include "paths_fixture.h"

#include <signal.h>
#include <sys/file.h>

#include "image/store.h"
#include "proc/spawn.h"

#define KEY "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

struct fixture {
    char *dir;
    struct paths paths;
    struct task_env env;
    int waited;
};

static int set_up(void **state)
{
    struct fixture *f = mem_zalloc(1, sizeof(*f));

    f->dir = scratch_make();
    f->paths = paths_make(f->dir);
    f->env.loop = loop_new();
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    loop_free(f->env.loop);
    paths_free(&f->paths);
    scratch_remove(f->dir);
    free(f);
    return 0;
}

static bool exists(const struct fixture *f, const char *name)
{
    auto_free char *path = mem_printf("%s/%s", f->paths.layers, name);

    return access(path, F_OK) == 0;
}

static void put_file(const char *dir, const char *name, const char *text)
{
    auto_free char *path = mem_printf("%s/%s", dir, name);

    write_text(path, text);
}

static int begin(struct fixture *f, struct layer_draft *d, struct err *e)
{
    return store_begin(&f->paths, &f->env, KEY, NULL, NULL, d, e);
}

static void make_it(struct fixture *f)
{
    auto_err struct err e = ERR_INIT;
    struct layer_draft draft = DRAFT_INIT;

    assert_int_equal(begin(f, &draft, &e), 0);
    ASSERT_OK(e, store_commit(&draft, "{}", &e));
}
