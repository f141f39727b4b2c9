#include "cli/cli.h"

static int shell(struct session *s, struct cli *cli, struct err *e)
{
    (void)cli;
    return session_exec_command(s, NULL, e);
}

int cmd_shell(struct cli *cli, struct err *e)
{
    return cli_with_session(cli, shell, e);
}
