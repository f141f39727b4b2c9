/* The story of a command: profile, plans, template, clone, guest, agent, clean-up. */
#ifndef AGENTVM_SESSION_SESSION_H
#define AGENTVM_SESSION_SESSION_H

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"
#include "image/base_image.h"
#include "image/store.h"
#include "model/paths.h"
#include "model/plan.h"
#include "model/profile.h"
#include "model/trust.h"
#include "plugin/plugin.h"
#include "proc/task.h"
#include "proc/tty.h"
#include "session/client.h"
#include "session/stage.h"
#include "vm/vm.h"

/* A setting from the command line. */
struct session_flag {
    const char *option, *section, *key, *value;
};

enum { SESSION_FLAGS_MAX = 64 };

/* What the command line says; borrowed strings. */
struct session_options {
    struct session_flag flags[SESSION_FLAGS_MAX];
    size_t nflags;
    const char *profile; /* --profile: a name in the user's agent.ini, or another file; or NULL */
    const char *project; /* --project, or NULL: the working directory */
    const char *timing;  /* --timing: a file, "-" for stderr, or NULL */
    const char *vm;      /* --vm, or NULL */
    bool trust, offline, new_vm;
    char *const *args; /* NULL-terminated; the agent's or the command's */
};

/* The guest user, mirrored from the host. */
struct session_user {
    char *name, *group, *home, *shell;
    unsigned uid, gid;
};

struct session {
    struct session_options options;
    struct paths paths;
    struct task_env task;
    struct stages stages;
    struct session_user user;
    char *project; /* canonical path */
    struct trust_file project_ini, project_runtime;
    struct profile profile;
    struct plugin agent;
    struct plugin *tools; /* ntools of them */
    size_t ntools;
    const struct vm_driver *driver;
    struct client_link *link; /* the VM, while there is one */
    bool program_runs;        /* signals go to the program in the guest */
    int signals;              /* how many it got */
    struct loop_timer *abort_timer;
    struct tty tty;
};

/* Sets up signals, paths and user and sweeps what crashed runs left behind. */
int session_init(struct session *s, const struct session_options *o, struct err *e);
void session_free(struct session *s);

/* The project folder, the profile and the plugins that it names.  What the project's file does
 * beyond narrowing is in profile.project_widens, and not approved yet. */
int session_load_profile(struct session *s, struct err *e);
/* The same with the approval, and the driver. */
int session_load(struct session *s, struct err *e);

/* Makes sure that the project's agent.ini is approved, where it has to be. */
int session_approve_profile(struct session *s, struct err *e);

/* Makes sure that the project's runtime script, if any, is approved. */
int session_approve_runtime(struct session *s, struct err *e);

/* What hooks may ask; tty and args only matter to launch. */
struct plugin_context session_context(struct session *s, bool with_project);

/* Plans of all plugins' hooks of a phase: tools first, then the profile's MCP servers, then the
 * agent, which gets all that was offered. */
int session_plan(struct session *s, enum plan_phase phase, struct plan *out, struct err *e);
/* The provision plan with the core's own steps. */
int session_provision_plan(struct session *s, struct plan *out, struct err *e);

/* Keys of the layers that the profile asks for; provisioned is "" if the base image is enough. */
struct template_keys {
    char base[DIGEST_HEX + 1];
    char provisioned[DIGEST_HEX + 1];
};

/* Every package of the image: the standard ones or what replaces them, the profile's, the plan's.
 */
void template_packages(struct session *s, const struct plan *provision, struct strv *out);
int template_keys(struct session *s, const struct plan *provision, struct template_keys *out,
                  struct err *e);

#define TEMPLATE_DISK "disk.qcow2" /* in a provisioned layer */

/* A template in use. */
struct template
{
    struct layer base, provisioned; /* the latter may be empty */
    char *initrd;
    enum vm_accel accel;
};

#define TEMPLATE_INIT ((struct template){.base = LAYER_INIT, .provisioned = LAYER_INIT})
#define auto_template __attribute__((cleanup(template_free)))

/* Finds the template, making what is missing of it. */
int template_prepare(struct session *s, struct template *out, struct err *e);
void template_free(struct template *t);

/* What a start from the template would order; owns the strings that the order borrows. */
struct machine {
    struct vm_order order;
    char *kernel, *rootfs, *disk, *hostname;
    int locks[2];
};

#define auto_machine __attribute__((cleanup(machine_free)))

/* template_disk as in vm_order. */
void machine_plan(struct session *s, const struct template *t, const char *template_disk,
                  struct machine *out);
void machine_free(struct machine *m);
/* Starts a VM from the template; s->link is ready after that. */
int session_start_vm(struct session *s, const struct template *t, const char *template_disk,
                     struct err *e);
/* Ends the link, and the VM if the link created it. e may be NULL where another error is on its
 * way. */
int session_stop_vm(struct session *s, struct err *e);

/* Runs a program in the VM; signals go to it meanwhile.  As guest_exec. */
int session_program(struct session *s, const struct guest_program *p, const struct guest_stdio *io,
                    struct exit_status *status, struct err *e);
/* Runs a program in the VM with our own standard streams.  Returns its exit code, or -1. */
int session_exec(struct session *s, const struct guest_program *p, struct err *e);
/* Environment of the session: the profile's, and the terminal's where there is one. */
void session_environment(struct session *s, struct strv *env);
bool session_has_tty(void);

/* Fails if the command of one of the profile's MCP servers is no program in the VM; as says in
 * which folder, as which user and with which environment the agent would look for it. */
int session_check_servers(struct session *s, const struct guest_program *as, struct err *e);

/* The commands' stories.  Each returns the exit code for the shell, or -1 with an error. */
int session_run(struct session *s, struct err *e);
int session_exec_command(struct session *s, char *const *argv, struct err *e);
int session_setup(struct session *s, struct err *e);

#endif
