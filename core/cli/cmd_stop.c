#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "state/vms.h"

int cli_stop_vm(struct session *s, const char *id, struct err *e)
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

static bool is_named(char *const *words, const struct vm_info *v, const char *here)
{
    for (; *words; words++)
        if (vm_answers(v, *words, here))
            return true;
    return false;
}

static int check_words(char *const *words, const struct vm_infos *vms, const char *here,
                       struct err *e)
{
    for (; *words; words++) {
        bool known = false;

        for (size_t i = 0; i < vms->n; i++)
            known = known || vm_answers(&vms->v[i], *words, here);
        if (!known) {
            err_set(e, "no VM %s is running", *words);
            return err_advise(e, "see agentvm list; a name counts in its own folder");
        }
    }
    return 0;
}

static int stop(struct session *s, struct cli *cli, struct err *e)
{
    auto_vm_infos struct vm_infos vms = {0};
    auto_free char *here = NULL;
    bool named = *cli->words != NULL, any = named || cli->all;
    bool may_lack = any && !cli->session.project;

    if (cli->all && cli->session.project)
        return err_set(e, "--all and --project exclude each other");
    if (cli->all && named)
        return err_set(e, "--all and the name of a VM exclude each other");
    if (paths_project(&s->paths, cli->session.project, &here, may_lack ? NULL : e) < 0 && !may_lack)
        return -1;
    if (vms_list(&s->paths, any ? NULL : here, &vms, e) < 0 ||
        check_words(cli->words, &vms, here, e) < 0)
        return -1;
    for (size_t i = 0; i < vms.n; i++)
        if ((!named || is_named(cli->words, &vms.v[i], here)) && cli_stop_vm(s, vms.v[i].id, e) < 0)
            return -1;
    if (vms.n == 0 && !named)
        log_info("agentvm: no VM is running%s", cli->all ? "" : " for this folder");
    return 0;
}

int cmd_stop(struct cli *cli, struct err *e)
{
    return cli_with_session(cli, stop, e);
}
