#include "session/choose.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "session/vms.h"

static int several(const char *ids, struct err *e)
{
    err_set(e, "several VMs run for this folder:%s", ids);
    return err_advise(e, "name one of them");
}

static int choose_by_id(const struct vm_infos *vms, const char *id, char **out, struct err *e)
{
    for (size_t i = 0; i < vms->n; i++)
        if (strcmp(vms->v[i].id, id) == 0) {
            *out = mem_strdup(id);
            return 0;
        }
    err_set(e, "no VM %s is running", id);
    return err_advise(e, "see agentvm list");
}

int choose_running(struct session *s, const char *id, char **out, struct err *e)
{
    auto_vm_infos struct vm_infos vms = {0};
    auto_free char *project = NULL;
    auto_buf struct buf ids = BUF_INIT;

    if (!id && paths_project(&s->paths, s->options.project, &project, e) < 0)
        return -1;
    if (vms_list(&s->paths, project, &vms, e) < 0)
        return -1;
    if (id)
        return choose_by_id(&vms, id, out, e);
    if (vms.n == 0) {
        err_set(e, "no VM is running for this folder");
        return err_advise(e, "start one with agentvm, or name one of agentvm list");
    }
    if (vms.n == 1) {
        *out = mem_strdup(vms.v[0].id);
        return 0;
    }
    for (size_t i = 0; i < vms.n; i++)
        buf_printf(&ids, " %s", vms.v[i].id);
    return several(ids.data, e);
}

int choose_detached(struct session *s, bool may_lack, char **out, struct err *e)
{
    auto_vm_infos struct vm_infos vms = {0};
    auto_free char *project = NULL;
    auto_buf struct buf ids = BUF_INIT;
    const char *id = NULL;
    size_t n = 0;

    if (paths_project(&s->paths, s->options.project, &project, e) < 0 ||
        vms_list(&s->paths, project, &vms, e) < 0)
        return -1;
    for (size_t i = 0; i < vms.n; i++)
        if (vms.v[i].detached) {
            id = vms.v[i].id;
            buf_printf(&ids, " %s", id);
            n++;
        }
    if (n > 1)
        return several(ids.data, e);
    if (n == 0 && !may_lack) {
        err_set(e, "no detached agent is running for this folder");
        return err_advise(e, "agentvm --detach starts one");
    }
    *out = mem_strdup(id);
    return 0;
}

/* Of the records, the last one of a detached agent. */
static int choose_ended(struct session *s, const char *project, char **out, struct err *e)
{
    cJSON *list = record_read(&s->paths, project, SIZE_MAX), *o, *last = NULL;

    cJSON_ArrayForEach(o, list) if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, "detached")))
        last = o;
    *out = mem_strdup(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(last, "vm")));
    cJSON_Delete(list);
    if (*out && vms_is_id(*out))
        return 0;
    free(steal_ptr(out));
    err_set(e, "there was no detached agent in this folder");
    return err_advise(e, "agentvm --detach starts one");
}

/* One that runs must be detached; one that does not may have ended. */
static int check_id(struct session *s, const char *id, bool *runs, struct err *e)
{
    auto_vm_infos struct vm_infos vms = {0};
    cJSON *record;

    if (vms_list(&s->paths, NULL, &vms, e) < 0)
        return -1;
    for (size_t i = 0; i < vms.n; i++) {
        if (strcmp(vms.v[i].id, id) != 0)
            continue;
        *runs = true;
        return vms.v[i].detached ? 0 : err_set(e, "the agent of VM %s is not detached", id);
    }
    record = vms_is_id(id) ? record_find(&s->paths, id) : NULL;
    cJSON_Delete(record);
    if (record)
        return 0;
    err_set(e, "there is no VM %s, and no record of a detached agent in it", id);
    return err_advise(e, "see agentvm list and agentvm history");
}

int choose_agent(struct session *s, const char *id, char **out, bool *runs, struct err *e)
{
    auto_free char *project = NULL;

    *runs = false;
    if (id) {
        *out = mem_strdup(id);
        return check_id(s, id, runs, e);
    }
    if (choose_detached(s, true, out, e) < 0)
        return -1;
    *runs = *out != NULL;
    if (*runs || paths_project(&s->paths, s->options.project, &project, e) < 0)
        return *runs ? 0 : -1;
    return choose_ended(s, project, out, e);
}
