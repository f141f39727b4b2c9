#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "session/vms.h"

static int stop_one(struct session *s, const char *id, struct err *e)
{
    struct client_link *link = client_attach(&s->task, &s->paths, id, e);
    int rc;

    if (!link)
        return -1;
    rc = client_stop_attached(link, e);
    client_free(link);
    if (rc == 0)
        log_info("agentvm: stopped %s", id);
    return rc;
}

static bool is_named(char *const *ids, const char *id)
{
    for (; *ids; ids++)
        if (strcmp(*ids, id) == 0)
            return true;
    return false;
}

static int check_names(char *const *ids, const struct vm_infos *vms, struct err *e)
{
    for (; *ids; ids++) {
        bool known = false;

        for (size_t i = 0; i < vms->n; i++)
            known = known || strcmp(vms->v[i].id, *ids) == 0;
        if (!known) {
            err_set(e, "no VM %s is running", *ids);
            return err_advise(e, "see agentvm list");
        }
    }
    return 0;
}

static int stop(struct session *s, struct cli *cli, struct err *e)
{
    auto_vm_infos struct vm_infos vms = {0};
    auto_free char *project = NULL;
    bool named = *cli->words != NULL;

    if (!named && !cli->all && paths_project(&s->paths, NULL, &project, e) < 0)
        return -1;
    if (vms_list(&s->paths, project, &vms, e) < 0 || check_names(cli->words, &vms, e) < 0)
        return -1;
    for (size_t i = 0; i < vms.n; i++)
        if ((!named || is_named(cli->words, vms.v[i].id)) && stop_one(s, vms.v[i].id, e) < 0)
            return -1;
    if (vms.n == 0 && !named)
        log_info("agentvm: no VM is running%s", cli->all ? "" : " for this folder");
    return 0;
}

int cmd_stop(struct cli *cli, struct err *e)
{
    return cli_with_session(cli, stop, e);
}
