/* state/vms: the folders of running VMs; locks say which are alive. */
#include "paths_fixture.h"

#include <pthread.h>

#include "state/vms.h"

struct vm {
    char id[9];
    int lock;
};

static struct vm reserve(struct folders *f)
{
    auto_err struct err e = ERR_INIT;
    struct vm vm = {0};

    ASSERT_OK(e, vms_reserve(&f->paths, vm.id, &vm.lock, &e));
    assert_true(vms_is_id(vm.id));
    return vm;
}

static void publish(struct folders *f, struct vm *vm, const char *project, int64_t started)
{
    auto_err struct err e = ERR_INIT;
    struct vm_info info = {.id = vm->id,
                           .agent = (char *)"claude",
                           .project = (char *)project,
                           .supervisor = 10,
                           .engine = 11,
                           .started = started,
                           .cpus = 2,
                           .memory = (uint64_t)6 << 30};

    strv_push(&info.writable, "/kept");
    strv_push(&info.writable, "/more");
    ASSERT_OK(e, vms_publish(&f->paths, &info, &e));
    strv_free(&info.writable);
}

/* What of a VM is there: its folder in run, and that for its disk. */
static int folders(const struct folders *f, const char *id)
{
    auto_free char *run = mem_printf("%s/%s", f->paths.run, id);
    auto_free char *disk = mem_printf("%s/%s", f->paths.vms, id);

    return (access(run, F_OK) == 0) + (access(disk, F_OK) == 0);
}

static void test_id(void **state)
{
    (void)state;
    assert_true(vms_is_id("0123abcd"));
    assert_false(vms_is_id("0123ABCD"));
    assert_false(vms_is_id("0123abc"));
    assert_false(vms_is_id("0123abcd0"));
    assert_false(vms_is_id("../../ab"));
    assert_false(vms_is_id(""));
}

static void test_list(void **state)
{
    struct folders *f = *state;
    auto_err struct err e = ERR_INIT;
    struct vm late = reserve(f), early = reserve(f), starting = reserve(f);
    struct vm_infos all, one;

    publish(f, &late, "/p/two words,\"quoted\"", 200);
    publish(f, &early, NULL, 100);
    ASSERT_OK(e, vms_list(&f->paths, NULL, &all, &e));
    assert_int_equal(all.n, 2); /* one is not published yet */
    assert_string_equal(all.v[0].id, early.id);
    assert_null(all.v[0].project);
    assert_string_equal(all.v[1].id, late.id);
    assert_string_equal(all.v[1].project, "/p/two words,\"quoted\"");
    assert_string_equal(all.v[1].agent, "claude");
    assert_int_equal(all.v[1].supervisor, 10);
    assert_int_equal(all.v[1].engine, 11);
    assert_int_equal(all.v[1].started, 200);
    assert_int_equal(all.v[1].cpus, 2);
    assert_true(all.v[1].memory == (uint64_t)6 << 30);
    assert_int_equal(all.v[1].writable.n, 2);
    assert_string_equal(all.v[1].writable.v[1], "/more");
    vm_infos_free(&all);
    ASSERT_OK(e, vms_list(&f->paths, "/p/two words,\"quoted\"", &one, &e));
    assert_int_equal(one.n, 1);
    vm_infos_free(&one);
    ASSERT_OK(e, vms_list(&f->paths, "/p", &one, &e));
    assert_int_equal(one.n, 0);
    vm_infos_free(&one);
    close(late.lock); /* its supervisor is dead */
    ASSERT_OK(e, vms_list(&f->paths, NULL, &all, &e));
    assert_int_equal(all.n, 1);
    vm_infos_free(&all);
    close(early.lock);
    close(starting.lock);
}

static void test_remove(void **state)
{
    struct folders *f = *state;
    struct vm vm = reserve(f);

    assert_int_equal(folders(f, vm.id), 2);
    vms_remove(&f->paths, vm.id);
    assert_int_equal(folders(f, vm.id), 0);
    vms_remove(&f->paths, vm.id);
    close(vm.lock);
}

/* What the dead left goes, what lives and what is not ours stays. */
static void test_sweep(void **state)
{
    struct folders *f = *state;
    struct vm alive = reserve(f), dead = reserve(f);
    auto_free char *rebooted = make_folder(f->paths.vms, "00000001");
    auto_free char *unlocked = make_folder(f->paths.run, "00000002");
    auto_free char *foreign = make_folder(f->paths.run, "foreign");
    auto_free char *overlay = mem_printf("%s/%s/overlay", f->paths.vms, dead.id);

    write_text(overlay, "");
    publish(f, &dead, "/p", 1);
    close(dead.lock);
    vms_sweep(&f->paths);
    assert_int_equal(folders(f, alive.id), 2);
    assert_int_equal(folders(f, dead.id), 0);
    assert_int_equal(access(rebooted, F_OK), -1);
    assert_int_equal(access(unlocked, F_OK), -1);
    assert_int_equal(access(foreign, F_OK), 0);
    close(alive.lock);
}

/* Two sessions of a user, say on a desktop and over ssh, may share the disks' folder only, or with
 * another XDG_DATA_HOME the run folder only: what lives in the one stays for the other. */
static void test_sweep_elsewhere(void **state)
{
    struct folders *f = *state;
    auto_free char *other = make_folder(f->dir, "other");
    struct paths ssh = {.run = other, .vms = f->paths.vms};
    struct paths moved = {.run = f->paths.run, .vms = other};
    struct vm vm = reserve(f);

    vms_sweep(&ssh);
    vms_sweep(&moved);
    assert_int_equal(folders(f, vm.id), 2);
    close(vm.lock);
    vms_sweep(&ssh);
    assert_int_equal(folders(f, vm.id), 1);
    vms_sweep(&moved);
    assert_int_equal(folders(f, vm.id), 0);
}

/* A link in the place of a VM's folder leads nowhere else. */
static void test_sweep_symlink(void **state)
{
    struct folders *f = *state;
    auto_free char *outside = make_folder(f->dir, "outside");
    auto_free char *kept = mem_printf("%s/kept", outside);
    auto_free char *link = mem_printf("%s/00000003", f->paths.vms);

    write_text(kept, "");
    assert_int_equal(symlink(outside, link), 0);
    vms_sweep(&f->paths);
    assert_int_equal(access(kept, F_OK), 0);
    assert_int_equal(access(link, F_OK), -1);
}

static void test_broken_info(void **state)
{
    static const char *const texts[] = {
        "",
        "junk",
        "[]",
        "null",
        "{}",
        "{\"agent\":5,\"project\":[],\"cpus\":\"x\"}",
        "{\"supervisor\":1e300,\"engine\":-1e300,\"started\":1e300,\"cpus\":-1,\"memory\":-5}"};
    struct folders *f = *state;
    auto_err struct err e = ERR_INIT;
    struct vm vm = reserve(f);
    auto_free char *path = paths_vm(&f->paths, vm.id, PATHS_VM_INFO);

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct vm_infos all;

        write_text(path, texts[i]);
        ASSERT_OK(e, vms_list(&f->paths, NULL, &all, &e));
        assert_true(all.n <= 1);
        vm_infos_free(&all);
    }
    close(vm.lock);
}

/* Listing touches the lock for a moment; nobody who reserves or sweeps meanwhile is disturbed. */
static void *list_often(void *arg)
{
    struct folders *f = arg;

    for (int i = 0; i < 300; i++) {
        struct vm_infos all;

        vms_list(&f->paths, NULL, &all, NULL);
        vm_infos_free(&all);
        vms_sweep(&f->paths);
    }
    return NULL;
}

static void test_concurrent(void **state)
{
    struct folders *f = *state;
    pthread_t thread;
    struct vm vms[50];

    assert_int_equal(pthread_create(&thread, NULL, list_often, f), 0);
    for (size_t i = 0; i < ARRAY_LEN(vms); i++)
        vms[i] = reserve(f);
    assert_int_equal(pthread_join(thread, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(vms); i++) {
        assert_int_equal(folders(f, vms[i].id), 2);
        close(vms[i].lock);
    }
}

static void test_failures(void **state)
{
    struct folders *f = *state;
    auto_err struct err e = ERR_INIT;
    struct paths gone = {.run = (char *)"/nonexistent", .vms = f->paths.vms};
    struct vm_infos all;
    struct vm vm;

    assert_int_equal(vms_reserve(&gone, vm.id, &vm.lock, &e), -1);
    assert_int_equal(vms_list(&gone, NULL, &all, &e), -1);
    assert_int_equal(all.n, 0);
    vms_sweep(&gone);
    assert_int_equal(rmdir(f->paths.vms), 0);
    assert_int_equal(vms_reserve(&f->paths, vm.id, &vm.lock, &e), -1);
    assert_non_null(strstr(e.msg, f->paths.vms));
    assert_int_equal(mkdir(f->paths.vms, 0700), 0);
    vms_sweep(&f->paths); /* the half of it that was made */
    assert_int_equal(count_entries(f->paths.run), 0);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, folders_set_up, folders_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_id),          WITH_FIXTURE(test_list),
        WITH_FIXTURE(test_remove),          WITH_FIXTURE(test_sweep),
        WITH_FIXTURE(test_sweep_elsewhere), WITH_FIXTURE(test_sweep_symlink),
        WITH_FIXTURE(test_broken_info),     WITH_FIXTURE(test_concurrent),
        WITH_FIXTURE(test_failures),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
