/* Saving a machine, and going on from what was saved: QEMU's migration to and from a file.  The
 * guest's memory is a file already and does not travel (x-ignore-shared), so that a state is small.
 *
 *     save   stop, capabilities, getfd, migrate           -> MIGRATION "completed"  -> saved()
 *     load   capabilities, migrate-incoming               -> MIGRATION "completed"
 *            cont                                         -> RESUME                 -> resumed()
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "vm/qemu_args.h"
#include "vm/qemu_internal.h"

#define STATE_NAME "state" /* what the monitor calls the descriptor */

static void end_save(struct vm *vm, const char *failure)
{
    if (vm->transfer != TRANSFER_SAVING)
        return;
    vm->transfer = TRANSFER_NONE;
    vm->ev.saved(vm->ev.arg, failure);
}

static void fail(struct vm *vm, const char *what)
{
    auto_free char *why = NULL;

    if (vm->transfer == TRANSFER_SAVING) {
        end_save(vm, what);
    } else if (vm->transfer == TRANSFER_LOADING) {
        vm->transfer = TRANSFER_NONE;
        why = mem_printf("QEMU did not take the saved state: %s", what);
        qemu_give_up(vm, why);
    }
}

static void on_reply(void *arg, const cJSON *result, const char *failure)
{
    if (!result)
        fail(arg, failure);
}

static void command(struct vm *vm, const char *name, cJSON *args)
{
    auto_err struct err e = ERR_INIT;

    if (qmp_command(vm->qmp, name, args, on_reply, vm, &e) < 0)
        fail(vm, err_msg(&e));
}

static void add_capability(cJSON *list, const char *name)
{
    cJSON *item = cJSON_CreateObject();

    cJSON_AddStringToObject(item, "capability", name);
    cJSON_AddBoolToObject(item, "state", true);
    cJSON_AddItemToArray(list, item);
}

/* The memory stays in its file, and the end is told as an event. */
static void set_capabilities(struct vm *vm)
{
    cJSON *args = cJSON_CreateObject();
    cJSON *list = cJSON_AddArrayToObject(args, "capabilities");

    add_capability(list, "x-ignore-shared");
    add_capability(list, "events");
    command(vm, "migrate-set-capabilities", args);
}

static void migrate(struct vm *vm, const char *how, const char *uri)
{
    cJSON *args = cJSON_CreateObject();

    cJSON_AddStringToObject(args, "uri", uri);
    command(vm, how, args);
}

void qemu_load(struct vm *vm)
{
    auto_free char *uri = vm->state_by_fd ? mem_printf("fd:%d", QEMU_FD_STATE)
                                          : mem_printf("file:%s", vm->config.state);

    vm->transfer = TRANSFER_LOADING;
    set_capabilities(vm);
    migrate(vm, "migrate-incoming", uri);
}

/* Hands the new file over as the monitor's descriptor STATE_NAME. */
static int pass_state(struct vm *vm, struct err *e)
{
    auto_close int fd = open(vm->saving, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    cJSON *args;

    if (fd < 0)
        return err_errno(e, errno, "cannot create %s", vm->saving);
    args = cJSON_CreateObject();
    cJSON_AddStringToObject(args, "fdname", STATE_NAME);
    return qmp_command_fd(vm->qmp, "getfd", args, fd, on_reply, vm, e);
}

void qemu_save(struct vm *vm, const char *state)
{
    auto_free char *uri =
        vm->state_by_fd ? mem_strdup("fd:" STATE_NAME) : mem_printf("file:%s", state);
    auto_err struct err e = ERR_INIT;

    free(vm->saving);
    vm->saving = mem_strdup(state);
    vm->transfer = TRANSFER_SAVING;
    command(vm, "stop", NULL);
    set_capabilities(vm);
    if (vm->state_by_fd && pass_state(vm, &e) < 0) {
        fail(vm, err_msg(&e));
        return;
    }
    migrate(vm, "migrate", uri);
}

void qemu_on_transfer(struct vm *vm, const cJSON *data)
{
    const char *status = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(data, "status"));

    if (!status || vm->transfer == TRANSFER_NONE)
        return;
    if (strcmp(status, "failed") == 0)
        fail(vm, "the transfer failed");
    else if (strcmp(status, "completed") == 0 && vm->transfer == TRANSFER_SAVING)
        end_save(vm, NULL);
    else if (strcmp(status, "completed") == 0)
        command(vm, "cont", NULL);
}

void qemu_on_resume(struct vm *vm)
{
    if (vm->transfer != TRANSFER_LOADING)
        return;
    vm->transfer = TRANSFER_NONE;
    if (vm->ev.resumed)
        vm->ev.resumed(vm->ev.arg);
}
