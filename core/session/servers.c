/* Whether the profile's MCP servers can start: an agent tells that late, or not at all. */
#include "base/mem.h"
#include "session/session.h"

static int check_server(struct session *s, const struct guest_program *as,
                        const struct profile_mcp *m, struct err *e)
{
    /* bash, because its `type -P` finds programs only, no keywords and functions.  The command is
     * an argument of the script, never a part of it. */
    char *const argv[] = {"bash",        "-c",       "type -P -- \"$1\" >/dev/null",
                          "agentvm-mcp", m->command, NULL};
    struct guest_stdio io = {-1, STDERR_FILENO, STDERR_FILENO, false};
    struct guest_program program = *as;
    auto_free char *shown = str_quote(m->command);
    struct exit_status status;

    program.argv = argv;
    if (session_program(s, &program, &io, &status, e) < 0)
        return err_prefix(e, "MCP server %s", m->name);
    if (task_check(&s->task, e) < 0)
        return -1;
    if (exit_status_code(status) == 0)
        return 0;
    err_set(e, "%s: [mcp.%s] starts %s, and there is no such program in the VM", m->where, m->name,
            shown);
    return err_advise(e, "correct the command, or install it: [image] packages, or setup.sh");
}

int session_check_servers(struct session *s, const struct guest_program *as, struct err *e)
{
    for (size_t i = 0; i < s->profile.nmcp; i++)
        if (check_server(s, as, &s->profile.mcp[i], e) < 0)
            return -1;
    return 0;
}
