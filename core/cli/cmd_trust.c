#include "cli/cli.h"

static int trust(struct session *s, struct cli *cli, struct err *e)
{
    if (!cli->revoke)
        return session_trust(s, e);
    if (paths_project(&s->paths, s->options.project, &s->project, e) < 0)
        return -1;
    return trust_revoke(&s->paths, s->project, e);
}

int cmd_trust(struct cli *cli, struct err *e)
{
    return cli_with_session(cli, trust, e);
}
