/* Kept VMs: what vm.json may say, and who gets one. */
#include "paths_fixture.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "state/persist.h"
#include "state/vms.h"

#define KEY "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static struct persist sample(const char *project, const char *name)
{
    return (struct persist){.id = "0123abcd",
                            .name = mem_strdup(name),
                            .project = mem_strdup(project),
                            .agent = mem_strdup("hello"),
                            .base = KEY,
                            .provisioned = KEY,
                            .template_disk = UINT64_C(20) << 30,
                            .created = 1000,
                            .used = 2000,
                            .cpus = 2,
                            .memory = UINT64_C(4) << 30,
                            .disk = UINT64_C(20) << 30,
                            .lock = -1};
}

/* Makes one; the caller frees it, which ends its use. */
static struct persist create(struct folders *f, const char *project, const char *name)
{
    auto_err struct err e = ERR_INIT;
    struct persist v = sample(project, name);

    ASSERT_OK(e, persist_create(&f->paths, &v, false, &e));
    return v;
}

static int take(struct folders *f, const char *project, const char *name)
{
    auto_persist struct persist v = PERSIST_INIT;

    return persist_take(&f->paths, project, name, &v, NULL);
}

static void test_names(void **state)
{
    static const char *const good[] = {
        "a", "9", "A.b_c-d", "default", "x2345678901234567890123456789012", "0123abcde"};
    static const char *const bad[] = {"",   ".",    "..",       "-a",
                                      "_a", "a/b",  "0123abcd", "x23456789012345678901234567890123",
                                      "a ", "\xc3", "a\n",      "../a"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        if (!persist_is_name(good[i]))
            fail_msg("%s is refused", good[i]);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (persist_is_name(bad[i]))
            fail_msg("%s is taken", bad[i]);
}

static void test_round_trip(void **state)
{
    auto_persist struct persist v = sample("/p/\xff odd \"one\"", "own"), back = PERSIST_INIT;
    auto_free char *text = persist_format(&v);
    auto_err struct err e = ERR_INIT;

    (void)state;
    ASSERT_OK(e, persist_parse(text, strlen(text), &back, &e));
    assert_string_equal(back.id, v.id);
    assert_string_equal(back.name, "own");
    assert_string_equal(back.project, v.project);
    assert_string_equal(back.agent, "hello");
    assert_string_equal(back.base, KEY);
    assert_string_equal(back.provisioned, KEY);
    assert_true(back.template_disk == v.template_disk && back.disk == v.disk);
    assert_true(back.created == 1000 && back.used == 2000);
    assert_true(back.cpus == 2 && back.memory == v.memory);
    assert_int_equal(back.lock, -1);
}

/* The text of a good one with one part replaced. */
static char *changed(const char *from, const char *to)
{
    auto_persist struct persist v = sample("/p", "own");
    auto_free char *text = persist_format(&v);
    char *at = strstr(text, from);

    assert_non_null(at);
    return mem_printf("%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
}

static void test_foreign_texts(void **state)
{
    static const char *const changes[][2] = {
        {"{", "[{"},
        {"\"0123abcd\"", "\"../../ab\""},
        {"\"0123abcd\"", "1"},
        {"\"own\"", "\"../own\""},
        {"\"own\"", "null"},
        {"\"/p\"", "\"p\""},
        {"\"/p\"", "{\"base64\":\"?\"}"},
        {"\"hello\"", "\"\""},
        {"\"base\":\t\"0", "\"base\":\t\"x"},
        {"\"base\":\t\"0", "\"base\":\t\""},
        {"\"base\"", "\"bare\""},
        {"\"provisioned\":\t\"0", "\"provisioned\":\t\"/"},
        {"21474836480", "-1"},
        {"21474836480", "1e300"},
        {"21474836480", "\"1\""},
        {"21474836480", "0.5"},
        {"4294967296", "null"},
        {"\"cpus\":\t2", "\"cpus\":\t65"},
        {"\"cpus\":\t2", "\"cpus\":\t0"},
        {"1000", "1e19"},
        {"2000", "nan"},
    };
    static const char *const texts[] = {"", "null", "[]", "{}", "\"x\"", "{\"id\":", "\xff\xfe"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
        auto_free char *text = changed(changes[i][0], changes[i][1]);
        auto_persist struct persist v = PERSIST_INIT;

        if (persist_parse(text, strlen(text), &v, NULL) == 0)
            fail_msg("%s is taken for %s", changes[i][1], changes[i][0]);
        assert_null(v.name);
    }
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        auto_persist struct persist v = PERSIST_INIT;

        assert_int_equal(persist_parse(texts[i], strlen(texts[i]), &v, NULL), -1);
    }
}

static void test_take(void **state)
{
    struct folders *f = *state;
    auto_persist struct persist mine = PERSIST_INIT, theirs = PERSIST_INIT;
    auto_err struct err e = ERR_INIT;

    assert_int_equal(take(f, "/p", "default"), 1);
    mine = create(f, "/p", "default");
    assert_true(vms_is_id(mine.id));
    assert_true(mine.lock >= 0);
    assert_int_equal(persist_take(&f->paths, "/p", "default", &theirs, &e), 2);
    assert_string_equal(theirs.id, mine.id); /* where to attach */
    assert_int_equal(theirs.lock, -1);
    assert_int_equal(take(f, "/p", "other"), 1);
    assert_int_equal(take(f, "/q", "default"), 1);
    persist_free(&mine);
    persist_free(&theirs);
    assert_int_equal(persist_take(&f->paths, "/p", "default", &theirs, &e), 0);
    assert_true(theirs.lock >= 0);
}

static void test_create_again(void **state)
{
    struct folders *f = *state;
    auto_persist struct persist first = create(f, "/p", "default");
    auto_persist struct persist second = sample("/p", "default");
    auto_free char *disk = persist_disk(&first);
    struct stat st;

    assert_int_equal(stat(disk, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(persist_create(&f->paths, &second, false, NULL), 1);
    free(steal_ptr(&second.dir));
    assert_int_equal(persist_create(&f->paths, &second, true, NULL), 1); /* it is in use */
    free(steal_ptr(&second.dir));
    close_fd(&first.lock);
    assert_int_equal(persist_create(&f->paths, &second, false, NULL), 1);
    free(steal_ptr(&second.dir));
    assert_int_equal(persist_create(&f->paths, &second, true, NULL), 0);
    assert_string_not_equal(first.id, second.id);
    assert_int_equal(count_entries(f->paths.vms), 1);
}

static void test_remove(void **state)
{
    struct folders *f = *state;
    auto_persist struct persist a = create(f, "/p", "a"), b = create(f, "/p", "b");
    auto_free char *nothing = paths_kept_vm(&f->paths, "/p", "c");

    assert_int_equal(persist_remove(&f->paths, a.dir, NULL), 2);
    close_fd(&a.lock);
    assert_int_equal(persist_remove(&f->paths, a.dir, NULL), 0);
    assert_int_equal(persist_remove(&f->paths, a.dir, NULL), 1);
    assert_int_equal(persist_remove(&f->paths, nothing, NULL), 1);
    assert_int_equal(count_entries(f->paths.vms), 1);
    close_fd(&b.lock);
    assert_int_equal(persist_remove(&f->paths, b.dir, NULL), 0);
    assert_int_equal(count_entries(f->paths.vms), 0);
}

static void test_list(void **state)
{
    struct folders *f = *state;
    auto_persist struct persist b = create(f, "/p", "b"), a = create(f, "/p", "a"),
                                c = create(f, "/o", "c");
    auto_free char *json = mem_printf("%s/vm.json", b.dir);
    auto_free char *copy = mem_printf("%s/vm.json", c.dir);
    auto_free char *text = read_text(json);
    auto_err struct err why = ERR_INIT;
    struct persists l;
    size_t damaged;

    close_fd(&a.lock);
    assert_int_equal(persist_list(&f->paths, NULL, &l, &damaged, &why), 0);
    assert_int_equal(l.n, 3);
    assert_int_equal(damaged, 0);
    assert_string_equal(l.v[0].name, "c");
    assert_string_equal(l.v[1].name, "a");
    assert_string_equal(l.v[2].name, "b");
    assert_true(l.v[0].busy && !l.v[1].busy && l.v[2].busy);
    assert_string_not_equal(l.v[1].id, l.v[2].id);
    persists_free(&l);
    write_text(copy, text); /* it is about another one */
    assert_int_equal(persist_list(&f->paths, NULL, &l, &damaged, &why), 0);
    assert_int_equal(l.n, 2);
    assert_int_equal(damaged, 1);
    assert_non_null(strstr(why.msg, c.dir));
    persists_free(&l);
    assert_int_equal(persist_list(&f->paths, "/p", &l, &damaged, &why), 0);
    assert_int_equal(l.n, 2);
    assert_int_equal(damaged, 0);
    persists_free(&l);
}

/* A full disk is looked for by the folder that the message names. */
static void test_disk_that_cannot_be_written(void **state)
{
    struct folders *f = *state;
    auto_persist struct persist v = sample("/p", "a");
    auto_err struct err e = ERR_INIT;
    struct rlimit before, none;
    int rc;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    none = (struct rlimit){0, before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    rc = persist_create(&f->paths, &v, false, &e);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_DFL);
    assert_int_equal(rc, -1);
    assert_non_null(strstr(err_msg(&e), f->paths.vms));
    assert_int_equal(take(f, "/p", "a"), 1);
}

static void test_sweep(void **state)
{
    struct folders *f = *state;
    auto_persist struct persist v = create(f, "/p", "a");
    auto_free char *draft = make_folder(f->paths.vms, "tmp.new");
    auto_free char *empty = make_folder(f->paths.vms, KEY);
    auto_free char *disk = mem_printf("%s/disk.qcow2", draft);

    write_text(disk, "x");
    persist_sweep(&f->paths);
    assert_int_equal(count_entries(f->paths.vms), 1);
    assert_int_equal(take(f, "/p", "a"), 2);
}

static struct prune_item *find_item(struct prune_list *l, const char *id)
{
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->v[i].key, id) == 0)
            return &l->v[i];
    return NULL;
}

static void test_prune(void **state)
{
    struct folders *f = *state;
    auto_persist struct persist here = create(f, f->dir, "a"), gone = create(f, "/no/such", "a"),
                                busy = create(f, "/no/such", "b");
    auto_prune_list struct prune_list l = {0}, dry = {0}, recent = {0};
    auto_strv struct strv based = STRV_INIT;
    auto_err struct err e = ERR_INIT;

    close_fd(&here.lock);
    close_fd(&gone.lock);
    ASSERT_OK(e, persist_prune(&f->paths, 1999, false, &recent, &based, &e));
    assert_int_equal(recent.n, 2);
    assert_false(find_item(&recent, gone.id)->done); /* used at 2000 */
    assert_int_equal(based.n, 6);
    ASSERT_OK(e, persist_prune(&f->paths, 2000, true, &dry, &based, &e));
    assert_true(find_item(&dry, gone.id)->done);
    assert_int_equal(take(f, "/no/such", "a"), 0);
    ASSERT_OK(e, persist_prune(&f->paths, PRUNE_ALL, false, &l, &based, &e));
    assert_true(find_item(&l, gone.id)->done);
    assert_true(find_item(&l, busy.id)->in_use && !find_item(&l, busy.id)->done);
    assert_null(find_item(&l, here.id));
    assert_int_equal(take(f, "/no/such", "a"), 1);
    assert_int_equal(take(f, f->dir, "a"), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, folders_set_up, folders_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_foreign_texts),
        TEST(test_take),
        TEST(test_create_again),
        TEST(test_remove),
        TEST(test_list),
        TEST(test_disk_that_cannot_be_written),
        TEST(test_sweep),
        TEST(test_prune),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
