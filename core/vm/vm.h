/* A virtual machine, as every driver sees it: plain configuration in, a running machine with a
 * byte pipe to guestd out.
 */
#ifndef AGENTVM_VM_VM_H
#define AGENTVM_VM_VM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"
#include "base/str.h"
#include "proc/jail.h"
#include "proc/loop.h"

enum vm_accel {
    VM_ACCEL_TCG,
    VM_ACCEL_KVM,
};

/* Disks of the chain, bottom first; all but the last are opened read-only. */
struct vm_disk {
    const char *path;
    const char *format; /* "raw" or "qcow2" */
};

enum { VM_DISKS_MAX = 4 };

/* What to start; strings are borrowed for the life of the machine. */
struct vm_config {
    const char *id; /* for process titles and errors */
    const char *kernel;
    const char *initrd;
    const char *cmdline;
    struct vm_disk disks[VM_DISKS_MAX];
    size_t ndisks;
    unsigned cpus;
    uint64_t memory; /* bytes */
    enum vm_accel accel;
    const char *share; /* host folder attached as 9p with mount tag VM_SHARE_TAG, or NULL */
    /* A descriptor of that folder, which may have another name by now, or something else its name;
     * 0: it is opened by name. */
    int share_fd;
    bool share_readonly; /* the guest cannot write to it */
    /* A second one, with tag VM_KEPT_TAG; NULL only where share is.  kept_readonly: the guest
     * cannot write to it. */
    const char *kept;
    bool kept_readonly;
    /* How the engine sees share and scratch (which may be kept) differently from the rest of the
     * host; without any it runs in no namespace. */
    const struct jail_bind *binds;
    size_t nbinds;
    const char *scratch;
    bool offline;           /* the guest reaches nothing over its network */
    const char *console;    /* file that the serial console is logged to */
    const char *stderr_log; /* file that the engine's own messages go to */
    const char *cache;      /* folder where facts about the engine are remembered, or NULL */
    /* File that holds the guest's memory, or NULL: anonymous.  Without a state it is made, and what
     * the guest writes goes there: for a machine that will be saved.  With one it is what was
     * saved, mapped privately and never written. */
    const char *ram;
    const char
        *state; /* what vm_driver.save wrote: the machine goes on from there; NULL: it boots */
    /* The last disk outlives the machine: what the guest flushes is flushed on the host. */
    bool durable;
    int held; /* descriptor of a lock that the engine holds while it lives, or 0 */
};

#define VM_SHARE_TAG "project"
#define VM_KEPT_TAG "kept"
#define VM_CHANNEL_PORT "org.agentvm.0" /* name of the virtio-serial port */

struct vm;

/* Callbacks, from the loop.  stopped comes once, after the engine's process ended, with the reason
 * (the engine's last stderr lines in err's detail); the vm may then be freed. */
struct vm_events {
    void (*started)(void *arg);                     /* the engine answered: devices are open */
    void (*resumed)(void *arg);                     /* a saved machine runs; after started */
    void (*channel_opened)(void *arg, bool opened); /* guestd opened or closed its port */
    void (*saved)(void *arg, const char *failure);  /* save ended; failure is NULL if it worked */
    void (*stopped)(void *arg, const struct err *why);
    void *arg;
};

struct vm_driver {
    const char *name;
    /* Whether the engine is installed and new enough; the error says what to install. */
    int (*check)(const char *cache, struct err *e);
    /* Starts the machine; *channel gets a connected, non-blocking descriptor of the byte pipe,
     * owned by the caller. */
    struct vm *(*start)(const struct vm_config *c, struct loop *l, const struct vm_events *ev,
                        int *channel, struct err *e);
    /* Ends the machine: asks the engine to quit, then SIGTERM, then SIGKILL, each with a deadline;
     * `stopped` comes in the end.  Whoever wants the guest's data safe has asked guestd first. */
    void (*stop)(struct vm *vm);
    /* Pauses the machine, which has config.ram, and writes the state of its devices to a new file;
     * `saved` comes.  The machine can only be stopped after that. */
    void (*save)(struct vm *vm, const char *state);
    /* Adds to a digest what a saved state of such a machine depends on: the engine's build and
     * command line, the processor, the host's kernel.  Paths of single machines (id, console,
     * share, the last disk, ram, state) and what the guest may do with network and shares do not
     * count. */
    int (*fingerprint)(const struct vm_config *c, struct digest *d, struct err *e);
    /* The engine's process. */
    int (*pid)(const struct vm *vm);
    /* Once stopped: whether what ended it lies outside the machine, as another process's signal
     * (which may be the kernel's, for want of memory) or a full disk does. */
    bool (*ended_from_outside)(const struct vm *vm);
    /* Frees a stopped machine, or kills one that is not. */
    void (*free)(struct vm *vm);
    /* The command line, for -v and agentvm plan. */
    int (*describe)(const struct vm_config *c, struct strv *argv, struct err *e);
};

/* Returns the driver of that name, or NULL with an error that lists those that exist. */
const struct vm_driver *vm_driver_find(const char *name, struct err *e);

#endif
