/* The supervisor: a process that owns one VM and ends with it. */
#ifndef AGENTVM_SUPERVISOR_SUPERVISOR_H
#define AGENTVM_SUPERVISOR_SUPERVISOR_H

#include "base/err.h"
#include "guest/request.h"
#include "model/paths.h"
#include "model/ports.h"
#include "proc/spawn.h"
#include "vm/vm.h"

/* What to start; strings are borrowed until supervisor_start returns (the supervisor is a fork and
 * has its own copies). */
struct vm_order {
    const struct paths *paths;
    const struct vm_driver *driver;
    struct vm_config config;
    struct guest_identity identity;
    unsigned boot_timeout; /* seconds from start to guestd's hello, where the machine boots */
    uint64_t disk_size;    /* bytes; of the writable disk on top of config.disks */
    /* NULL: the writable disk is thrown away.  Else it is this new file, the root file system is
     * frozen at the end, and the VM is not listed: it makes a template. */
    const char *template_disk;
    /* With template_disk and config.ram: at the end the machine is saved, its devices into this new
     * file, rather than its disk frozen.  Else NULL. */
    const char *template_state;
    const struct port_policy *ports; /* which of the guest's are forwarded; NULL: none */
    const char *ssh_agent;           /* socket of this host's that the guest may use, or NULL */
    /* The disk of a kept VM, in place of one that is thrown away: programs may end and the root
     * file system is frozen at the end; or NULL. */
    const char *kept_disk;
    const char *id;      /* the VM's, or NULL: a new one */
    const char *name;    /* what the user calls it, or NULL */
    const char *agent;   /* for `agentvm list`, or NULL */
    const int *keep_fds; /* locks of layers, held while the VM lives */
    size_t nkeep_fds;
};

/* Starts a supervisor of a VM whose id is written to id. *sock gets the creator's connection, which
 * the VM's life hangs on: when it closes, however that happens, the VM is shut down and everything
 * of it removed. */
int supervisor_start(const struct vm_order *order, char id[9], struct child *child, int *sock,
                     struct err *e);

#endif
