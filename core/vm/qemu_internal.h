/* What the parts of the QEMU driver share:
 *
 *   qemu.c         the process and its end
 *   qemu_state.c   saving a machine, and going on from what was saved
 */
#ifndef AGENTVM_VM_QEMU_INTERNAL_H
#define AGENTVM_VM_QEMU_INTERNAL_H

#include "proc/spawn.h"
#include "vm/qmp.h"
#include "vm/vm.h"

enum qemu_step {
    STEP_RUNNING,
    STEP_ASKED,
    STEP_TERMINATING,
    STEP_KILLING,
};

enum qemu_transfer {
    TRANSFER_NONE,
    TRANSFER_SAVING,
    TRANSFER_LOADING,
};

struct vm {
    struct vm_config config;
    struct vm_events ev;
    struct loop *loop;
    struct child child;
    struct loop_watch *exit_watch;
    struct loop_timer *timer;
    struct qmp *qmp;
    enum qemu_step step;
    bool asked;       /* by qemu_stop or for the reason in why */
    bool outside;     /* what ended it lies outside the machine */
    bool state_by_fd; /* see qemu_takes_state_by_fd */
    enum qemu_transfer transfer;
    char *saving;   /* the file that a state is saved to */
    char *shutdown; /* reason of QEMU's SHUTDOWN event */
    struct err why; /* the first thing that went wrong */
};

/* Ends a machine that went wrong; why is one line. */
void qemu_give_up(struct vm *vm, const char *why);

/* Loads config.state; `resumed` comes, or the machine ends. */
void qemu_load(struct vm *vm);
/* The driver's save. */
void qemu_save(struct vm *vm, const char *state);
/* QEMU's MIGRATION and RESUME events. */
void qemu_on_transfer(struct vm *vm, const cJSON *data);
void qemu_on_resume(struct vm *vm);

#endif
