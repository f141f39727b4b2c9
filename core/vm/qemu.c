/* Theory of operation.  QEMU is a child with two inherited sockets: QMP and the guest channel.  The
 * loop watches its pidfd and its QMP socket.  The end of the process is the only end: whatever goes
 * wrong (no answer, a protocol error, a full disk, the user's wish) starts the ladder
 *
 *     RUNNING -> ASKED (QMP quit) -> TERMINATING (SIGTERM) -> KILLING (SIGKILL)
 *
 * with a timer for each step, and `stopped` is called when the pidfd becomes readable.
 */
#include "vm/qemu.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "proc/sock.h"
#include "vm/fingerprint.h"
#include "vm/qemu_args.h"
#include "vm/qemu_end.h"
#include "vm/qemu_internal.h"
#include "vm/qemu_version.h"

enum {
    ANSWER_MS = 30000, /* from spawn to QMP; usually 0.1 s, seconds on a loaded machine */
    STEP_MS = 2000,    /* each step of the ladder */
};

static void climb(struct vm *vm);

static void on_timer(void *arg)
{
    struct vm *vm = arg;

    vm->timer = NULL;
    if (vm->step == STEP_RUNNING)
        err_set(&vm->why, "QEMU did not answer within %d s", ANSWER_MS / 1000);
    else if (!vm->asked)
        err_set(&vm->why, "QEMU closed its control connection and did not end");
    climb(vm);
}

static void arm(struct vm *vm, int ms)
{
    loop_untimer(vm->timer);
    vm->timer = loop_timer(vm->loop, ms, on_timer, vm);
}

/* Takes the next step of the ladder. */
static void climb(struct vm *vm)
{
    vm->asked = true;
    switch (vm->step) {
    case STEP_RUNNING:
        vm->step = STEP_ASKED;
        if (qmp_command(vm->qmp, "quit", NULL, NULL, NULL, NULL) < 0) {
            climb(vm);
            return;
        }
        break;
    case STEP_ASKED:
        vm->step = STEP_TERMINATING;
        spawn_signal(&vm->child, SIGTERM);
        break;
    case STEP_TERMINATING:
        vm->step = STEP_KILLING;
        spawn_signal(&vm->child, SIGKILL);
        loop_untimer(vm->timer);
        vm->timer = NULL;
        return;
    case STEP_KILLING:
        return;
    }
    arm(vm, STEP_MS);
}

void qemu_give_up(struct vm *vm, const char *why)
{
    if (vm->step != STEP_RUNNING)
        return;
    err_set(&vm->why, "%s", why);
    climb(vm);
}

static void qemu_stop(struct vm *vm)
{
    if (vm->step == STEP_RUNNING && vm->child.pid > 0)
        climb(vm);
}

static void on_ready(void *arg)
{
    struct vm *vm = arg;

    if (vm->step != STEP_RUNNING)
        return;
    loop_untimer(vm->timer);
    vm->timer = NULL;
    if (vm->config.state)
        qemu_load(vm);
    if (vm->step == STEP_RUNNING && vm->ev.started)
        vm->ev.started(vm->ev.arg); /* may free it */
}

/* QEMU pauses a guest whose disk write fails for lack of space; without this it would hang. */
static void on_disk_error(struct vm *vm, const cJSON *data)
{
    const char *reason = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(data, "reason"));
    const char *action = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(data, "action"));
    auto_free char *shown = str_printable(reason ? reason : "", reason ? strlen(reason) : 0);

    if (!action || strcmp(action, "stop") != 0) {
        log_warn("the VM's disk: %s", shown);
        return;
    }
    if (vm->step != STEP_RUNNING)
        return;
    vm->outside = true;
    err_set(&vm->why, "the VM's disk could not be written: %s", shown);
    if (vm->config.ndisks > 0)
        err_advise(&vm->why, "free some space on the file system of %s",
                   vm->config.disks[vm->config.ndisks - 1].path);
    climb(vm);
}

static void on_port(struct vm *vm, const cJSON *data)
{
    const char *id = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(data, "id"));
    bool open = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(data, "open"));

    /* Not while the process is known to be gone: `stopped` says all. */
    if (id && strcmp(id, QEMU_CHANNEL_ID) == 0 && vm->exit_watch && vm->ev.channel_opened)
        vm->ev.channel_opened(vm->ev.arg, open);
}

static void on_event(void *arg, const char *name, const cJSON *data)
{
    struct vm *vm = arg;

    if (strcmp(name, "VSERPORT_CHANGE") == 0) {
        on_port(vm, data);
    } else if (strcmp(name, "BLOCK_IO_ERROR") == 0) {
        on_disk_error(vm, data);
    } else if (strcmp(name, "MIGRATION") == 0) {
        qemu_on_transfer(vm, data);
    } else if (strcmp(name, "RESUME") == 0) {
        qemu_on_resume(vm);
    } else if (strcmp(name, "SHUTDOWN") == 0) {
        const char *reason = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(data, "reason"));

        free(vm->shutdown);
        vm->shutdown = mem_strdup(reason);
    }
}

/* Usually QEMU's end, which the pidfd tells; a QEMU that cannot be talked to must end too. */
static void on_closed(void *arg, const struct err *why)
{
    struct vm *vm = arg;

    if (vm->step != STEP_RUNNING)
        return;
    if (why->msg) {
        err_set(&vm->why, "%s", why->msg);
        climb(vm);
        return;
    }
    vm->step = STEP_ASKED;
    arm(vm, STEP_MS);
}

static void on_process_end(void *arg, short events)
{
    struct vm *vm = arg;
    struct qemu_end end = {.asked = vm->asked,
                           .killed = vm->step == STEP_KILLING,
                           .stderr_log = vm->config.stderr_log,
                           .console = vm->config.console};

    (void)events;
    loop_unwatch(vm->exit_watch);
    vm->exit_watch = NULL;
    qmp_read(vm->qmp); /* its last events: they say why */
    loop_untimer(vm->timer);
    vm->timer = NULL;
    spawn_reap(&vm->child, &end.status, NULL);
    end.shutdown = vm->shutdown;
    vm->outside = vm->outside || qemu_end_is_foreign(&end);
    qemu_end_explain(&end, &vm->why);
    if (vm->ev.stopped)
        vm->ev.stopped(vm->ev.arg, &vm->why);
}

/* Opens a log, emptied; readable by the user only, as a console may show anything. */
static int open_log(const char *path, int *fd, struct err *e)
{
    *fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    return *fd < 0 ? err_errno(e, errno, "cannot create log %s", path) : 0;
}

/* QEMU needs nothing from the environment; what is in ours may be secret. */
static void make_env(struct strv *env)
{
    static const char *const kept[] = {"PATH", "TMPDIR"};

    for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
        const char *value = getenv(kept[i]);

        if (value)
            strv_setenv(env, kept[i], value);
    }
}

/* Opens the saved state if QEMU is to inherit it. */
static int open_state(const struct vm_config *c, const struct qemu_info *q, int *fd, struct err *e)
{
    if (!c->state || !qemu_takes_state_by_fd(q))
        return 0;
    *fd = open(c->state, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return *fd < 0 ? err_errno(e, errno, "cannot open %s", c->state) : 0;
}

static int spawn_qemu(const struct vm_config *c, const struct qemu_info *q, int qmp, int channel,
                      struct child *child, struct err *e)
{
    auto_strv struct strv argv = STRV_INIT, env = STRV_INIT;
    auto_close int log = -1, console = -1, state = -1;
    struct spawn_request r = {.death_signal = SIGKILL};
    struct jail jail = {c->share, c->scratch, c->binds, c->nbinds,
                        c->share_fd > 0 ? QEMU_FD_SHARE : 0};
    struct vm_config args = *c;
    auto_free char *share = mem_printf("/proc/self/fd/%d", QEMU_FD_SHARE);

    if (c->share_fd > 0)
        args.share = share;
    if (qemu_args(&args, q, &argv, e) < 0 || open_state(c, q, &state, e) < 0)
        return -1;
    r.argv = argv.v;

    strv_setenv(&env, "LC_ALL", "C");
    make_env(&env);
    r.env = env.v;
    if (c->console && open_log(c->console, &console, e) < 0) /* QEMU opens it by name */
        return -1;
    if (c->stderr_log) {
        if (open_log(c->stderr_log, &log, e) < 0)
            return -1;
        spawn_pass_fd(&r, log, STDOUT_FILENO);
        spawn_pass_fd(&r, log, STDERR_FILENO);
    }
    spawn_pass_fd(&r, qmp, QEMU_FD_QMP);
    spawn_pass_fd(&r, channel, QEMU_FD_CHANNEL);
    if (state >= 0)
        spawn_pass_fd(&r, state, QEMU_FD_STATE);
    if (c->held > 0)
        spawn_pass_fd(&r, c->held, QEMU_FD_HELD);
    if (c->share_fd > 0)
        spawn_pass_fd(&r, c->share_fd, QEMU_FD_SHARE);
    if (c->nbinds > 0) {
        r.jail = &jail;
        r.cwd = "/"; /* the folder that we are in may be a way around */
    }
    if (spawn_start(&r, child, e) < 0)
        return err_exit(e, EXIT_AGENTVM);
    return 0;
}

static int open_pair(int *ours, int *theirs, struct err *e)
{
    int fds[2];

    if (sock_pair(fds, e) < 0)
        return -1;
    *ours = fds[0];
    *theirs = fds[1];
    return 0;
}

static int qemu_describe(const struct vm_config *c, struct strv *argv, struct err *e)
{
    auto_qemu_info struct qemu_info q = QEMU_INFO_INIT;

    if (qemu_info_find(c->cache, &q, e) < 0)
        return -1;
    return qemu_args(c, &q, argv, e);
}

static struct vm *new_vm(const struct vm_config *c, struct loop *l, const struct vm_events *ev,
                         struct child child, int qmp, struct err *e)
{
    struct vm *vm = mem_zalloc(1, sizeof(*vm));
    struct qmp_events qmp_ev = {on_ready, on_event, on_closed, vm};

    *vm = (struct vm){.config = *c, .ev = *ev, .loop = l, .child = child};
    vm->qmp = qmp_new(l, qmp, &qmp_ev, e);
    if (!vm->qmp) {
        spawn_kill(&vm->child, 0);
        free(vm);
        return NULL;
    }
    vm->exit_watch = loop_watch(l, vm->child.pidfd, POLLIN, on_process_end, vm);
    arm(vm, ANSWER_MS);
    return vm;
}

static struct vm *qemu_start(const struct vm_config *c, struct loop *l, const struct vm_events *ev,
                             int *channel, struct err *e)
{
    auto_qemu_info struct qemu_info q = QEMU_INFO_INIT;
    auto_close int qmp = -1, qmp_child = -1, port = -1, port_child = -1;
    struct child child = CHILD_INIT;
    struct vm *vm;

    if (qemu_info_find(c->cache, &q, e) < 0 || open_pair(&qmp, &qmp_child, e) < 0 ||
        open_pair(&port, &port_child, e) < 0 || file_set_nonblock(port, true, e) < 0 ||
        spawn_qemu(c, &q, qmp_child, port_child, &child, e) < 0)
        return NULL;
    vm = new_vm(c, l, ev, child, steal_fd(&qmp), e);
    if (!vm)
        return NULL;
    vm->state_by_fd = qemu_takes_state_by_fd(&q);
    *channel = steal_fd(&port);
    return vm;
}

static int qemu_check(const char *cache, struct err *e)
{
    auto_qemu_info struct qemu_info q = QEMU_INFO_INIT;

    return qemu_info_find(cache, &q, e);
}

/* The command line with the paths of single machines blanked. */
static int qemu_fingerprint(const struct vm_config *c, struct digest *d, struct err *e)
{
    auto_qemu_info struct qemu_info q = QEMU_INFO_INIT;
    auto_strv struct strv argv = STRV_INIT;
    struct vm_config common = *c;

    common.id = common.console = common.ram = "-";
    common.share = common.kept = c->share ? "-" : NULL;
    common.share_readonly = common.kept_readonly = common.offline = false;
    common.state = NULL;
    if (common.ndisks > 0)
        common.disks[common.ndisks - 1].path = "-";
    if (qemu_info_find(c->cache, &q, e) < 0 || qemu_args(&common, &q, &argv, e) < 0)
        return -1;
    fingerprint_host(d);
    fingerprint_file(d, "qemu", q.path);
    for (size_t i = 0; i < argv.n; i++)
        digest_str(d, "argument", argv.v[i]);
    return 0;
}

static int qemu_pid(const struct vm *vm)
{
    return vm->child.pid;
}

static bool qemu_ended_from_outside(const struct vm *vm)
{
    return vm->outside;
}

static void qemu_free(struct vm *vm)
{
    if (!vm)
        return;
    loop_unwatch(vm->exit_watch);
    loop_untimer(vm->timer);
    spawn_kill(&vm->child, 0);
    qmp_free(vm->qmp);
    free(vm->saving);
    free(vm->shutdown);
    err_clear(&vm->why);
    free(vm);
}

const struct vm_driver qemu_driver = {
    .name = "qemu",
    .check = qemu_check,
    .start = qemu_start,
    .stop = qemu_stop,
    .save = qemu_save,
    .fingerprint = qemu_fingerprint,
    .pid = qemu_pid,
    .ended_from_outside = qemu_ended_from_outside,
    .free = qemu_free,
    .describe = qemu_describe,
};
