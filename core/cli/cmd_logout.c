#include "cli/cli.h"

static int logout(struct session *s, struct cli *cli, struct err *e)
{
    (void)cli;
    return session_logout(s, e);
}

int cmd_logout(struct cli *cli, struct err *e)
{
    int rc = cli_take_agent(cli, "logout", e);

    if (rc != 0)
        return rc < 0 ? -1 : 0;
    if (*cli->words) {
        err_set(e, "logout: unexpected argument %s", *cli->words);
        return err_advise(e, "say: agentvm logout [AGENT]");
    }
    return cli_with_session(cli, logout, e);
}
