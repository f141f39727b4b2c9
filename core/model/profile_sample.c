/* The agent.ini that `agentvm init` writes: every key, explained, none set. */
#include <string.h>

#include "model/profile.h"
#include "model/profile_keys.h"

static const char head[] =
    "; Settings of agentvm for this project; man agentvm.ini tells all of them.\n"
    ";\n"
    "; What narrows the settings of who runs agentvm here is taken as it is.  Anything else is\n"
    "; shown and has to be approved, again after every change of this file: the agent can write\n"
    "; it.  Take the ; away to set a key.\n";

static const char tail[] =
    "\n; a port of the VM under another number: HOST = VM (needs approval)\n"
    ";8080 = 80\n"
    "\n[env]\n"
    "\n; variables of the agent and of what else runs in the VM; no place for secrets\n"
    "; (needs approval)\n"
    ";EDITOR = vim\n"
    "\n; An MCP server for the agent: a program in the VM, its arguments and variables, written "
    "as\n"
    "; for a shell, but nothing is expanded. (needs approval)\n"
    ";[mcp.files]\n"
    ";command = npx\n"
    ";args = -y @modelcontextprotocol/server-filesystem .\n"
    ";env = LOG_LEVEL=debug GREETING='two words'\n"
    "\n; Options of a plugin; agentvm plugin list --json names them. (sensitive ones need "
    "approval)\n"
    ";[plugin.claude]\n"
    ";version = 2.1.330\n";

static void add_key(const struct profile_key *k, struct buf *out)
{
    buf_printf(out, "\n; %s\n; (%s)\n;%s = %s\n", k->help,
               !k->narrows                ? "needs approval"
               : k->type == PROFILE_PATHS ? "adds to the user's, freely"
               : k->type == PROFILE_BOOL
                   ? "freely what takes away; more than the user has said needs approval"
               : k->adds ? "needs no approval"
               : k->does ? "out of those that the user named; more need approval"
                         : "up to the user's own value; more needs approval",
               k->name, k->example);
}

char *profile_sample(void)
{
    struct buf out = BUF_INIT;
    const char *section = "";
    size_t n;
    const struct profile_key *keys = profile_keys(&n);

    buf_puts(&out, head);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(keys[i].section, section) != 0)
            buf_printf(&out, "\n[%s]\n", keys[i].section);
        section = keys[i].section;
        add_key(&keys[i], &out);
    }
    buf_puts(&out, tail);
    return buf_steal(&out);
}
