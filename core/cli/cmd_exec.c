#include "cli/cli.h"

static int exec_command(struct session *s, struct cli *cli, struct err *e)
{
    return session_exec_command(s, cli->words, e);
}

int cmd_exec(struct cli *cli, struct err *e)
{
    if (!*cli->words) {
        err_set(e, "exec needs a command");
        return err_advise(e, "agentvm exec -- COMMAND [ARGUMENTS...]; for a shell: agentvm shell");
    }
    return cli_with_session(cli, exec_command, e);
}
