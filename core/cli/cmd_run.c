#include "cli/cli.h"

static int run(struct session *s, struct cli *cli, struct err *e)
{
    (void)cli;
    return session_run(s, e);
}

int cmd_run(struct cli *cli, struct err *e)
{
    cli->session.args = cli->words;
    return cli_with_session(cli, run, e);
}
