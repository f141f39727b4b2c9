#include "cli/cli.h"
#include "session/detach.h"

static int attach(struct session *s, struct cli *cli, struct err *e)
{
    const char *id;

    return cli_take_id(cli, "attach", &id, e) < 0 ? -1 : session_attach(s, id, cli->steal, e);
}

int cmd_attach(struct cli *cli, struct err *e)
{
    return cli_with_session(cli, attach, e);
}
