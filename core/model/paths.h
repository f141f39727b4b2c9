/* Every name that agentvm uses on the host's disk.
 *
 *   data     $XDG_DATA_HOME/agentvm      (~/.local/share/agentvm)
 *     layers/<key>/        complete layers: base images, provisioned disks, warm states
 *     layers/tmp.XXXXXX/   layers being made; swept when nobody holds their lock
 *     vms/<id>/            what a running VM keeps on disk rather than in run: its overlay, which
 *                          folders it has in the project (state/local)
 *     vms/<sha256 of a project path>/<name>/   a kept VM: what it is, its disk, its lock
 *     trust/<sha256 of a project path>   what the user approved there
 *     sessions/<sha256 of a project path>/<agent>/   what of its agent outlives the VMs
 *     guest-local/<sha256 of a project path>/   what its VMs keep of [guest-local] folders
 *     logins/<agent>       what the user gave at `agentvm login` (model/login)
 *     logs/                logs of provisioning and of VMs' consoles
 *     runs.jsonl           records of runs, and runs.1.jsonl the older ones
 *   cache    $XDG_CACHE_HOME/agentvm     (~/.cache/agentvm): the accelerator probe's result, QEMU's
 *            version, initial RAM disks
 *   config   $XDG_CONFIG_HOME/agentvm    (~/.config/agentvm): agent.ini, setup.sh, runtime.sh,
 *            plugins/; never created
 *   run      $XDG_RUNTIME_DIR/agentvm    (/tmp/agentvm-<uid> where that is unset or not usable)
 *     <id>/lock, <id>/sock, <id>/info.json    one folder per running VM
 *
 * All but config are created 0700 when first asked for.  Each must be a folder of the user's that
 * nobody else can write.  Variables that do not hold an absolute path are ignored, as the XDG Base
 * Directory Specification has it.
 */
#ifndef AGENTVM_MODEL_PATHS_H
#define AGENTVM_MODEL_PATHS_H

#include "base/err.h"
#include "base/str.h"
#include "model/finding.h"

struct paths {
    char *home; /* $HOME where that is a folder of the user's, else as the password database says */
    char *data;
    char *layers;
    char *vms;
    char *trust;
    char *sessions;
    char *logins;
    char *logs;
    char *cache;
    char *config;
    char *run;
    char *plugins_user;   /* config/plugins */
    char *plugins_system; /* beside the program when run from the build tree, else
                             LIBDIR/agentvm/plugins */
    char *guestd;         /* the guest daemon's binary, found beside the plugins' folder */
};

/* Resolves and creates the folders.  Fails naming the folder and what to do (not writable, owned
 * by somebody else, a socket path that would be too long). */
int paths_init(struct paths *p, struct err *e);
/* The same for `agentvm doctor`: goes on after a failure, so that all are found.  Members are NULL
 * only where the home folder is not known; a folder that is named may not be usable. */
void paths_examine(struct paths *p, struct findings *f);
void paths_free(struct paths *p);

/* Names inside the folders above. */
#define PATHS_USER_INI "agent.ini"      /* below config */
#define PATHS_USER_SETUP "setup.sh"     /* below config */
#define PATHS_USER_RUNTIME "runtime.sh" /* below config */
#define PATHS_PROJECT_INI "agent.ini"   /* below the project folder */
#define PATHS_PROJECT_RUNTIME ".agentvm.runtime.sh"
#define PATHS_VM_LOCK "lock" /* below run/<id> */
#define PATHS_VM_SOCK "sock"
#define PATHS_VM_INFO "info.json"
#define PATHS_VM_EMPTY "empty"
#define PATHS_VM_OVERLAY "overlay.qcow2" /* below data/vms/<id> */
#define PATHS_VM_FOLDERS "folders.json"
#define PATHS_VMS_LOCK "lock"        /* below data/vms: a byte of it for each project */
#define PATHS_LOCAL_IMAGE "disk.img" /* below guest-local/<sha256> */
#define PATHS_LOCAL_NEW "disk.new"
#define PATHS_LOCAL_LOCK "lock"
#define PATHS_LOCAL_STORE "store.json"
#define PATHS_TRUST_LOCK "lock"           /* below trust */
#define PATHS_SESSIONS_STORE "store.json" /* below sessions/<sha256>/<agent> */
#define PATHS_SESSIONS_FILES "kept.d"
#define PATHS_KEPT_VM_JSON "vm.json" /* below vms/<sha256>/<name> */
#define PATHS_KEPT_VM_NEW "tmp.new"  /* below vms: one that is being made, or removed */
#define PATHS_DISK "disk.qcow2"      /* of a layer, of a kept VM */
#define PATHS_RUNS "runs.jsonl"      /* below data */
#define PATHS_RUNS_OLD "runs.1.jsonl"
#define PATHS_ACCEL "accel.json"         /* below cache */
#define PATHS_VM_NO_PROJECT "no-project" /* shared in place of a project, where there is none */
#define PATHS_ACCEL_LOCK "accel.lock"
#define PATHS_ACCEL_CONSOLE "accel.console"
#define PATHS_ACCEL_LOG "accel.log"
#define PATHS_QEMU "qemu.version" /* what QEMU's --version said, and of which binary */
#define PATHS_INITRD_PREFIX "initrd-"
/* Below cache; the base layer's key, and the digest of what else it was made of. */
#define PATHS_INITRD PATHS_INITRD_PREFIX "%s-%.16s.img"

/* run/<id>/name, and data/vms/<id>/name for what may be large; the caller frees them.  An id is 8
 * hex digits: the length of a socket's path was checked with that. */
char *paths_vm(const struct paths *p, const char *id, const char *name);
char *paths_vm_disk(const struct paths *p, const char *id, const char *name);
/* The folder of a project's kept VM, or ("") that of all of them; the caller frees it. */
char *paths_kept_vm(const struct paths *p, const char *project, const char *name);
/* The store of what of the agent outlives the VMs of a project, or ("") the folder of all agents'
 * stores of it; the caller frees it. */
char *paths_sessions(const struct paths *p, const char *project, const char *agent);

/* Where what VMs keep of a project's [guest-local] folders is, or ("") the folder of all projects';
 * the caller frees it. */
char *paths_local(const struct paths *p, const char *project);

/* Canonical path of the project folder that `folder` names (NULL: the working directory); the
 * caller frees it.  Refuses, with the reason and what to do: what is not a folder, "/", /tmp as a
 * whole, home folders and what is above them, the system's folders, agentvm's own folders and
 * what contains or is inside them, the running program's plugins likewise, ~/.ssh, ~/.gnupg and
 * the like.  Any bytes in a name are fine. */
int paths_project(const struct paths *p, const char *folder, char **out, struct err *e);
/* Opens the same folder, with no right to read it.  It is an error if it is not at the path that
 * was found: a VM that has a folder above it can put a symlink in its place at any time. */
int paths_open_project(const char *folder, const char *path, int *out, struct err *e);
/* Whether a file or folder (a canonical path) may be mounted in a VM, in the place that it has on
 * the host.  Refused as above, but for what is private, which is the user's choice; and what is
 * below the system's folders may be read. */
int paths_mount(const struct paths *p, const char *path, bool writable, struct err *e);

#endif
