#include "cli/cli.h"
#include "session/detach.h"

static int show_logs(struct session *s, struct cli *cli, struct err *e)
{
    const char *id;

    return cli_take_id(cli, "logs", &id, e) < 0 ? -1 : session_logs(s, id, cli->follow, e);
}

int cmd_logs(struct cli *cli, struct err *e)
{
    return cli_with_session(cli, show_logs, e);
}
