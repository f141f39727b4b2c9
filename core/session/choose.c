#include "session/choose.h"

#include <string.h>

#include "base/mem.h"
#include "session/vms.h"

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
    err_set(e, "several VMs run for this folder:%s", ids.data);
    return err_advise(e, "name one of them");
}
