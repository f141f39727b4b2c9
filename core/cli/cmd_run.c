#include "base/mem.h"
#include "cli/cli.h"

static int run(struct session *s, struct cli *cli, struct err *e)
{
    int code = session_run(s, e);
    auto_free char *id = NULL;

    if (code != 0 || !cli->session.detach)
        return code;
    id = mem_printf("%s\n", s->record.vm);
    return cli_print(id, e);
}

int cmd_run(struct cli *cli, struct err *e)
{
    cli->session.args = cli->words;
    return cli_with_session(cli, run, e);
}
