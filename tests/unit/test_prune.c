/* image/prune: what goes, what stays and why; and that nothing in use is ever removed. */
#include "paths_fixture.h"

#include <sys/file.h>

#include "image/initrd.h"
#include "image/prune.h"
#include "image/store.h"

#define CUTOFF 1000
#define OLD CUTOFF
#define NEW (CUTOFF + 1)

/* ---- the decision ------------------------------------------------------------------------------
 */

static struct prune_item layer(const char *key, const char *parent, int64_t used, bool in_use)
{
    struct prune_item it = {.kind = PRUNE_LAYER, .used = {.tv_sec = used}, .in_use = in_use};

    snprintf(it.key, sizeof(it.key), "%s", key);
    snprintf(it.parent, sizeof(it.parent), "%s", parent);
    return it;
}

static struct prune_item other(enum prune_kind kind, int64_t used, bool in_use)
{
    struct prune_item it = layer("", "", used, in_use);

    it.kind = kind;
    return it;
}

/* One letter per item: Goes, in Use, Recent, Parent, Based, Failed. */
static void assert_verdicts(struct prune_item *items, size_t n, int64_t cutoff,
                            const char *expected)
{
    struct prune_list l = {items, n};
    char got[16] = {0};

    prune_decide(&l, cutoff);
    for (size_t i = 0; i < n; i++)
        got[i] = "GURPBF"[items[i].verdict];
    assert_string_equal(got, expected);
}

static void test_age_and_use(void **state)
{
    struct prune_item items[] = {layer("a", "", OLD, false), layer("b", "", NEW, false),
                                 layer("c", "", OLD, true), layer("d", "", NEW, true)};

    (void)state;
    assert_verdicts(items, ARRAY_LEN(items), CUTOFF, "GRUU");
    assert_verdicts(items, ARRAY_LEN(items), PRUNE_ALL, "GGUU");
}

/* What a kept VM's disk is based on stays, with what it is made from itself. */
static void test_based(void **state)
{
    struct prune_item items[] = {layer("base", "", OLD, false), layer("prov", "base", OLD, false),
                                 layer("warm", "prov", OLD, false), layer("other", "", OLD, false)};
    struct prune_list l = {items, ARRAY_LEN(items)};
    auto_strv struct strv keys = STRV_INIT;

    (void)state;
    strv_push(&keys, "prov");
    strv_push(&keys, "");
    prune_protect(&l, &keys);
    assert_verdicts(items, ARRAY_LEN(items), PRUNE_ALL, "PBGG");
}

/* A kept layer keeps what it is made from, however old; one that goes does not. */
static void test_parents(void **state)
{
    struct prune_item kept[] = {layer("base", "", OLD, false), layer("prov", "base", OLD, false),
                                layer("warm", "prov", NEW, false),
                                layer("twin", "prov", OLD, false)};
    struct prune_item running[] = {layer("base", "", OLD, false), layer("prov", "base", OLD, false),
                                   layer("warm", "prov", OLD, true),
                                   layer("side", "base", OLD, false)};
    struct prune_item chain[] = {layer("base", "", OLD, false), layer("prov", "base", OLD, false),
                                 layer("warm", "prov", OLD, false)};
    struct prune_item young[] = {layer("base", "", NEW, false), layer("prov", "base", OLD, false),
                                 layer("lost", "gone", OLD, false)};

    (void)state;
    assert_verdicts(kept, ARRAY_LEN(kept), CUTOFF, "PPRG");
    assert_verdicts(running, ARRAY_LEN(running), PRUNE_ALL, "PPUG");
    assert_verdicts(chain, ARRAY_LEN(chain), CUTOFF, "GGG");
    assert_verdicts(young, ARRAY_LEN(young), CUTOFF, "RGG");
}

static void test_other_kinds(void **state)
{
    struct prune_item items[] = {
        other(PRUNE_LOCK, NEW, false),   other(PRUNE_LOCK, OLD, true),
        other(PRUNE_INITRD, NEW, false), other(PRUNE_INITRD, OLD, false),
        other(PRUNE_INITRD, OLD, true),  other(PRUNE_LOG, OLD, false),
        other(PRUNE_LOG, NEW, false),    other(PRUNE_LOG, OLD, true),
    };

    (void)state;
    assert_verdicts(items, ARRAY_LEN(items), CUTOFF, "GURGUGRU");
}

/* What could not be removed keeps its parents, too. */
static void test_failed(void **state)
{
    struct prune_item items[] = {layer("base", "", OLD, false), layer("prov", "base", OLD, false)};

    (void)state;
    items[1].verdict = PRUNE_FAILED;
    assert_verdicts(items, ARRAY_LEN(items), CUTOFF, "PF");
}

/* No digest can be part of what it is made of; a forged one must not hang us. */
static void test_cycle(void **state)
{
    struct prune_item items[] = {layer("a", "b", OLD, false), layer("b", "a", OLD, false),
                                 layer("c", "c", OLD, false)};
    struct prune_list l = {items, ARRAY_LEN(items)};

    (void)state;
    assert_int_equal(prune_remove(NULL, &l, CUTOFF, true, NULL), 0);
    assert_false(items[0].done || items[1].done);
    assert_true(items[2].done);
}

/* ---- on the disk -------------------------------------------------------------------------------
 */

struct fixture {
    char *dir;
    struct paths paths;
    struct task_env env;
    struct strv machines;
    struct prune_list list;
};

static int set_up(void **state)
{
    struct fixture *f = mem_zalloc(1, sizeof(*f));

    f->dir = scratch_make();
    f->paths = paths_make(f->dir);
    f->paths.logs = make_folder(f->dir, "logs");
    f->env.loop = loop_new();
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    prune_list_free(&f->list);
    strv_free(&f->machines);
    loop_free(f->env.loop);
    paths_free(&f->paths);
    scratch_remove(f->dir);
    free(f);
    return 0;
}

/* A key of 64 times the digit. */
static const char *key_of(char digit)
{
    static char keys[128][DIGEST_HEX + 1];
    char *key = keys[(int)digit];

    memset(key, digit, DIGEST_HEX);
    return key;
}

static void backdate(const char *path)
{
    const struct timespec old[2] = {{.tv_sec = OLD}, {.tv_sec = OLD}};

    assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
}

/* An old layer of one file. */
static void make_layer(struct fixture *f, char digit, const char *kind, char parent)
{
    auto_err struct err e = ERR_INIT;
    struct layer_draft draft = DRAFT_INIT;
    auto_free char *json =
        mem_printf("{\"kind\": \"%s\", \"parent\": \"%s\"}", kind, parent ? key_of(parent) : "");
    auto_free char *lock = mem_printf("%s/%s/" LAYER_LOCK, f->paths.layers, key_of(digit));
    auto_free char *disk = NULL;
    char block[8192] = "x";

    assert_int_equal(store_begin(&f->paths, &f->env, key_of(digit), NULL, NULL, &draft, &e), 0);
    disk = mem_printf("%s/disk", draft.dir);
    assert_int_equal(file_write_at(AT_FDCWD, disk, block, sizeof(block), 0400, NULL), 0);
    ASSERT_OK(e, store_commit(&draft, json, &e));
    backdate(lock);
}

static char *make_old_file(const char *folder, const char *name)
{
    char *path = mem_printf("%s/%s", folder, name);

    write_text(path, "text");
    backdate(path);
    return path;
}

static char *make_initrd(struct fixture *f, char digit)
{
    auto_free char *name = mem_printf("initrd-%s-0123456789abcdef.img", key_of(digit));

    return make_old_file(f->paths.cache, name);
}

static struct prune_item *find(struct fixture *f, enum prune_kind kind, char digit)
{
    for (size_t i = 0; i < f->list.n; i++)
        if (f->list.v[i].kind == kind && f->list.v[i].key[0] == digit)
            return &f->list.v[i];
    return NULL;
}

static void scan(struct fixture *f)
{
    auto_err struct err e = ERR_INIT;

    prune_list_free(&f->list);
    ASSERT_OK(e, prune_scan(&f->paths, &f->machines, &f->list, &e));
}

static void remove_old(struct fixture *f)
{
    auto_err struct err e = ERR_INIT;

    ASSERT_OK(e, prune_remove(&f->paths, &f->list, CUTOFF, false, &e));
}

static void test_scan(void **state)
{
    struct fixture *f = *state;
    auto_free char *stray = make_folder(f->paths.layers, "no-layer");
    auto_free char *foreign = make_old_file(f->paths.cache, "accel.json");
    auto_free char *note = make_old_file(f->paths.logs, "note.txt");
    auto_free char *console = make_old_file(f->paths.logs, "vm-cccccccc.console.log");
    auto_free char *initrd = make_initrd(f, 'b');
    const struct prune_item *it;

    make_layer(f, 'a', "base", 0);
    make_layer(f, 'b', "odd \033[31m kind", 'a');
    scan(f);
    assert_int_equal(f->list.n, 4);
    it = find(f, PRUNE_LAYER, 'a');
    assert_string_equal(it->label, "base");
    assert_string_equal(it->parent, "");
    assert_int_equal(it->used.tv_sec, OLD);
    assert_true(it->size >= 8192);
    assert_false(it->in_use);
    it = find(f, PRUNE_LAYER, 'b');
    assert_string_equal(it->label, "layer");
    assert_string_equal(it->parent, key_of('a'));
    assert_string_equal(find(f, PRUNE_INITRD, 'b')->path, initrd);
    assert_string_equal(find(f, PRUNE_LOG, 'c')->key, "cccccccc");
}

static void test_dry_run(void **state)
{
    struct fixture *f = *state;
    auto_free char *log = make_old_file(f->paths.logs, "image-aaaaaaaa.log");
    auto_free char *initrd = make_initrd(f, 'a');
    size_t entries;

    make_layer(f, 'a', "base", 0);
    entries = count_entries(f->paths.layers);
    scan(f);
    assert_int_equal(prune_remove(&f->paths, &f->list, CUTOFF, true, NULL), 0);
    for (size_t i = 0; i < f->list.n; i++)
        assert_true(f->list.v[i].done);
    assert_int_equal(count_entries(f->paths.layers), entries);
    assert_int_equal(access(log, F_OK) | access(initrd, F_OK), 0);
    remove_old(f); /* all of it is done already */
    assert_int_equal(count_entries(f->paths.layers), entries);
}

static void test_remove(void **state)
{
    struct fixture *f = *state;
    auto_err struct err e = ERR_INIT;
    auto_layer struct layer used = LAYER_INIT;
    auto_free char *log = make_old_file(f->paths.logs, "image-aaaaaaaa.log");
    auto_free char *gone = make_initrd(f, 'a'), *kept = make_initrd(f, 'c');
    size_t fds = count_fds();

    make_layer(f, 'a', "base", 0);
    make_layer(f, 'b', "warm", 'a');
    make_layer(f, 'c', "base", 0);
    make_layer(f, 'd', "warm", 'c');
    ASSERT_OK(e, store_use(&f->paths, key_of('c'), &used, &e));
    scan(f);
    remove_old(f);
    assert_false(store_has(&f->paths, key_of('a')));
    assert_false(store_has(&f->paths, key_of('b')));
    assert_true(store_has(&f->paths, key_of('c')));
    assert_false(store_has(&f->paths, key_of('d')));
    assert_int_equal(access(gone, F_OK), -1);
    assert_int_equal(access(log, F_OK), -1);
    assert_int_equal(access(kept, F_OK), 0); /* its layer is in use */
    assert_int_equal(find(f, PRUNE_LAYER, 'c')->verdict, PRUNE_IN_USE);
    assert_int_equal(count_entries(f->paths.layers), 2); /* layer c and its makers' lock */
    layer_release(&used);
    assert_int_equal(count_fds(), fds);
}

/* A start came between the scan and the removal: what it used stays, and what that is made from. */
static void test_used_meanwhile(void **state)
{
    struct fixture *f = *state;
    auto_err struct err e = ERR_INIT;
    auto_layer struct layer running = LAYER_INIT, ended = LAYER_INIT;

    make_layer(f, 'a', "base", 0);
    make_layer(f, 'b', "warm", 'a');
    make_layer(f, 'c', "base", 0);
    scan(f);
    ASSERT_OK(e, store_use(&f->paths, key_of('b'), &running, &e));
    ASSERT_OK(e, store_use(&f->paths, key_of('c'), &ended, &e));
    layer_release(&ended);
    remove_old(f);
    assert_int_equal(find(f, PRUNE_LAYER, 'a')->verdict, PRUNE_PARENT);
    assert_int_equal(find(f, PRUNE_LAYER, 'b')->verdict, PRUNE_IN_USE);
    assert_int_equal(find(f, PRUNE_LAYER, 'c')->verdict, PRUNE_IN_USE);
    for (const char *digit = "abc"; *digit; digit++)
        assert_true(store_has(&f->paths, key_of(*digit)));
}

/* The lock of a layer that is being made stays, and so does its log; that of none goes. */
static void test_makers(void **state)
{
    struct fixture *f = *state;
    auto_err struct err e = ERR_INIT;
    auto_draft struct layer_draft draft = DRAFT_INIT;
    auto_free char *left = mem_printf("%s" LAYER_MAKER_SUFFIX, key_of('b'));
    auto_free char *lock = make_old_file(f->paths.layers, left);
    auto_free char *log = make_old_file(f->paths.logs, "provision-aaaaaaaa.log");

    assert_int_equal(store_begin(&f->paths, &f->env, key_of('a'), NULL, NULL, &draft, &e), 0);
    scan(f);
    assert_int_equal(prune_remove(&f->paths, &f->list, PRUNE_ALL, false, &e), 0);
    assert_int_equal(find(f, PRUNE_LOCK, 'a')->verdict, PRUNE_IN_USE);
    assert_int_equal(find(f, PRUNE_LOG, 'a')->verdict, PRUNE_IN_USE);
    assert_int_equal(access(log, F_OK), 0);
    assert_int_equal(access(lock, F_OK), -1);
    ASSERT_OK(e, store_commit(&draft, "{}", &e));
}

static void test_machines(void **state)
{
    struct fixture *f = *state;
    auto_free char *runs = make_old_file(f->paths.logs, "vm-01234567.console.log");
    auto_free char *ended = make_old_file(f->paths.logs, "vm-89abcdef.console.log");

    strv_push(&f->machines, "01234567");
    scan(f);
    remove_old(f);
    assert_int_equal(access(runs, F_OK), 0);
    assert_int_equal(access(ended, F_OK), -1);
}

/* The time of an initrd's last use is that of its last access. */
static void test_initrd_use(void **state)
{
    struct fixture *f = *state;
    auto_err struct err e = ERR_INIT;
    auto_layer struct layer base = LAYER_INIT;
    auto_free char *path = NULL, *again = NULL, *name = NULL;
    struct stat st;

    make_layer(f, 'a', "base", 0);
    ASSERT_OK(e, store_use(&f->paths, key_of('a'), &base, &e));
    name = mem_printf("%s/initrd.img", base.dir);
    write_text(name, "archive");
    f->paths.guestd = make_old_file(f->dir, "guestd");
    ASSERT_OK(e, initrd_cached(&f->paths, &base, &path, &e));
    backdate(path);
    scan(f);
    assert_int_equal(find(f, PRUNE_INITRD, 'a')->used.tv_sec, OLD);
    ASSERT_OK(e, initrd_cached(&f->paths, &base, &again, &e));
    assert_int_equal(stat(again, &st), 0);
    assert_int_equal(st.st_mtim.tv_sec, OLD); /* the accelerator's verdict depends on it */
    scan(f);
    assert_true(find(f, PRUNE_INITRD, 'a')->used.tv_sec > OLD);
}

/* One thing that cannot be removed is told; the others go. */
static void test_failure(void **state)
{
    struct fixture *f = *state;
    auto_err struct err e = ERR_INIT;
    auto_free char *log = make_old_file(f->paths.logs, "image-cccccccc.log");
    auto_free char *maker = mem_printf("%s/%s" LAYER_MAKER_SUFFIX, f->paths.layers, key_of('b'));

    make_layer(f, 'a', "base", 0);
    make_layer(f, 'b', "base", 0);
    scan(f);
    assert_int_equal(unlink(maker), 0);
    assert_int_equal(mkdir(maker, 0700), 0); /* a folder cannot be locked so */
    assert_int_equal(prune_remove(&f->paths, &f->list, CUTOFF, false, &e), -1);
    assert_string_equal(e.msg, "1 could not be removed");
    assert_int_equal(find(f, PRUNE_LAYER, 'b')->verdict, PRUNE_FAILED);
    assert_false(store_has(&f->paths, key_of('a')));
    assert_true(store_has(&f->paths, key_of('b')));
    assert_int_equal(access(log, F_OK), -1);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_age_and_use),
        cmocka_unit_test(test_parents),
        cmocka_unit_test(test_based),
        cmocka_unit_test(test_other_kinds),
        cmocka_unit_test(test_failed),
        cmocka_unit_test(test_cycle),
        WITH_FIXTURE(test_scan),
        WITH_FIXTURE(test_dry_run),
        WITH_FIXTURE(test_remove),
        WITH_FIXTURE(test_used_meanwhile),
        WITH_FIXTURE(test_makers),
        WITH_FIXTURE(test_machines),
        WITH_FIXTURE(test_initrd_use),
        WITH_FIXTURE(test_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
