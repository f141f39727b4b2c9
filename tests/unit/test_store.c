/* image/store: layers appear whole, are made once, and are swept when their maker dies. */
#include "store_fixture.h"

static void test_life(void **state)
{
    struct fixture *f = *state;
    auto_err struct err e = ERR_INIT;
    auto_layer struct layer layer = LAYER_INIT;
    struct layer_draft draft = DRAFT_INIT;
    auto_free char *path = NULL;
    auto_free char *text = NULL;
    size_t fds = count_fds();

    assert_int_equal(store_use(&f->paths, KEY, &layer, &e), 1);
    assert_int_equal(begin(f, &draft, &e), 0);
    put_file(draft.dir, "disk", "bytes");
    assert_false(exists(f, KEY)); /* nothing before it is complete */
    assert_int_equal(store_use(&f->paths, KEY, &layer, &e), 1);
    ASSERT_OK(e, store_commit(&draft, "{}", &e));
    assert_null(draft.dir);
    assert_false(exists(f, "tmp." KEY));
    assert_int_equal(begin(f, &draft, &e), 1);
    ASSERT_OK(e, store_use(&f->paths, KEY, &layer, &e));
    assert_string_equal(layer.key, KEY);
    path = layer_file(&layer, "disk");
    text = read_text(path);
    assert_string_equal(text, "bytes");
    layer_release(&layer);
    layer_release(&layer);
    assert_int_equal(count_fds(), fds);
}

static void test_abandon(void **state)
{
    struct fixture *f = *state;
    auto_err struct err e = ERR_INIT;
    struct layer_draft draft = DRAFT_INIT;
    size_t fds = count_fds();

    assert_int_equal(begin(f, &draft, &e), 0);
    put_file(draft.dir, "half", "");
    store_abandon(&draft);
    store_abandon(&draft);
    assert_false(exists(f, "tmp." KEY));
    assert_false(exists(f, KEY));
    assert_int_equal(count_fds(), fds);
    assert_int_equal(begin(f, &draft, &e), 0); /* another try is free */
    store_abandon(&draft);
}

/* What a killed maker left is neither in the way nor in the next draft. */
static void test_stale_draft(void **state)
{
    struct fixture *f = *state;
    auto_err struct err e = ERR_INIT;
    auto_draft struct layer_draft draft = DRAFT_INIT;
    auto_free char *stale = make_folder(f->paths.layers, "tmp." KEY);

    put_file(stale, "half", "");
    assert_int_equal(begin(f, &draft, &e), 0);
    assert_int_equal(count_entries(draft.dir), 0);
}

static void test_sweep(void **state)
{
    struct fixture *f = *state;
    auto_err struct err e = ERR_INIT;
    auto_draft struct layer_draft draft = DRAFT_INIT;
    auto_free char *stale = make_folder(f->paths.layers, "tmp.dead");
    auto_free char *complete = make_folder(f->paths.layers, "other");

    put_file(stale, "half", "");
    assert_int_equal(begin(f, &draft, &e), 0);
    store_sweep(&f->paths);
    assert_false(exists(f, "tmp.dead"));
    assert_true(exists(f, "tmp." KEY)); /* is being made */
    assert_true(exists(f, "other"));
}

/* Users share a layer; who removes it takes the lock alone. */
static void test_use_locks(void **state)
{
    struct fixture *f = *state;
    auto_err struct err e = ERR_INIT;
    auto_layer struct layer one = LAYER_INIT, two = LAYER_INIT;
    auto_free char *lock = mem_printf("%s/" KEY "/lock", f->paths.layers);

    make_it(f);
    ASSERT_OK(e, store_use(&f->paths, KEY, &one, &e));
    ASSERT_OK(e, store_use(&f->paths, KEY, &two, &e));
    layer_release(&one);
    assert_int_equal(file_lock_at(AT_FDCWD, lock, false, false, &e), -1);
    layer_release(&two);
    one.lock = file_lock_at(AT_FDCWD, lock, false, false, &e);
    assert_true(one.lock >= 0);
}

/* A folder without layer.json is what a removal left: no layer. */
static void test_half_removed(void **state)
{
    struct fixture *f = *state;
    auto_err struct err e = ERR_INIT;
    auto_layer struct layer layer = LAYER_INIT;
    auto_free char *dir = make_folder(f->paths.layers, KEY);

    assert_int_equal(store_use(&f->paths, KEY, &layer, &e), 1);
    assert_null(e.msg);
}

/* What is in the way of a new layer is removed. */
static void test_remade_over_rest(void **state)
{
    struct fixture *f = *state;
    auto_err struct err e = ERR_INIT;
    struct layer_draft draft = DRAFT_INIT;
    auto_free char *rest = make_folder(f->paths.layers, KEY);

    put_file(rest, "disk", "half");
    assert_int_equal(begin(f, &draft, &e), 0);
    ASSERT_OK(e, store_commit(&draft, "{}", &e));
    assert_true(exists(f, KEY "/layer.json"));
    assert_false(exists(f, KEY "/disk"));
}

/* Each use sets the time of the lock. */
static void test_use_time(void **state)
{
    const struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    struct fixture *f = *state;
    auto_err struct err e = ERR_INIT;
    auto_layer struct layer layer = LAYER_INIT;
    auto_free char *lock = mem_printf("%s/" KEY "/lock", f->paths.layers);
    struct stat st;

    make_it(f);
    assert_int_equal(utimensat(AT_FDCWD, lock, old, 0), 0);
    assert_true(store_has(&f->paths, KEY));
    assert_int_equal(stat(lock, &st), 0);
    assert_int_equal(st.st_mtim.tv_sec, 1000);
    ASSERT_OK(e, store_use(&f->paths, KEY, &layer, &e));
    assert_int_equal(stat(lock, &st), 0);
    assert_true(st.st_mtim.tv_sec > 1000);
}

/* A layer goes only if nobody uses or makes it, and nobody does while it is claimed. */
static void test_claim(void **state)
{
    struct fixture *f = *state;
    auto_err struct err e = ERR_INIT;
    auto_layer struct layer layer = LAYER_INIT;
    auto_claim struct layer_claim claim = CLAIM_INIT;
    struct layer_draft draft = DRAFT_INIT;
    auto_free char *lock = mem_printf("%s/" KEY "/lock", f->paths.layers);
    size_t fds = count_fds();

    assert_int_equal(begin(f, &draft, &e), 0);
    assert_int_equal(store_claim(&f->paths, KEY, &claim, &e), 1);
    ASSERT_OK(e, store_commit(&draft, "{}", &e));
    ASSERT_OK(e, store_use(&f->paths, KEY, &layer, &e));
    assert_int_equal(store_claim(&f->paths, KEY, &claim, &e), 1);
    layer_release(&layer);
    ASSERT_OK(e, store_claim(&f->paths, KEY, &claim, &e));
    assert_int_equal(file_lock_at(AT_FDCWD, lock, true, false, &e), -1);
    ASSERT_OK(e, store_remove(&claim, &e));
    store_sweep(&f->paths);
    store_unclaim(&claim);
    assert_int_equal(store_use(&f->paths, KEY, &layer, &e), 1);
    assert_int_equal(count_entries(f->paths.layers), 0);
    assert_int_equal(count_fds(), fds);
}

/* ---- two processes ---- */

struct maker {
    struct fixture *f;
    int started, go;
    bool commit;
};

static int make_layer(void *arg)
{
    struct maker *m = arg;
    struct layer_draft draft;
    char byte;

    if (begin(m->f, &draft, NULL) != 0 || write(m->started, "", 1) != 1 ||
        read(m->go, &byte, 1) != 1)
        return 1;
    if (m->commit)
        return store_commit(&draft, "{}", NULL) == 0 ? 0 : 1;
    _exit(0); /* as if killed: the draft stays */
}

/* A process that has begun the layer and ends when a byte comes through *go. */
static struct child start_maker(struct fixture *f, bool commit, int *go)
{
    auto_err struct err e = ERR_INIT;
    int started[2], wait[2], keep[2];
    struct maker m = {.f = f, .commit = commit};
    struct child c;
    char byte;

    assert_int_equal(pipe2(started, O_CLOEXEC), 0);
    assert_int_equal(pipe2(wait, O_CLOEXEC), 0);
    keep[0] = m.started = started[1];
    keep[1] = m.go = wait[0];
    ASSERT_OK(e, spawn_fork(make_layer, &m, keep, 2, &c, &e));
    close(started[1]);
    close(wait[0]);
    assert_int_equal(read(started[0], &byte, 1), 1);
    close(started[0]);
    *go = wait[1];
    return c;
}

struct waiter {
    struct fixture *f;
    int go;
};

static void on_waiting(void *arg)
{
    struct waiter *w = arg;

    w->f->waited++;
    store_sweep(&w->f->paths); /* must leave the other's draft alone */
    assert_true(exists(w->f, "tmp." KEY));
    assert_int_equal(write(w->go, "", 1), 1);
}

static int begin_waiting(struct fixture *f, bool commit, struct layer_draft *d)
{
    auto_err struct err e = ERR_INIT;
    struct waiter w = {.f = f};
    struct child c = start_maker(f, commit, &w.go);
    int rc = store_begin(&f->paths, &f->env, KEY, on_waiting, &w, d, &e);

    assert_int_equal(f->waited, 1);
    assert_null(e.msg);
    assert_int_equal(spawn_reap(&c, NULL, NULL), 0);
    close(w.go);
    return rc;
}

static void test_second_finds_it(void **state)
{
    struct fixture *f = *state;
    struct layer_draft draft = DRAFT_INIT;

    assert_int_equal(begin_waiting(f, true, &draft), 1);
    assert_int_equal(draft.lock, -1);
    assert_true(exists(f, KEY));
}

static void test_second_takes_over(void **state)
{
    struct fixture *f = *state;
    auto_draft struct layer_draft draft = DRAFT_INIT;

    assert_int_equal(begin_waiting(f, false, &draft), 0);
    assert_true(exists(f, "tmp." KEY));
}

struct user {
    struct fixture *f;
    int ready;
};

/* Waits for a layer that is claimed.  1: it is gone; 0: it is in use, and nobody can remove it. */
static int use_layer(void *arg)
{
    struct user *u = arg;
    struct layer_claim claim;
    struct layer layer;
    struct err e = ERR_INIT;
    int rc;

    if (write(u->ready, "", 1) != 1)
        return 2;
    rc = store_use(&u->f->paths, KEY, &layer, &e);
    return rc == 0 && store_claim(&u->f->paths, KEY, &claim, &e) != 1 ? 3 : rc;
}

/* Whether the process waits for a lock: "N: -> FLOCK ADVISORY READ PID ...". */
static bool is_blocked(pid_t pid)
{
    auto_close int fd = open("/proc/locks", O_RDONLY | O_CLOEXEC);
    auto_free char *number = mem_printf("%d", (int)pid);
    auto_buf struct buf locks = BUF_INIT;
    auto_strv struct strv words = STRV_INIT;

    assert_int_equal(file_read_fd(fd, 1 << 20, &locks, NULL), 0);
    strv_split(&words, locks.data ? locks.data : "");
    for (size_t i = 0; i + 4 < words.n; i++)
        if (strcmp(words.v[i], "->") == 0 && strcmp(words.v[i + 4], number) == 0)
            return true;
    return false;
}

/* What store_use returns that waits while the layer is removed, and made again. */
static int use_while_removed(struct fixture *f, bool again)
{
    auto_err struct err e = ERR_INIT;
    struct layer_claim claim;
    struct user user = {.f = f};
    int64_t deadline = clock_ms() + TEST_DEADLINE_MS;
    struct exit_status status;
    struct child c;
    int pair[2];
    char byte;

    make_it(f);
    ASSERT_OK(e, store_claim(&f->paths, KEY, &claim, &e));
    assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
    user.ready = pair[1];
    ASSERT_OK(e, spawn_fork(use_layer, &user, &pair[1], 1, &c, &e));
    assert_int_equal(read(pair[0], &byte, 1), 1);
    while (!is_blocked(c.pid)) {
        assert_true(clock_ms() < deadline);
        loop_step(f->env.loop, 1);
    }
    ASSERT_OK(e, store_remove(&claim, &e));
    close_fd(&claim.maker);
    if (again)
        make_it(f);
    store_unclaim(&claim);
    assert_int_equal(spawn_reap(&c, &status, NULL), 0);
    close(pair[0]);
    close(pair[1]);
    return exit_status_code(status);
}

/* Who waits for a layer that is removed sees that it is gone, and no folder that it lay in. */
static void test_use_while_removed(void **state)
{
    assert_int_equal(use_while_removed(*state, false), 1);
}

/* Its lock is on the layer that is there now. */
static void test_use_while_remade(void **state)
{
    assert_int_equal(use_while_removed(*state, true), 0);
}

static void end_claim(void *arg)
{
    store_unclaim(arg);
}

/* Who waits for a makers' lock that is removed makes another one. */
static void test_begin_while_claimed(void **state)
{
    struct fixture *f = *state;
    auto_err struct err e = ERR_INIT;
    struct layer_claim claim, second;
    auto_draft struct layer_draft draft = DRAFT_INIT;

    ASSERT_OK(e, store_claim(&f->paths, KEY, &claim, &e));
    assert_int_equal(store_begin(&f->paths, &f->env, KEY, end_claim, &claim, &draft, &e), 0);
    assert_int_equal(claim.maker, -1);
    assert_int_equal(store_claim(&f->paths, KEY, &second, &e), 1);
    store_sweep(&f->paths);
    assert_true(exists(f, "tmp." KEY));
}

static void interrupt(void *arg)
{
    struct fixture *f = arg;

    f->env.interrupted = SIGINT;
    loop_quit(f->env.loop);
}

static void test_wait_interrupted(void **state)
{
    struct fixture *f = *state;
    auto_err struct err e = ERR_INIT;
    struct layer_draft draft = DRAFT_INIT;
    int go;
    struct child c = start_maker(f, false, &go);

    loop_timer(f->env.loop, 5, interrupt, f);
    assert_int_equal(begin(f, &draft, &e), -1);
    assert_int_equal(err_exit_code(&e), 128 + SIGINT);
    assert_true(exists(f, "tmp." KEY)); /* the maker's */
    spawn_kill(&c, 0);
    close(go);
}

static void complete_layer(struct fixture *f)
{
    auto_err struct err e = ERR_INIT;
    struct layer_draft draft = DRAFT_INIT;

    assert_int_equal(begin(f, &draft, &e), 0);
    ASSERT_OK(e, store_commit(&draft, "{}", &e));
}

/* Two find the same layer broken: the second must not throw away what the first made anew. */
static void test_discard(void **state)
{
    struct fixture *f = *state;
    auto_err struct err e = ERR_INIT;
    struct layer first, second;
    size_t fds = count_fds();

    complete_layer(f);
    ASSERT_OK(e, store_use(&f->paths, KEY, &first, &e));
    ASSERT_OK(e, store_use(&f->paths, KEY, &second, &e));
    store_discard(&f->paths, &f->env, &first);
    assert_null(first.dir);
    assert_false(exists(f, KEY));
    assert_false(exists(f, "tmp." KEY));
    complete_layer(f);
    store_discard(&f->paths, &f->env, &second);
    assert_true(exists(f, KEY));
    assert_int_equal(count_fds(), fds);
}

/* A signal ends the wait for who holds the makers' lock; the layer stays. */
static void test_discard_interrupted(void **state)
{
    struct fixture *f = *state;
    auto_err struct err e = ERR_INIT;
    auto_free char *path = mem_printf("%s/" KEY ".lock", f->paths.layers);
    struct layer layer;
    auto_close int lock = -1;

    complete_layer(f);
    ASSERT_OK(e, store_use(&f->paths, KEY, &layer, &e));
    lock = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(flock(lock, LOCK_EX), 0);
    loop_timer(f->env.loop, 5, interrupt, f);
    store_discard(&f->paths, &f->env, &layer);
    assert_null(layer.dir);
    assert_true(exists(f, KEY));
}

static void test_failures(void **state)
{
    struct fixture *f = *state;
    auto_err struct err e = ERR_INIT;
    struct layer_draft draft = DRAFT_INIT;
    struct paths gone = {.layers = (char *)"/nonexistent"};

    assert_int_equal(store_begin(&gone, &f->env, KEY, NULL, NULL, &draft, &e), -1);
    assert_non_null(strstr(e.msg, "/nonexistent"));
    store_sweep(&gone);
    assert_int_equal(store_check_space(&f->paths, (uint64_t)1 << 60, "the image", &e), -1);
    assert_non_null(e.advice);
    assert_int_equal(begin(f, &draft, &e), 0);
    assert_int_equal(rmdir(draft.dir), 0);
    assert_int_equal(store_commit(&draft, "{}", &e), -1);
    store_abandon(&draft);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(test_life),
        WITH_FIXTURE(test_abandon),
        WITH_FIXTURE(test_stale_draft),
        WITH_FIXTURE(test_sweep),
        WITH_FIXTURE(test_use_locks),
        WITH_FIXTURE(test_half_removed),
        WITH_FIXTURE(test_remade_over_rest),
        WITH_FIXTURE(test_use_time),
        WITH_FIXTURE(test_claim),
        WITH_FIXTURE(test_use_while_removed),
        WITH_FIXTURE(test_use_while_remade),
        WITH_FIXTURE(test_begin_while_claimed),
        WITH_FIXTURE(test_second_finds_it),
        WITH_FIXTURE(test_second_takes_over),
        WITH_FIXTURE(test_wait_interrupted),
        WITH_FIXTURE(test_discard),
        WITH_FIXTURE(test_discard_interrupted),
        WITH_FIXTURE(test_failures),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
