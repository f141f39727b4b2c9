#include "cli/cli.h"

static int login(struct session *s, struct cli *cli, struct err *e)
{
    (void)cli;
    return session_login(s, e);
}

int cmd_login(struct cli *cli, struct err *e)
{
    int rc = cli_take_agent(cli, "login", e);

    if (rc != 0)
        return rc < 0 ? -1 : 0;
    if (*cli->words && !cli->dashes) {
        err_set(e, "login: unexpected argument %s", *cli->words);
        return err_advise(e, "say: agentvm login [AGENT] [-- ARGUMENTS...]");
    }
    cli->session.args = cli->words;
    return cli_with_session(cli, login, e);
}
