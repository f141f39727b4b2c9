#include "session/choose.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "state/rows.h"

static int several(const char *ids, struct err *e)
{
    err_set(e, "several VMs run for this folder:%s", ids);
    return err_advise(e, "name one of them");
}

/* The folder of --project, in which names count and VMs without a word are looked for.  A word may
 * be an ID, which needs none: *out is NULL then where there is none. */
static int find_project(struct session *s, const char *word, char **out, struct err *e)
{
    bool may_lack = word && !s->options.project;

    return paths_project(&s->paths, s->options.project, out, may_lack ? NULL : e) < 0 && !may_lack
               ? -1
               : 0;
}

static int choose_by_word(const struct vm_infos *vms, const char *word, const char *project,
                          char **out, struct err *e)
{
    for (size_t i = 0; i < vms->n; i++)
        if (vm_answers(&vms->v[i], word, project)) {
            *out = mem_strdup(vms->v[i].id);
            return 0;
        }
    err_set(e, "no VM %s is running", word);
    return err_advise(e, "see agentvm list; a name counts in its own folder");
}

int choose_running(struct session *s, const char *word, bool may_lack, char **out, struct err *e)
{
    auto_vm_infos struct vm_infos vms = {0};
    auto_free char *project = NULL;
    auto_buf struct buf ids = BUF_INIT;

    *out = NULL;
    if (find_project(s, word, &project, e) < 0 ||
        vms_list(&s->paths, word ? NULL : project, &vms, e) < 0)
        return -1;
    if (word)
        return choose_by_word(&vms, word, project, out, e);
    if (vms.n == 0 && !may_lack) {
        err_set(e, "no VM is running for this folder");
        return err_advise(e, "start one with agentvm, or name one of agentvm list");
    }
    for (size_t i = 0; i < vms.n; i++)
        buf_printf(&ids, " %s", vms.v[i].id);
    if (vms.n > 1)
        return several(ids.data, e);
    *out = vms.n ? mem_strdup(vms.v[0].id) : NULL;
    return 0;
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

/* Of a word.  One that runs must be detached; one that does not may have ended.  *runs: or it is
 * about to run or to end. */
static int choose_named(struct session *s, const char *word, char **out, bool *runs, struct err *e)
{
    auto_vm_rows struct vm_rows vms = {0};
    auto_free char *project = NULL;
    const struct vm_row *v;
    cJSON *record;

    if (find_project(s, word, &project, e) < 0 || vm_rows_list(&s->paths, NULL, &vms, e) < 0)
        return -1;
    v = vm_rows_find(&vms, word, project);
    *runs = v && v->running;
    *out = mem_strdup(v ? v->id : word);
    if (*runs && (!v->run.id || v->run.detached))
        return 0;
    if (*runs)
        return err_set(e, "the agent of VM %s is not detached", word);
    record = vms_is_id(*out) ? record_find(&s->paths, *out) : NULL;
    cJSON_Delete(record);
    if (record)
        return 0;
    err_set(e, "there is no VM %s, and no record of a detached agent in it", word);
    return err_advise(e, "see agentvm list and agentvm history");
}

int choose_agent(struct session *s, const char *word, char **out, bool *runs, struct err *e)
{
    auto_free char *project = NULL;

    *runs = false;
    if (word)
        return choose_named(s, word, out, runs, e);
    if (choose_detached(s, true, out, e) < 0)
        return -1;
    *runs = *out != NULL;
    if (*runs || paths_project(&s->paths, s->options.project, &project, e) < 0)
        return *runs ? 0 : -1;
    return choose_ended(s, project, out, e);
}
