#include "cli/cli.h"

static int setup(struct session *s, struct cli *cli, struct err *e)
{
    (void)cli;
    return session_setup(s, e);
}

int cmd_setup(struct cli *cli, struct err *e)
{
    return cli_with_session(cli, setup, e);
}
