/* The warm layer: a booted machine, saved, from which every start goes on.
 *
 *     disk.qcow2   what it wrote since the provisioned layer
 *     ram          its memory, which clones map privately
 *     state        its devices
 *
 * A layer whose files were changed, or that a machine did not come up from, is thrown away and made
 * anew.  Where it cannot be made, starts boot: slower, and all else is the same. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "session/provision.h"
#include "session/session.h"

#define LATE_MARK "late" /* in the layer: the last resume did not come up in time */

static const char *const files[] = {TEMPLATE_DISK, TEMPLATE_RAM, TEMPLATE_STATE, NULL};

int warm_key(struct session *s, const struct template *t, const struct plan *plan,
             char key[DIGEST_HEX + 1], struct err *e)
{
    auto_free char *warm = plan_part_to_json(plan, PLAN_WARM, false);
    auto_machine struct machine m;
    struct digest *d = digest_new();
    int rc;

    machine_plan(s, t, MACHINE_BOOT, NULL, &m);
    m.order.config.disks[m.order.config.ndisks++] = (struct vm_disk){"-", "qcow2"};
    m.order.config.console = m.order.config.ram = "-";
    digest_str(d, "base", t->base.key);
    digest_str(d, "provisioned", t->provisioned.dir ? t->provisioned.key : "");
    digest_str(d, "warm", warm);
    digest_field(d, "disk", &m.order.disk_size, sizeof(m.order.disk_size));
    rc = s->driver->fingerprint(&m.order.config, d, e);
    digest_final(d, key);
    return rc;
}

int warm_check(const struct layer *l, struct err *e)
{
    auto_buf struct buf text = BUF_INIT;
    char seal[DIGEST_HEX + 1];
    const char *saved;
    cJSON *json;
    int rc = 0;

    if (store_read(l, &text, e) < 0 || store_seal(l->dir, files, seal, e) < 0)
        return -1;
    json = cJSON_ParseWithLength(text.data, text.len);
    saved = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "seal"));
    if (!saved || strcmp(saved, seal) != 0)
        rc = err_set(e, "its files were changed");
    cJSON_Delete(json);
    return rc;
}

/* Returns 0 with the layer in use, 1 if there is none, or -1 if it was no good. */
static int find(struct session *s, const char *key, struct layer *out, struct err *e)
{
    int rc = store_use(&s->paths, key, out, e);

    if (rc > 0)
        err_set(e, "somebody else removed it");
    if (rc != 0 || warm_check(out, e) == 0)
        return rc;
    store_discard(&s->paths, &s->task, out);
    return -1;
}

/* guestd answers early in a boot: its end is waited for, and what it read is dropped. */
static int settle(struct session *s, int log, struct err *e)
{
    static const char *const commands[][4] = {
        {"systemctl", "start", "default.target", NULL},
        {"udevadm", "settle", NULL},
        {"udevadm", "control", "--reload", NULL}, /* ends its idle workers */
        {"sysctl", "-qw", "vm.drop_caches=3", NULL},
    };

    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        if (provision_command(s, commands[i][0], (char *const *)commands[i], "root", log, e) < 0)
            return -1;
    return 0;
}

/* Runs what the plugins want to be warm, and what every session starts with. */
static int warm_up(struct session *s, const struct plan *plan, const char *log_path, struct err *e)
{
    auto_close int log = open(log_path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    char *const shell[] = {(char[]){"bash"}, (char[]){"-lc"}, (char[]){"env"}, NULL};

    if (log < 0)
        return err_errno(e, errno, "cannot create %s", log_path);
    if (settle(s, log, e) < 0 || provision_command(s, "shell", shell, s->user.name, log, e) < 0)
        return -1;
    for (size_t i = 0; i < plan->n; i++) {
        const struct plan_step *step = &plan->steps[i];

        if (step->op == PLAN_WARM &&
            provision_command(s, step->argv.v[0], step->argv.v, s->user.name, log, e) < 0)
            return -1;
    }
    return 0;
}

/* Nobody writes to them again, and their times are part of the seal. */
static int protect(const struct layer_draft *d, struct err *e)
{
    for (size_t i = 0; files[i]; i++) {
        auto_free char *path = mem_printf("%s/%s", d->dir, files[i]);
        /* QEMU before 8.2 opens the memory for writing, though it maps it privately. */
        mode_t mode = strcmp(files[i], TEMPLATE_RAM) == 0 ? 0600 : 0400;
        auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

        if (fd < 0 || fchmod(fd, mode) < 0 || fsync(fd) < 0)
            return err_errno(e, errno, "cannot complete %s", path);
    }
    return 0;
}

/* The machine that is to be saved, with an empty folder for it to mount. */
static int start(struct session *s, const struct template *t, const struct layer_draft *draft,
                 struct err *e)
{
    auto_free char *share = mem_printf("%s/" TEMPLATE_SHARE, draft->dir);

    if (store_check_space(&s->paths, (uint64_t)TEMPLATE_WARM_GIB << 30, "saving the booted VM", e) <
        0)
        return -1;
    if (mkdir(share, 0700) < 0)
        return err_errno(e, errno, "cannot create folder %s", share);
    return session_start_vm(s, t, MACHINE_SAVE, draft->dir, e);
}

/* The folder goes with whatever the guest left in it. */
static int stop(struct session *s, const struct layer_draft *draft, struct err *e)
{
    auto_free char *share = mem_printf("%s/" TEMPLATE_SHARE, draft->dir);
    int rc = session_stop_vm(s, e);

    return file_remove_tree_at(AT_FDCWD, share, rc < 0 ? NULL : e) < 0 ? -1 : rc;
}

static int save(struct session *s, const struct template *t, const struct plan *plan,
                struct layer_draft *draft, struct err *e)
{
    auto_free char *log = mem_printf("%s/warm-%.8s.log", s->paths.logs, draft->key);
    auto_free char *json = NULL;
    char seal[DIGEST_HEX + 1];
    int rc;

    if (start(s, t, draft, e) < 0)
        return -1;
    rc = warm_up(s, plan, log, e);
    if (rc < 0)
        err_advise(e, "the whole log is %s", log);
    if (stop(s, draft, rc < 0 ? NULL : e) < 0 || rc < 0 || protect(draft, e) < 0 ||
        store_seal(draft->dir, files, seal, e) < 0)
        return -1;
    unlink(log);
    json = template_json("warm", t->provisioned.dir ? t->provisioned.key : t->base.key,
                         s->agent.name, seal);
    return store_commit(draft, json, e);
}

bool warm_is_good(struct session *s, const struct layer *warm, bool came_up)
{
    auto_free char *mark = layer_file(warm, LATE_MARK);
    auto_close int fd = -1;

    if (came_up) {
        unlink(mark);
        return true;
    }
    if (s->fault != FAULT_LATE)
        return s->fault == FAULT_HOST && warm_check(warm, NULL) == 0;
    fd = open(mark, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fd >= 0; /* else it was late the last time, too */
}

static int make(struct session *s, struct template *t, const struct plan *plan, const char *key,
                struct err *e)
{
    auto_draft struct layer_draft draft = DRAFT_INIT;
    int rc;

    stage_begin(&s->stages, "save", "booting the VM once to save it", true);
    rc = store_begin(&s->paths, &s->task, key, template_say_waiting, &s->stages, &draft, e);
    if (rc == 0)
        rc = save(s, t, plan, &draft, e);
    stage_end(&s->stages);
    return rc < 0 ? -1 : 0;
}

int warm_prepare(struct session *s, struct template *t, const struct plan *plan, struct err *e)
{
    auto_err struct err why = ERR_INIT;
    char key[DIGEST_HEX + 1];
    int rc;

    if (warm_key(s, t, plan, key, e) < 0)
        return -1;
    rc = find(s, key, &t->warm, &why);
    if (rc == 0)
        return 0;
    if (rc < 0)
        log_warn("the saved VM cannot be used and is made anew: %s", err_msg(&why));
    err_clear(&why);
    if (make(s, t, plan, key, &why) == 0 && find(s, key, &t->warm, &why) == 0)
        return 0;
    if (task_check(&s->task, e) < 0)
        return -1;
    log_warn("the VM could not be saved, so every start boots: %s%s%s", err_msg(&why),
             why.advice ? "; " : "", why.advice ? why.advice : "");
    return 0;
}
