#include <string.h>

#include "cli/cli.h"

static void describe_all(struct buf *out)
{
    buf_puts(out, "agentvm: AI coding agents in throw-away virtual machines\n\nUsage:\n"
                  "  agentvm [OPTIONS] [--] [AGENT ARGUMENTS...]\n"
                  "  agentvm COMMAND [OPTIONS] ...\n  agentvm --help | --version\n\nCommands:\n");
    for (size_t i = 0; i < ncommands; i++)
        buf_printf(out, "  %-10s %s\n", commands[i].name, commands[i].summary);
    buf_puts(out, "\nOptions of run, setup, shell, exec and plan:\n");
    cli_describe_options(OPT_SESSION, out);
    buf_puts(out,
             "\nagentvm help COMMAND tells more; the manual is agentvm(1) and agentvm.ini(5).\n");
}

int cmd_help(struct cli *cli, struct err *e)
{
    auto_buf struct buf out = BUF_INIT;
    const char *name = cli->words ? cli->words[0] : NULL;

    if (!name) {
        describe_all(&out);
        return cli_print(out.data, e);
    }
    for (size_t i = 0; i < ncommands; i++) {
        const struct command *c = &commands[i];

        if (strcmp(c->name, name) != 0)
            continue;
        buf_printf(&out, "agentvm %s %s\n\n  %s\n\nOptions:\n", c->name, c->synopsis, c->summary);
        cli_describe_options(c->options, &out);
        return cli_print(out.data, e);
    }
    err_set(e, "no command %s", name);
    return err_advise(e, "see agentvm --help");
}
