#include "vm/qemu_args.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* The newest machine type used: later QEMUs still have it, so that a state saved under one release
 * of agentvm keeps its machine. */
enum { MACHINE_MAX_MAJOR = 10, MACHINE_MAX_MINOR = 0 };

/* -m counts in this unit, and guests want RAM in whole large pages. */
enum { MEMORY_UNIT = 2 << 20 };

/* Upper bound of the buffer for translated code, MiB; only what is used is allocated.  QEMU's own
 * default is up to 1 GiB. */
enum { TCG_CACHE_MIB = 512 };

/* In QEMU's key=value syntax a comma ends a value unless doubled; nothing else is special. */
static char *escape(const char *s)
{
    struct buf b = BUF_INIT;

    for (; *s; s++) {
        buf_append(&b, s, 1);
        if (*s == ',')
            buf_append(&b, s, 1);
    }
    return buf_steal(&b);
}

static cJSON *object(const char *type_key, const char *type, const char *id)
{
    cJSON *o = cJSON_CreateObject();

    cJSON_AddStringToObject(o, type_key, type);
    if (id)
        cJSON_AddStringToObject(o, "id", id);
    return o;
}

/* Appends an option whose value is JSON, and frees the object. */
static void push_json(struct strv *argv, const char *option, cJSON *o)
{
    strv_push(argv, option);
    strv_take(argv, cJSON_PrintUnformatted(o));
    cJSON_Delete(o);
}

static void push2(struct strv *argv, const char *option, const char *value)
{
    strv_push(argv, option);
    strv_push(argv, value);
}

static void push_identity(struct strv *argv, const struct vm_config *c)
{
    auto_free char *id = escape(c->id ? c->id : "vm");

    strv_push(argv, "-name");
    strv_pushf(argv, "agentvm-%s", id);
    strv_push(argv, "-nodefaults");
    strv_push(argv, "-no-user-config");
    push2(argv, "-display", "none");
    push2(argv, "-msg", "timestamp=off");
    push2(argv, "-sandbox",
          "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
    /* A guest that restarts or panics is over: what it restarts into is not what was set up. */
    push2(argv, "-action", "reboot=shutdown,panic=shutdown");
}

static bool is_at_least(const struct qemu_info *q, int major, int minor)
{
    return q->major > major || (q->major == major && q->minor >= minor);
}

/* Whether several threads may emulate the CPUs.  Before 8.1 QEMU translates a page of code without
 * keeping another CPU from writing to it meanwhile, and may keep what was there before.  Linux
 * patches its own code while it runs: one boot in 15 panicked (int3 in run_timer_softirq; QEMU
 * 7.2.22, 2 CPUs). */
static bool can_thread_tcg(const struct qemu_info *q)
{
    return is_at_least(q, 8, 1);
}

bool qemu_takes_state_by_fd(const struct qemu_info *q)
{
    return !is_at_least(q, 8, 2);
}

static void push_memory(struct strv *argv, const struct vm_config *c, const struct qemu_info *q,
                        uint64_t memory)
{
    cJSON *mem = object("qom-type", c->ram ? "memory-backend-file" : "memory-backend-ram", "mem");

    cJSON_AddNumberToObject(mem, "size", (double)memory);
    if (c->ram) {
        cJSON_AddStringToObject(mem, "mem-path", c->ram);
        cJSON_AddBoolToObject(mem, "share", !c->state);
    }
    /* Older ones open the file for writing, though a private mapping never does that. */
    if (c->ram && c->state && is_at_least(q, 8, 2)) {
        cJSON_AddBoolToObject(mem, "readonly", true);
        cJSON_AddStringToObject(mem, "rom", "off");
    }
    push_json(argv, "-object", mem);
}

static void push_machine(struct strv *argv, const struct vm_config *c, const struct qemu_info *q)
{
    int major = q->major, minor = q->minor;
    uint64_t memory = c->memory / MEMORY_UNIT * MEMORY_UNIT;

    if (is_at_least(q, MACHINE_MAX_MAJOR, MACHINE_MAX_MINOR)) {
        major = MACHINE_MAX_MAJOR;
        minor = MACHINE_MAX_MINOR;
    }
    push_memory(argv, c, q, memory);
    strv_push(argv, "-machine");
    /* Without the devices that no guest here uses; each costs the guest's kernel a probe. */
    strv_pushf(argv,
               "pc-q35-%d.%d,memory-backend=mem,vmport=off,smm=off,hpet=off,sata=off,smbus=off,"
               "i8042=off",
               major, minor);
    strv_push(argv, "-m");
    strv_pushf(argv, "%lluM", (unsigned long long)(memory >> 20));
    strv_push(argv, "-smp");
    strv_pushf(argv, "%u", c->cpus);
    if (c->accel == VM_ACCEL_KVM) {
        push2(argv, "-accel", "kvm");
        push2(argv, "-cpu", "host");
        return;
    }
    strv_push(argv, "-accel");
    strv_pushf(argv, "tcg,thread=%s,tb-size=%d", can_thread_tcg(q) ? "multi" : "single",
               TCG_CACHE_MIB);
    /* "max": agents need more than qemu64 has (SSE4.2 and up).  Five-level paging is slower to
     * emulate, and makes Linux 6.12 panic under QEMU 7.2 with several CPUs. */
    push2(argv, "-cpu", "max,la57=off");
}

/* A saved machine has its kernel in memory already. */
static void push_kernel(struct strv *argv, const struct vm_config *c)
{
    if (c->state) {
        push2(argv, "-incoming", "defer");
        return;
    }
    push2(argv, "-kernel", c->kernel);
    if (c->initrd)
        push2(argv, "-initrd", c->initrd);
    if (c->cmdline)
        push2(argv, "-append", c->cmdline);
}

/* One file node and one format node: "disk<i>-file" and "disk<i>". */
static void push_disk(struct strv *argv, const struct vm_config *c, size_t i)
{
    bool top = i + 1 == c->ndisks;
    auto_free char *name = mem_printf("disk%zu", i);
    auto_free char *file_name = mem_printf("disk%zu-file", i);
    auto_free char *below = i > 0 ? mem_printf("disk%zu", i - 1) : NULL;
    cJSON *file = object("driver", "file", NULL);
    cJSON *format = object("driver", c->disks[i].format, NULL);
    cJSON *nodes[] = {file, format};

    cJSON_AddStringToObject(file, "node-name", file_name);
    cJSON_AddStringToObject(file, "filename", c->disks[i].path);
    cJSON_AddStringToObject(file, "aio", "threads");
    /* Else QEMU makes the host forget the file's pages when it takes over a saved machine. */
    cJSON_AddBoolToObject(file, "drop-cache", false);
    cJSON_AddStringToObject(format, "node-name", name);
    cJSON_AddStringToObject(format, "file", file_name);
    if (strcmp(c->disks[i].format, "qcow2") == 0) {
        /* Said here, never taken from the image's header. */
        if (below)
            cJSON_AddStringToObject(format, "backing", below);
        else
            cJSON_AddNullToObject(format, "backing");
    }
    for (size_t n = 0; n < ARRAY_LEN(nodes); n++) {
        /* A clone is thrown away, and a layer is synced by its maker before it gets its name: the
         * guest need not wait for the host's disk, unless it is to find what it wrote again. */
        cJSON *cache = cJSON_AddObjectToObject(nodes[n], "cache");

        cJSON_AddBoolToObject(cache, "direct", false);
        cJSON_AddBoolToObject(cache, "no-flush", !(top && c->durable));
        cJSON_AddBoolToObject(nodes[n], "read-only", !top);
        cJSON_AddBoolToObject(nodes[n], "auto-read-only", false);
        if (top)
            cJSON_AddStringToObject(nodes[n], "discard", "unmap");
    }
    if (top)
        cJSON_AddStringToObject(format, "detect-zeroes", "unmap");
    push_json(argv, "-blockdev", file);
    push_json(argv, "-blockdev", format);
}

static void push_disks(struct strv *argv, const struct vm_config *c)
{
    cJSON *device;
    auto_free char *top = NULL;

    if (c->ndisks == 0)
        return;
    for (size_t i = 0; i < c->ndisks; i++)
        push_disk(argv, c, i);
    top = mem_printf("disk%zu", c->ndisks - 1);
    device = object("driver", "virtio-blk-pci", "disk");
    cJSON_AddStringToObject(device, "drive", top);
    push_json(argv, "-device", device);
}

/* Without a network the devices stay, as a saved machine has them: QEMU drops what the guest sends,
 * to its name server and to the host as well. */
static void push_network(struct strv *argv, const struct vm_config *c)
{
    cJSON *net = object("type", "user", "net");
    cJSON *nic = object("driver", "virtio-net-pci", "nic");

    cJSON_AddBoolToObject(net, "ipv6", false);
    cJSON_AddBoolToObject(net, "restrict", c->offline);
    cJSON_AddStringToObject(net, "hostname", "agentvm");
    push_json(argv, "-netdev", net);
    cJSON_AddStringToObject(nic, "netdev", "net");
    cJSON_AddStringToObject(nic, "romfile", ""); /* no network boot, 0.2 MB less to load */
    push_json(argv, "-device", nic);
}

static void push_channel(struct strv *argv)
{
    cJSON *bus = object("driver", "virtio-serial-pci", "serial");
    cJSON *port = object("driver", "virtserialport", QEMU_CHANNEL_ID);

    strv_push(argv, "-chardev");
    strv_pushf(argv, "socket,id=qmp,fd=%d", QEMU_FD_QMP);
    push2(argv, "-mon", "chardev=qmp,mode=control");
    strv_push(argv, "-chardev");
    strv_pushf(argv, "socket,id=channel,fd=%d", QEMU_FD_CHANNEL);
    /* The guest sets up two queues for each possible port; the default is 31 ports. */
    cJSON_AddNumberToObject(bus, "max_ports", 4);
    push_json(argv, "-device", bus);
    cJSON_AddStringToObject(port, "bus", "serial.0");
    cJSON_AddStringToObject(port, "chardev", "channel");
    cJSON_AddStringToObject(port, "name", VM_CHANNEL_PORT);
    push_json(argv, "-device", port);
}

static void push_console(struct strv *argv, const struct vm_config *c)
{
    auto_free char *path = NULL;

    if (!c->console)
        return;
    path = escape(c->console);
    strv_push(argv, "-chardev");
    /* append: its owner may shorten it meanwhile */
    strv_pushf(argv, "file,id=console,append=on,path=%s", path);
    push2(argv, "-serial", "chardev:console");
}

/* security_model=none: QEMU makes files as the user it runs as, with exactly the guest's modes (it
 * sets them after creating the file, so the umask does not matter). */
static void push_share(struct strv *argv, const char *id, const char *tag, const char *folder,
                       bool readonly)
{
    auto_free char *path = escape(folder);
    cJSON *device = object("driver", "virtio-9p-pci", id);

    strv_push(argv, "-fsdev");
    strv_pushf(argv, "local,id=%s,security_model=none,multidevs=remap,readonly=%s,path=%s", id,
               readonly ? "on" : "off", path);
    cJSON_AddStringToObject(device, "fsdev", id);
    cJSON_AddStringToObject(device, "mount_tag", tag);
    push_json(argv, "-device", device);
}

static void push_shares(struct strv *argv, const struct vm_config *c)
{
    if (!c->share)
        return;
    push_share(argv, "share", VM_SHARE_TAG, c->share, c->share_readonly);
    push_share(argv, "kept", VM_KEPT_TAG, c->kept, c->kept_readonly);
}

static void push_entropy(struct strv *argv)
{
    cJSON *rng = object("driver", "virtio-rng-pci", "rng");
    cJSON *generation = object("driver", "vmgenid", "generation");

    push_json(argv, "-object", object("qom-type", "rng-builtin", "entropy"));
    cJSON_AddStringToObject(rng, "rng", "entropy");
    push_json(argv, "-device", rng);
    /* A fresh GUID at every start tells a restored guest to reseed its random generator. */
    cJSON_AddStringToObject(generation, "guid", "auto");
    push_json(argv, "-device", generation);
}

static int check_config(const struct vm_config *c, struct err *e)
{
    if (!c->kernel)
        return err_set(e, "a QEMU machine needs a kernel");
    if (c->cpus == 0 || c->memory < MEMORY_UNIT)
        return err_set(e, "a QEMU machine needs at least one CPU and %d MiB of memory",
                       MEMORY_UNIT >> 20);
    if (c->share && !c->kept)
        return err_set(e, "a QEMU machine with a share needs a second one");
    if (c->ndisks > VM_DISKS_MAX)
        return err_set(e, "%zu disks in a chain; at most %d are possible", c->ndisks, VM_DISKS_MAX);
    for (size_t i = 0; i < c->ndisks; i++) {
        const struct vm_disk *d = &c->disks[i];

        if (strcmp(d->format, "qcow2") != 0 && (strcmp(d->format, "raw") != 0 || i > 0))
            return err_set(e, "disk %s: format %s is not possible at place %zu of a chain", d->path,
                           d->format, i);
    }
    return 0;
}

int qemu_args(const struct vm_config *c, const struct qemu_info *q, struct strv *argv,
              struct err *e)
{
    if (check_config(c, e) < 0)
        return -1;
    strv_push(argv, q->path);
    push_identity(argv, c);
    push_machine(argv, c, q);
    push_kernel(argv, c);
    push_channel(argv);
    push_console(argv, c);
    push_disks(argv, c);
    push_network(argv, c);
    push_shares(argv, c);
    push_entropy(argv);
    return 0;
}
