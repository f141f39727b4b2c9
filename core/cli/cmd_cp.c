#include "cli/cli.h"
#include "session/copy.h"

static int copy(struct session *s, struct cli *cli, struct err *e)
{
    return session_copy(s, cli->words, e);
}

int cmd_cp(struct cli *cli, struct err *e)
{
    return cli_with_session(cli, copy, e);
}
