/* Layers: found, or made. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "image/initrd.h"
#include "session/provision.h"
#include "session/session.h"
#include "vm/accel.h"

void template_packages(struct session *s, const struct plan *provision, struct strv *out)
{
    if (s->profile.base_packages.n > 0)
        strv_push_all(out, s->profile.base_packages.v);
    else
        strv_push_all(out, (char *const *)base_seed_packages);
    strv_push_all(out, s->profile.packages.v);
    for (size_t i = 0; i < provision->n; i++)
        if (provision->steps[i].op == PLAN_PACKAGE)
            strv_push(out, provision->steps[i].name);
}

static bool needs_vm(const struct plan *provision)
{
    for (size_t i = 0; i < provision->n; i++)
        if (provision->steps[i].op != PLAN_PACKAGE && provision->steps[i].op != PLAN_WARM)
            return true;
    return false;
}

static void show_progress(void *arg, const char *what, double fraction)
{
    stage_progress(arg, what, fraction);
}

static void make_request(struct session *s, const struct plan *provision, struct base_request *r)
{
    *r = (struct base_request){.paths = &s->paths,
                               .user = {.name = s->user.name,
                                        .group = s->user.group,
                                        .home = s->user.home,
                                        .shell = s->user.shell,
                                        .uid = s->user.uid,
                                        .gid = s->user.gid},
                               .progress = show_progress,
                               .arg = &s->stages};
    template_packages(s, provision, &r->packages);
}

int template_keys(struct session *s, const struct plan *provision, struct template_keys *out,
                  struct err *e)
{
    struct base_request r;
    auto_free char *json = plan_part_to_json(provision, PLAN_WARM, true);
    struct digest *d;
    int rc;

    make_request(s, provision, &r);
    rc = base_image_key(&r, out->base, e);
    strv_free(&r.packages);
    out->provisioned[0] = '\0';
    if (rc < 0 || !needs_vm(provision))
        return rc;
    d = digest_new();
    digest_str(d, "base", out->base);
    digest_str(d, "plan", json);
    digest_field(d, "disk", &s->profile.disk, sizeof(s->profile.disk));
    digest_final(d, out->provisioned);
    return 0;
}

/* What a person or `agentvm prune` wants to know of a layer. */
char *template_json(const char *kind, const char *parent, const char *agent, const char *seal)
{
    const char *const members[][2] = {
        {"kind", kind}, {"parent", parent}, {"agent", agent}, {"seal", seal}};
    cJSON *root = cJSON_CreateObject();
    char *text;

    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        if (members[i][1])
            cJSON_AddStringToObject(root, members[i][0], members[i][1]);
    text = cJSON_Print(root);
    cJSON_Delete(root);
    return text;
}

void template_say_waiting(void *arg)
{
    stage_progress(arg, "waiting for another agentvm that makes the same", -1);
    if (!log_status_shown())
        log_info("agentvm: waiting for another agentvm that makes the same template");
}

/* Before a layer is made, which takes long: whether that may be, and what would fail after it. */
static int check_setup(struct session *s, struct err *e)
{
    if (!s->options.no_setup)
        return s->starts ? session_view(s, e) : 0;
    err_set(e, "there is no template for this profile yet, and --no-setup forbids to make it");
    return err_advise(e, "run: agentvm setup");
}

/* Fails with the log's last lines. */
static int with_log(struct err *e, const char *log)
{
    enum { TAIL_BYTES = 16384, TAIL_LINES = 15 };
    auto_buf struct buf text = BUF_INIT;

    if (e->detail || (e->exit_code > EXIT_SIGNAL_BASE))
        return -1;
    file_read_tail(log, TAIL_BYTES, &text);
    if (text.len > 0)
        err_detail(e, str_tail(text.data, text.len, TAIL_LINES));
    return e->advice ? -1 : err_advise(e, "the whole log is %s", log);
}

static int make_base(struct session *s, struct base_request *r, struct layer_draft *draft,
                     struct err *e)
{
    auto_free char *log = mem_printf("%s/image-%.8s.log", s->paths.logs, draft->key);
    auto_free char *json = template_json("base", NULL, NULL, NULL);

    r->log = log;
    base_image_sweep();
    if (base_image_make(r, &s->task, draft, e) < 0)
        return with_log(e, log);
    return store_commit(draft, json, e);
}

/* Makes the layer unless another agentvm does. */
static int obtain_base(struct session *s, const struct plan *provision, const char *key,
                       struct err *e)
{
    auto_draft struct layer_draft draft = DRAFT_INIT;
    struct base_request r;
    int rc;

    if (check_setup(s, e) < 0 || base_image_check(e) < 0)
        return -1;
    stage_begin(&s->stages, "image", "making the VM's image, once (a few minutes)", true);
    rc = store_begin(&s->paths, &s->task, key, template_say_waiting, &s->stages, &draft, e);
    make_request(s, provision, &r);
    if (rc == 0)
        rc = make_base(s, &r, &draft, e);
    strv_free(&r.packages);
    stage_end(&s->stages);
    return rc < 0 ? -1 : 0;
}

/* `agentvm prune` may be faster than we with a layer that is not in use yet: then it is made again.
 */
static int prepare_base(struct session *s, const struct plan *provision, const char *key,
                        struct layer *out, struct err *e)
{
    int rc;

    while ((rc = store_use(&s->paths, key, out, e)) > 0)
        if (obtain_base(s, provision, key, e) < 0)
            return -1;
    return rc;
}

static int choose_accel(struct session *s, struct template *t, struct err *e)
{
    auto_free char *kernel = layer_file(&t->base, BASE_KERNEL);
    auto_buf struct buf reason = BUF_INIT;
    struct accel_request r = {.kernel = kernel, .initrd = t->initrd, .cache = s->paths.cache};

    stage_begin(&s->stages, "accelerator", "testing hardware virtualization", false);
    if (accel_choose(&r, &t->accel, &reason, e) < 0)
        return -1;
    stage_end(&s->stages);
    if (t->accel == VM_ACCEL_TCG)
        log_info("agentvm: no hardware virtualization, the VM is emulated and slow: %s",
                 reason.data);
    return 0;
}

static int provision(struct session *s, struct template *t, const struct plan *plan,
                     struct layer_draft *draft, struct err *e)
{
    auto_free char *log = mem_printf("%s/provision-%.8s.log", s->paths.logs, draft->key);
    auto_free char *json = template_json("provisioned", t->base.key, s->agent.name, NULL);
    int rc;

    if (store_check_space(&s->paths, (uint64_t)TEMPLATE_PROVISION_GIB << 30, "provisioning", e) < 0)
        return -1;
    rc = session_start_vm(s, t, MACHINE_PROVISION, draft->dir, e);
    if (rc == 0) {
        rc = provision_run(s, plan, log, e);
        if (rc < 0)
            with_log(e, log);
        if (session_stop_vm(s, rc < 0 ? NULL : e) < 0)
            rc = -1;
    }
    return rc < 0 ? -1 : store_commit(draft, json, e);
}

static int obtain_provisioned(struct session *s, struct template *t, const struct plan *plan,
                              const char *key, struct err *e)
{
    auto_draft struct layer_draft draft = DRAFT_INIT;
    int rc;

    if (check_setup(s, e) < 0)
        return -1;
    stage_begin(&s->stages, "provision", "provisioning the VM, once (a few minutes)", true);
    rc = store_begin(&s->paths, &s->task, key, template_say_waiting, &s->stages, &draft, e);
    if (rc == 0)
        rc = provision(s, t, plan, &draft, e);
    stage_end(&s->stages);
    return rc < 0 ? -1 : 0;
}

static int prepare_provisioned(struct session *s, struct template *t, const struct plan *plan,
                               const char *key, struct err *e)
{
    int rc;

    while ((rc = store_use(&s->paths, key, &t->provisioned, e)) > 0)
        if (obtain_provisioned(s, t, plan, key, e) < 0)
            return -1;
    return rc;
}

static int prepare_layers(struct session *s, const struct plan *plan, struct template *out,
                          struct err *e)
{
    struct template_keys keys;

    if (template_keys(s, plan, &keys, e) < 0)
        return -1;
    memcpy(s->record.base, keys.base, sizeof(keys.base));
    memcpy(s->record.provisioned, keys.provisioned, sizeof(keys.provisioned));
    if (prepare_base(s, plan, keys.base, &out->base, e) != 0 ||
        initrd_cached(&s->paths, &out->base, &out->initrd, e) < 0 || choose_accel(s, out, e) < 0)
        return -1;
    if (!keys.provisioned[0])
        return 0;
    return prepare_provisioned(s, out, plan, keys.provisioned, e) == 0 ? 0 : -1;
}

int template_prepare(struct session *s, const struct plan *plan, struct template *out,
                     struct err *e)
{
    *out = TEMPLATE_INIT;
    if (s->driver->check(s->paths.cache, e) < 0 || prepare_layers(s, plan, out, e) < 0)
        return -1;
    return s->options.cold ? 0 : warm_prepare(s, out, plan, e);
}

static bool hold_layers(struct session *s, const struct template_keys *keys, struct template *t)
{
    struct err *unknown = NULL;

    if (store_hold(&s->paths, keys->base, &t->base, unknown) != 0)
        return false;
    t->initrd = initrd_path(&s->paths, &t->base, unknown);
    return t->initrd && (!keys->provisioned[0] ||
                         store_hold(&s->paths, keys->provisioned, &t->provisioned, unknown) == 0);
}

bool template_find_warm(struct session *s, const struct plan *plan,
                        const struct template_keys *keys, char key[DIGEST_HEX + 1])
{
    auto_template struct template t = TEMPLATE_INIT;
    auto_free char *kernel = NULL;
    struct accel_request r;

    if (s->options.cold || !hold_layers(s, keys, &t))
        return false;
    kernel = layer_file(&t.base, BASE_KERNEL);
    r = (struct accel_request){.kernel = kernel, .initrd = t.initrd, .cache = s->paths.cache};
    return access(t.initrd, R_OK) == 0 && accel_known(&r, &t.accel) &&
           warm_key(s, &t, plan, key, NULL) == 0;
}

/* Returns 0 or -1; a layer that is gone is an error. */
static int use_layer(struct session *s, const char *key, struct layer *out, struct err *e)
{
    int rc = store_use(&s->paths, key, out, e);

    if (rc <= 0)
        return rc;
    err_set(e, "the template that its disk is based on is gone (layer %.12s)", key);
    return err_advise(e, "nothing on that disk can be read without it; --reset makes it anew");
}

int template_reuse(struct session *s, const struct persist *v, struct template *out, struct err *e)
{
    *out = TEMPLATE_INIT;
    memcpy(s->record.base, v->base, sizeof(v->base));
    memcpy(s->record.provisioned, v->provisioned, sizeof(v->provisioned));
    if (s->driver->check(s->paths.cache, e) < 0 || use_layer(s, v->base, &out->base, e) < 0 ||
        initrd_cached(&s->paths, &out->base, &out->initrd, e) < 0 || choose_accel(s, out, e) < 0)
        return -1;
    return v->provisioned[0] ? use_layer(s, v->provisioned, &out->provisioned, e) : 0;
}

void template_free(struct template *t)
{
    layer_release(&t->base);
    layer_release(&t->provisioned);
    layer_release(&t->warm);
    free(t->initrd);
    t->initrd = NULL;
}
