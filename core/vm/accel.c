#include "vm/accel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/paths.h"
#include "proc/loop.h"
#include "proc/spawn.h"
#include "vm/accel_cache.h"
#include "vm/qemu.h"
#include "vm/qemu_version.h"

#define ACCEL_DEVICE "/dev/kvm"

enum {
    PROBE_MS = 20000,
    PROBE_MEMORY = 512 << 20,
    PROBE_CPUS = 2,
    CACHE_MAX = 65536,
    CPUINFO_MAX = 4 << 20, /* a processor has 2 KiB */
    CONSOLE_MAX = 1 << 20, /* a kernel's messages up to process 1 are below 100 KiB */
};

struct probe {
    struct loop *loop;
    struct err why;
    bool timed_out;
};

/* Returns whether the device can be used at all; *reason otherwise. */
static bool device_opens(const char *device, struct buf *reason)
{
    auto_close int fd = open(device, O_RDWR | O_CLOEXEC);

    if (fd >= 0)
        return true;
    if (errno == ENOENT)
        buf_printf(reason,
                   "there is no %s: the CPU's virtualization is switched off in the firmware, not "
                   "passed on to this virtual machine, or its kernel module is not loaded",
                   device);
    else if (errno == EACCES)
        buf_printf(reason,
                   "no permission for %s: add yourself to group kvm (sudo usermod -aG kvm "
                   "\"$USER\") and log in again",
                   device);
    else
        buf_printf(reason, "%s cannot be opened: %s", device, strerror(errno));
    return false;
}

static void on_stopped(void *arg, const struct err *why)
{
    struct probe *p = arg;

    if (why->msg)
        err_set(&p->why, "%s", why->msg);
    loop_quit(p->loop);
}

static void on_deadline(void *arg)
{
    struct probe *p = arg;

    p->timed_out = true;
    loop_quit(p->loop);
}

static bool answered(const char *console)
{
    auto_buf struct buf text = BUF_INIT;

    return file_read_at(AT_FDCWD, console, CONSOLE_MAX, &text, NULL) == 0 && text.data &&
           memmem(text.data, text.len, ACCEL_PROBE_MARK, strlen(ACCEL_PROBE_MARK));
}

/* Boots with KVM until the machine ends or the deadline passes; p->why says what went wrong. */
static int boot(const struct accel_request *r, const char *console, struct probe *p, struct err *e)
{
    auto_free char *log = mem_printf("%s/%s", r->cache, PATHS_ACCEL_LOG);
    struct vm_config config = {
        .id = "probe",
        .kernel = r->kernel,
        .initrd = r->initrd,
        .cmdline = "console=ttyS0 panic=-1 rdinit=" ACCEL_PROBE_INIT " " ACCEL_PROBE_PARAM,
        .cpus = PROBE_CPUS,
        .memory = PROBE_MEMORY,
        .accel = VM_ACCEL_KVM,
        .console = console,
        .stderr_log = log,
        .cache = r->cache,
    };
    struct vm_events ev = {.stopped = on_stopped, .arg = p};
    auto_close int channel = -1;
    struct vm *vm;

    p->loop = loop_new();
    vm = qemu_driver.start(&config, p->loop, &ev, &channel, e);
    if (vm) {
        loop_timer(p->loop, r->deadline_ms > 0 ? r->deadline_ms : PROBE_MS, on_deadline, p);
        loop_run(p->loop);
        qemu_driver.free(vm);
    }
    loop_free(p->loop);
    return vm ? 0 : -1;
}

static int probe(const struct accel_request *r, struct accel_verdict *v, struct err *e)
{
    auto_free char *console = mem_printf("%s/%s", r->cache, PATHS_ACCEL_CONSOLE);
    struct probe p = {0};

    if (boot(r, console, &p, e) < 0)
        return -1;
    v->accel = answered(console) ? VM_ACCEL_KVM : VM_ACCEL_TCG;
    if (v->accel == VM_ACCEL_KVM)
        v->reason = mem_strdup("");
    else if (p.timed_out)
        v->reason = mem_printf("a test boot with KVM gave no sign of life within %d s",
                               (r->deadline_ms > 0 ? r->deadline_ms : PROBE_MS) / 1000);
    else
        v->reason = mem_printf("a test boot with KVM failed: %s",
                               p.why.msg ? p.why.msg : "it ended before guestd answered");
    err_clear(&p.why);
    return 0;
}

static bool read_cache(int dirfd, const char *key, struct accel_verdict *v)
{
    auto_buf struct buf text = BUF_INIT;

    return file_read_at(dirfd, PATHS_ACCEL, CACHE_MAX, &text, NULL) == 0 && text.data &&
           accel_cache_parse(text.data, text.len, key, time(NULL), v);
}

static void write_cache(int dirfd, const char *key, const struct accel_verdict *v)
{
    auto_buf struct buf old = BUF_INIT;
    auto_free char *text = NULL;
    auto_err struct err e = ERR_INIT;

    if (file_read_at(dirfd, PATHS_ACCEL, CACHE_MAX, &old, NULL) != 0)
        buf_free(&old);
    text = accel_cache_format(old.data, old.len, v, key, time(NULL));
    if (file_write_at(dirfd, PATHS_ACCEL, text, strlen(text), 0600, &e) < 0)
        log_debug("the accelerator probe's result is not remembered: %s", err_msg(&e));
}

/* Under a lock, so that two first starts at once probe once. */
static int probe_once(const struct accel_request *r, int dirfd, const char *key,
                      struct accel_verdict *v, struct err *e)
{
    auto_close int lock = file_lock_at(dirfd, PATHS_ACCEL_LOCK, false, true, e);

    if (lock < 0)
        return err_prefix(e, "%s", r->cache);
    if (read_cache(dirfd, key, v))
        return 0;
    if (probe(r, v, e) < 0)
        return -1;
    write_cache(dirfd, key, v);
    return 0;
}

static const char *device_of(const struct accel_request *r)
{
    return r->device ? r->device : ACCEL_DEVICE;
}

/* Opens the folder of the verdict and tells the key that it must have. */
static int open_cache(const struct accel_request *r, char key[DIGEST_HEX + 1])
{
    auto_free char *qemu = spawn_find(QEMU_PROGRAM); /* its absence is the probe's error */

    accel_cache_key(r, qemu, key);
    return open(r->cache, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

bool accel_known(const struct accel_request *r, enum vm_accel *out)
{
    auto_close int dirfd = -1;
    auto_buf struct buf reason = BUF_INIT;
    struct accel_verdict v = {.accel = VM_ACCEL_TCG};
    char key[DIGEST_HEX + 1];
    bool known = !device_opens(device_of(r), &reason);

    if (!known) {
        dirfd = open_cache(r, key);
        known = dirfd >= 0 && read_cache(dirfd, key, &v);
    }
    *out = v.accel;
    free(v.reason);
    return known;
}

int accel_choose(const struct accel_request *r, enum vm_accel *out, struct buf *reason,
                 struct err *e)
{
    auto_close int dirfd = -1;
    struct accel_verdict v = {0};
    char key[DIGEST_HEX + 1];

    buf_free(reason);
    buf_puts(reason, "");
    *out = VM_ACCEL_TCG;
    if (!device_opens(device_of(r), reason))
        return 0;
    dirfd = open_cache(r, key);
    if (dirfd < 0)
        return err_errno(e, errno, "cannot open folder %s", r->cache);
    if (!read_cache(dirfd, key, &v) && probe_once(r, dirfd, key, &v, e) < 0)
        return -1;
    *out = v.accel;
    buf_puts(reason, v.reason);
    free(v.reason);
    return 0;
}

/* ---- for agentvm doctor --------------------------------------------------------------------- */

const char *accel_module(const char *cpuinfo)
{
    static const char *const modules[][2] = {{" vmx", "kvm_intel"}, {" svm", "kvm_amd"}};

    for (size_t i = 0; i < ARRAY_LEN(modules); i++) {
        const char *flag = strstr(cpuinfo, modules[i][0]);

        if (flag && strchr(" \n", flag[strlen(modules[i][0])]))
            return modules[i][1];
    }
    return NULL;
}

/* What makes the device usable, where a command can. */
static char *find_fix(const char *device)
{
    auto_close int cpuinfo = open("/proc/cpuinfo", O_RDONLY | O_CLOEXEC);
    auto_buf struct buf text = BUF_INIT;
    const char *module;

    if (access(device, F_OK) == 0)
        return mem_strdup("sudo usermod -aG kvm \"$USER\"");
    if (cpuinfo < 0 || file_read_fd(cpuinfo, CPUINFO_MAX, &text, NULL) < 0)
        return NULL;
    module = accel_module(text.data);
    return module ? mem_printf("sudo modprobe %s", module) : NULL;
}

void accel_examine(const struct accel_request *r, struct findings *f)
{
    const char *device = device_of(r);
    auto_buf struct buf reason = BUF_INIT;
    auto_err struct err e = ERR_INIT;
    auto_free char *fix = NULL;
    enum vm_accel accel;

    if (!device_opens(device, &reason)) {
        fix = find_fix(device);
        finding_add(f, FINDING_WARNING, fix, "VMs are emulated and slow: %s", reason.data);
    } else if (!r->kernel) {
        finding_ok(f,
                   "%s can be opened; whether it works is tried once there are QEMU and an image",
                   device);
    } else if (accel_choose(r, &accel, &reason, &e) < 0) {
        finding_error(f, FINDING_PROBLEM, NULL, &e);
    } else if (accel == VM_ACCEL_TCG) {
        finding_add(f, FINDING_WARNING, NULL, "VMs are emulated and slow: %s", reason.data);
    } else {
        finding_ok(f, "hardware virtualization works: a test boot with KVM came up");
    }
}
