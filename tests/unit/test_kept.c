/* Stores of what outlives VMs, and the hostile things that a guest may have put there. */
#include "paths_fixture.h"

#include <fcntl.h>

#include "state/kept.h"

static char dir[] = "/tmp/agentvm-kept.XXXXXX";
static struct paths paths;

static int setup(void **state)
{
    (void)state;
    memcpy(dir + strlen(dir) - 6, "XXXXXX", 6);
    assert_non_null(mkdtemp(dir));
    paths = paths_make(dir);
    paths.sessions = make_folder(dir, "sessions");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    paths_free(&paths);
    return file_remove_tree_at(AT_FDCWD, dir, NULL);
}

static void add_keep(struct plan *p, enum plan_op op, const char *path, const char *pattern)
{
    struct plan_step *s = plan_add(p, op, "a");

    s->path = mem_strdup(path);
    s->name = mem_strdup(pattern);
}

static void prepare(const char *project, const struct plan *p, struct kept *out)
{
    auto_err struct err e = ERR_INIT;

    assert_ok(kept_prepare(&paths, project, "a", p, out, &e), &e);
}

static void touch(const char *folder, const char *name, time_t when)
{
    const struct timespec times[] = {{when, 0}, {when, 0}};
    auto_free char *path = mem_printf("%s/%s", folder, name);

    assert_int_equal(file_write_at(AT_FDCWD, path, "x", 1, 0600, NULL), 0);
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void test_nothing(void **state)
{
    auto_plan struct plan p = PLAN_INIT;
    struct kept kept = {0};

    (void)state;
    prepare("/p", &p, &kept);
    assert_null(kept.dir);
    assert_int_equal(rmdir(paths.sessions), 0); /* still empty */
}

/* The data folder may have been moved behind a symlink; what is mounted must be found without. */
static void test_moved(void **state)
{
    auto_plan struct plan p = PLAN_INIT;
    auto_free char *moved = mem_printf("%s-moved", paths.sessions);
    struct kept kept = {0};

    (void)state;
    assert_int_equal(rename(paths.sessions, moved), 0);
    assert_int_equal(symlink(moved, paths.sessions), 0);
    add_keep(&p, PLAN_KEEP, "~/.a", "");
    prepare("/p", &p, &kept);
    assert_true(str_starts(kept.dir, moved));
    kept_free(&kept);
}

#define UUID "6f0c2e1a-5b1c-4c7e-9d0a-3f8e2b7a9c11"

static void test_list(void **state)
{
    static const char odd[] = "/p\xff\n";
    auto_plan struct plan p = PLAN_INIT;
    auto_kept_sessions struct kept_sessions all = {0}, one = {0};
    auto_err struct err e = ERR_INIT;
    auto_free char *below = NULL, *deep = NULL;
    struct kept kept = {0}, other = {0};

    (void)state;
    add_keep(&p, PLAN_KEEP, "~/.a/projects", "*.jsonl");
    add_keep(&p, PLAN_KEEP, "~/.a/cache", "");
    add_keep(&p, PLAN_KEEP_FILE, "~/.a/history", "");
    prepare(odd, &p, &kept);
    prepare("/other", &p, &other);
    assert_int_equal(kept.n, 3);
    assert_string_equal(kept.items[0].source, ".a/projects");
    assert_true(kept.items[2].file);
    below = mem_printf("%s/.a/projects", kept.dir);
    deep = make_folder(below, "x");
    touch(deep, "rollout-2026-" UUID ".jsonl", 300);
    touch(below, "plain.jsonl", 200);
    touch(below, "no-session.txt", 100);
    free(below);
    below = mem_printf("%s/.a/cache", kept.dir);
    touch(below, "c.jsonl", 100);
    free(below);
    below = mem_printf("%s/.a/projects", other.dir);
    touch(below, "z.jsonl", 250);
    assert_ok(kept_list(&paths, odd, &one, &e), &e);
    assert_int_equal(one.n, 2);
    assert_string_equal(one.v[0].id, "plain");
    assert_string_equal(one.v[1].id, UUID);
    assert_string_equal(one.v[1].project, odd);
    assert_int_equal(one.v[1].changed, 300);
    assert_ok(kept_list(&paths, NULL, &all, &e), &e);
    assert_int_equal(all.n, 3);
    assert_string_equal(all.v[1].id, "z");
    kept_free(&kept);
    kept_free(&other);
}

/* A later version of the plugin names its sessions otherwise. */
static void test_new_pattern(void **state)
{
    auto_plan struct plan before = PLAN_INIT, after = PLAN_INIT;
    auto_kept_sessions struct kept_sessions found = {0};
    auto_err struct err e = ERR_INIT;
    auto_free char *below = NULL;
    struct kept kept = {0};

    (void)state;
    add_keep(&before, PLAN_KEEP, "~/.a/projects", "*.json");
    add_keep(&after, PLAN_KEEP, "~/.a/projects", "*.jsonl");
    prepare("/p", &before, &kept);
    below = mem_printf("%s/.a/projects", kept.dir);
    touch(below, "new.jsonl", 1);
    kept_free(&kept);
    assert_ok(kept_list(&paths, "/p", &found, &e), &e);
    assert_int_equal(found.n, 0);
    prepare("/p", &after, &kept);
    kept_free(&kept);
    assert_ok(kept_list(&paths, "/p", &found, &e), &e);
    assert_int_equal(found.n, 1);
}

/* Links lead nowhere, neither for who makes folders nor for who lists them. */
static void test_hostile(void **state)
{
    auto_plan struct plan p = PLAN_INIT;
    auto_kept_sessions struct kept_sessions found = {0};
    auto_err struct err e = ERR_INIT;
    auto_free char *outside = make_folder(dir, "outside"), *link = NULL, *file = NULL;
    auto_free char *history = NULL;
    struct kept kept = {0};

    (void)state;
    add_keep(&p, PLAN_KEEP, "~/.a/projects", "*");
    add_keep(&p, PLAN_KEEP_FILE, "~/.a/history", "");
    prepare("/p", &p, &kept);
    touch(outside, "secret", 1);
    link = mem_printf("%s/.a/projects/link", kept.dir);
    file = mem_printf("%s/.a/projects/file", kept.dir);
    history = mem_printf("%s/.a/history", kept.dir);
    assert_int_equal(symlink(outside, link), 0);
    assert_int_equal(symlink("/etc/passwd", file), 0);
    assert_ok(kept_list(&paths, NULL, &found, &e), &e);
    assert_int_equal(found.n, 0);
    assert_int_equal(unlink(history), 0);
    assert_int_equal(symlink(outside, history), 0); /* left as it is: the guest's own affair */
    kept_free(&kept);
    prepare("/p", &p, &kept);
    free(link);
    link = mem_printf("%s/.a", kept.dir);
    kept_free(&kept);
    assert_int_equal(file_remove_tree_at(AT_FDCWD, link, NULL), 0);
    assert_int_equal(symlink(outside, link), 0);
    assert_int_equal(kept_prepare(&paths, "/p", "a", &p, &kept, &e), -1);
    assert_non_null(strstr(err_msg(&e), "what a keeps of this folder"));
    assert_non_null(strstr(e.advice, kept.dir));
    kept_free(&kept);
    free(link);
    link = mem_printf("%s/projects", outside);
    assert_int_equal(access(link, F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_moved, setup, teardown),
        cmocka_unit_test_setup_teardown(test_list, setup, teardown),
        cmocka_unit_test_setup_teardown(test_new_pattern, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hostile, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
