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
#include "session/git.h"
#include "session/stage.h"
#include "session/view.h"
#include "state/kept.h"
#include "state/local_image.h"
#include "state/persist.h"
#include "state/record.h"
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
    bool trust, new_vm;
    bool no_setup;     /* --no-setup: make no template */
    bool cold;         /* --cold: boot, whatever is saved */
    bool detach;       /* --detach: the agent runs on when the command has ended */
    bool raw;          /* --raw: the program's output reaches a terminal unfiltered */
    const char *name;  /* --name, or NULL */
    bool reset;        /* --reset: a kept VM is made anew */
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
    struct record record;
    struct session_user user;
    char *project;  /* canonical path */
    int project_fd; /* that folder, whatever becomes of the path; or -1 */
    struct trust_file project_ini, project_runtime;
    struct profile profile;
    struct git_identity git;
    const char *ssh_agent;    /* the socket that is forwarded; borrowed from the environment */
    struct view view;         /* what the VM sees beyond the plain folder, and what it does not */
    struct kept kept;         /* what of the agent outlives the VM */
    struct local_image image; /* what is kept of folders on the VM's disk, with its lock */
    struct persist persist;   /* the kept VM that is this session's, with its lock */
    struct plugin agent;
    struct plugin *tools; /* ntools of them */
    size_t ntools;
    const struct vm_driver *driver;
    struct client_link *link; /* the VM, while there is one */
    enum vm_fault fault;      /* whose it is that the last VM did not start */
    bool starts;              /* once the template is there, a VM with the project's view */
    bool attached;            /* to an agent that a signal for us does not concern */
    bool program_runs;        /* signals go to the program in the guest */
    bool interruptible;       /* Ctrl-C on its terminal is a signal, too, not a byte of its input */
    int signals;              /* how many it got */
    struct loop_timer *abort_timer;
    struct tty tty;
};

/* The first steps of session_init, which depend on nothing; and the guest user. */
void session_start(struct session *s, const struct session_options *o);
int session_find_user(struct session_user *u, struct err *e);
/* Sets up signals, paths and user and sweeps what crashed runs left behind. */
int session_init(struct session *s, const struct session_options *o, struct err *e);
void session_free(struct session *s);

/* The project folder, the profile and the plugins that it names.  What the project's file does
 * beyond narrowing is in profile.project_widens, and not approved yet. */
int session_load_profile(struct session *s, struct err *e);
/* The last step of it: the profile and its plugins, with the project's file if that was read. */
int session_build_profile(struct session *s, struct err *e);
/* The same with the approval, and the driver. */
int session_load(struct session *s, struct err *e);

/* The same without a project: what the user's file and the command line say. */
int session_load_user(struct session *s, struct err *e);

/* Makes sure that the project's agent.ini is approved, where it has to be. */
int session_approve_profile(struct session *s, struct err *e);

/* The user's runtime script: its path, and its text.  Returns 0, or 1 if there is none. */
int session_user_runtime(struct session *s, char **path, struct buf *text, struct err *e);
/* Makes sure that the project's runtime script, if any, is approved. */
int session_approve_runtime(struct session *s, struct err *e);
/* Approves both as they are, after showing what they do. */
int session_trust(struct session *s, struct err *e);

/* What hooks may ask; tty and args only matter to launch. */
struct plugin_context session_context(struct session *s, bool with_project);

/* Plans of all plugins' hooks of a phase: tools first, then the profile's MCP servers, then the
 * agent, which gets all that was offered. */
int session_plan(struct session *s, enum plan_phase phase, struct plan *out, struct err *e);
/* What an agent's auth hook says, given what `agentvm login` keeps for it. */
int session_agent_auth(struct session *s, const struct plugin *agent, struct plan *out,
                       struct err *e);
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

/* Whether the saved machine that a start resumes is known before anything is started: its key
 * follows from the layers below, which must exist, and from an accelerator that was tried.  False:
 * it is not, as with --cold.  plan is session_provision_plan's. */
bool template_find_warm(struct session *s, const struct plan *plan,
                        const struct template_keys *keys, char key[DIGEST_HEX + 1]);

/* Free space that making a layer asks for.  Measured: 1.3 GiB for Claude Code and Node.js, agents
 * differ; and 0.4 GiB of what Claude Code's guest touches until it is saved. */
enum { TEMPLATE_PROVISION_GIB = 4, TEMPLATE_WARM_GIB = 2 };

/* Files of a provisioned and of a warm layer. */
#define TEMPLATE_DISK PATHS_DISK
/* Files of a warm layer: the saved machine's memory and devices. */
#define TEMPLATE_RAM "ram"
#define TEMPLATE_STATE "state"
/* In the draft of a warm layer: the folder that the machine has mounted while it is made ready. */
#define TEMPLATE_SHARE "share"

/* A template in use. */
struct template
{
    struct layer base;
    struct layer provisioned; /* empty if the base image is enough */
    struct layer warm;        /* the saved machine; empty if starts must boot */
    char *initrd;
    enum vm_accel accel;
};

#define TEMPLATE_INIT \
    ((struct template){.base = LAYER_INIT, .provisioned = LAYER_INIT, .warm = LAYER_INIT})
#define auto_template __attribute__((cleanup(template_free)))

/* Finds the template, making what is missing of it; plan is session_provision_plan's.  Without a
 * warm layer it is good, too. */
int template_prepare(struct session *s, const struct plan *plan, struct template *out,
                     struct err *e);
/* Finds the layers that a kept VM's disk is based on. */
int template_reuse(struct session *s, const struct persist *v, struct template *out, struct err *e);
void template_free(struct template *t);
/* The text of a layer's layer.json; the caller frees it.  parent, agent and seal may be NULL. */
char *template_json(const char *kind, const char *parent, const char *agent, const char *seal);
/* Called by store_begin while another agentvm makes the same layer; arg is struct stages. */
void template_say_waiting(void *arg);

/* warm.c: finds the saved machine or makes it.  Returns 0, without t->warm where it cannot be made
 * (which is told), or -1 when interrupted. */
int warm_prepare(struct session *s, struct template *t, const struct plan *plan, struct err *e);
/* The key of the layer; t has the layers below. */
int warm_key(struct session *s, const struct template *t, const struct plan *plan,
             char key[DIGEST_HEX + 1], struct err *e);
/* Whether a warm layer's files are what was saved. */
int warm_check(const struct layer *warm, struct err *e);
/* Told how the last start from the saved machine ended: returns whether the layer may be used
 * again. It is no good if its engine came up and the guest failed, if it was late twice in a row,
 * or if its files were changed; whatever else is wrong, such as a full disk or a signal that ended
 * engine or supervisor, is not its fault. */
bool warm_is_good(struct session *s, const struct layer *warm, bool came_up);

/* What a machine is started for. */
enum machine_purpose {
    MACHINE_BOOT,      /* a session's VM that boots */
    MACHINE_RESUME,    /* a session's VM that goes on from t->warm */
    MACHINE_PROVISION, /* its disk becomes a layer */
    MACHINE_SAVE,      /* the machine becomes a layer */
};

/* What a start from the template would order; owns the strings that the order borrows. */
struct machine {
    struct vm_order order;
    struct port_policy ports;
    char *kernel, *rootfs, *disk, *hostname;
    char *warm_disk, *ram, *state, *template_disk, *share, *share_path;
    char *kept_disk;
    int locks[5]; /* and the project's folder */
};

#define auto_machine __attribute__((cleanup(machine_free)))

/* dir: the draft of the layer that is made, for the last two purposes; else NULL. */
void machine_plan(struct session *s, const struct template *t, enum machine_purpose purpose,
                  const char *dir, struct machine *out);
void machine_free(struct machine *m);
/* Finds out what the VM sees of the host.  Before each start, as late as can be: the project may
 * change while the template is made. */
int session_view(struct session *s, struct err *e);
/* Before attaching to a VM that runs: it has what it was started with.  What the command line takes
 * away it could not take away any more, which is an error; another size of it is a warning. */
int session_check_restrictions(const struct session *s, const char *id, struct err *e);
/* Starts a VM from the template; s->link is ready after that. */
int session_start_vm(struct session *s, const struct template *t, enum machine_purpose purpose,
                     const char *dir, struct err *e);
/* Ends the link, and the VM if the link created it. e may be NULL where another error is on its
 * way. */
int session_stop_vm(struct session *s, struct err *e);

/* Runs a program in the VM; signals go to it meanwhile.  As guest_exec. */
int session_program(struct session *s, const struct guest_program *p, const struct guest_stdio *io,
                    struct exit_status *status, struct err *e);
/* Runs a program in the VM with our own standard streams.  Returns its exit code, or -1. */
int session_exec(struct session *s, const struct guest_program *p, struct err *e);
/* The line of the run's record, see record_format; the caller frees it. */
char *session_record(const struct session *s, int code, const struct err *e);
/* Appends it to the records.  Nothing happens where the session has no kind or got no folder; what
 * fails is told and harms nothing. */
void session_write_record(const struct session *s, int code, const struct err *e);
/* Finds the host's identity for git, if the profile wants it; hands it to the VM. */
void session_find_git(struct session *s);
int session_put_git(struct session *s, struct err *e);
/* Finds the host's ssh-agent for a VM that is to be started, if the profile wants it; that there is
 * none is an error. */
int session_find_ssh_agent(struct session *s, struct err *e);
/* Environment of the session: the profile's, and the terminal's where there is one. */
void session_environment(struct session *s, struct strv *env);
bool session_has_tty(void);
/* Whether the session's program gets a terminal; a detached one has one of its own, and our output
 * may be a pipe that gets the VM's id. */
bool session_program_tty(const struct session *s);

/* Fails if the command of one of the profile's MCP servers is no program in the VM; as says in
 * which folder, as which user and with which environment the agent would look for it. */
int session_check_servers(struct session *s, const struct guest_program *as, struct err *e);

/* Whether this session is for a kept VM.  The name is good, or an error is made. */
bool persist_is_wanted(const struct session *s);
int persist_check_options(struct session *s, struct err *e);
/* Starts the kept VM, making it if there is none.  Returns 0; 1 if it runs already, and s->link is
 * attached to it, which is an error for a session that may not: it runs an agent; or -1. */
int persist_start(struct session *s, struct template *t, const struct plan *plan, bool may_attach,
                  struct err *e);

/* Finds the kept VM that persist_start would start; *old: it was made from an older template than
 * the profile's.  Returns 0; 1 if it would be made; or -1. */
int persist_look(struct session *s, const struct plan *plan, struct persist *out, bool *old,
                 struct err *e);

/* As persist_remove, for a VM that may be about to end; or with its id, for one that another
 * agentvm may be about to start, which is stopped as soon as it can be. */
int persist_remove_stopped(struct session *s, const char *dir, const char *id, struct err *e);

/* Starts a VM, runs what body says, ends the VM.  Returns what body does, or -1. */
int session_in_new_vm(struct session *s, int (*body)(struct session *, void *, struct err *),
                      void *arg, struct err *e);

/* Tells which account a session bills, where there are several. */
void session_tell_accounts(const struct plan *auth);

/* The commands' stories.  Each returns the exit code for the shell, or -1 with an error. */
int session_run(struct session *s, struct err *e);
int session_exec_command(struct session *s, char *const *argv, struct err *e);
int session_setup(struct session *s, struct err *e);
int session_login(struct session *s, struct err *e);
int session_logout(struct session *s, struct err *e);

#endif
