/* The VMs of this user, as folders below paths.run; locks tell which are alive. */
#ifndef AGENTVM_STATE_VMS_H
#define AGENTVM_STATE_VMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>

#include "base/err.h"
#include "base/str.h"
#include "guest/ports.h"
#include "model/paths.h"

struct vm_info {
    char *id;
    char *agent;     /* may be NULL */
    char *project;   /* may be NULL */
    int supervisor;  /* pid */
    int engine;      /* pid */
    int64_t started; /* seconds since the epoch */
    unsigned cpus;
    uint64_t memory;         /* bytes */
    char *name;              /* may be NULL */
    bool kept;               /* its disk outlives it */
    uint64_t disk;           /* bytes, as the guest sees it */
    struct port_pair *ports; /* forwarded ones, nports of them */
    size_t nports;
    bool detached;        /* the agent runs on without a client */
    bool ssh_agent;       /* the host's is forwarded to it */
    struct strv writable; /* what else of the host it can write: canonical paths */
};

struct vm_infos {
    struct vm_info *v;
    size_t n;
};

#define auto_vm_infos __attribute__((cleanup(vm_infos_free)))

/* Reserves an id: its folders and its lock (returned, held by whoever inherits it).  A new one, or
 * the one that id holds, which nobody else may be about to start. */
int vms_reserve(const struct paths *p, char id[9], int *lock, struct err *e);
/* Locks the folder of disks, where nobody else may make or remove any meanwhile; closing the
 * descriptor unlocks it. */
int vms_lock(const struct paths *p, struct err *e);
/* Publishes what `agentvm list` shows. */
int vms_publish(const struct paths *p, const struct vm_info *info, struct err *e);
/* Removes the folders of a VM. */
void vms_remove(const struct paths *p, const char *id);
/* Those that are alive and published; project NULL: all. */
int vms_list(const struct paths *p, const char *project, struct vm_infos *out, struct err *e);
void vm_info_free(struct vm_info *i);
void vm_infos_free(struct vm_infos *v);
/* [{"guest", "host"}, ...], as all our JSON has forwarded ports. */
cJSON *ports_to_json(const struct port_pair *pairs, size_t n);
/* Whether the VM lives that a folder of disks is of. */
bool vms_is_alive(const struct paths *p, const char *id);
/* Removes what dead VMs left behind; what they made in projects is local_sweep's. */
void vms_sweep(const struct paths *p);
/* Whether a word names the VM: by its id, or by its name in the project's folder. */
bool vm_answers(const struct vm_info *v, const char *word, const char *project);
/* Whether s has the form of an id: 8 hex digits. */
bool vms_is_id(const char *s);

#endif
