#include "base/log.h"
#include "base/mem.h"
#include "cli/cli.h"

static int approve_file(struct session *s, const char *name, struct trust_file *f, struct err *e)
{
    if (trust_read(s->project, name, f, e) < 0 || trust_approve(&s->paths, s->project, f, e) < 0)
        return -1;
    if (f->present)
        log_info("agentvm: approved %s as it is now (%zu bytes)", name, f->bytes.len);
    return 0;
}

static int trust(struct session *s, struct cli *cli, struct err *e)
{
    if (paths_project(&s->paths, s->options.project, &s->project, e) < 0)
        return -1;
    if (cli->revoke)
        return trust_revoke(&s->paths, s->project, e);
    if (approve_file(s, PATHS_PROJECT_INI, &s->project_ini, e) < 0 ||
        approve_file(s, PATHS_PROJECT_RUNTIME, &s->project_runtime, e) < 0)
        return -1;
    if (!s->project_ini.present && !s->project_runtime.present)
        log_info("agentvm: this folder has neither %s nor %s", PATHS_PROJECT_INI,
                 PATHS_PROJECT_RUNTIME);
    return 0;
}

int cmd_trust(struct cli *cli, struct err *e)
{
    return cli_with_session(cli, trust, e);
}
