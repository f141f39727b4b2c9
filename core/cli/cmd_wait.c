#include "cli/cli.h"
#include "session/detach.h"

static int wait_for(struct session *s, struct cli *cli, struct err *e)
{
    const char *id;

    return cli_take_id(cli, "wait", &id, e) < 0 ? -1 : session_wait(s, id, e);
}

int cmd_wait(struct cli *cli, struct err *e)
{
    return cli_with_session(cli, wait_for, e);
}
