/* The guest's ports on this host: watched from a moment after the start on, listed, told.  And this
 * host's ssh-agent in the guest. */
#include <stdlib.h>

#include "base/file.h"
#include "base/mem.h"
#include "guest/forward.h"
#include "supervisor/internal.h"

enum {
    WATCH_MS = 500, /* the start itself goes first; a port may take a second to appear */
    FILES_MAX = FORWARD_FILES * FORWARDS_MAX + PORTS_OTHER_FILES,
};

/* It is the creator's terminal where somebody waits for the ports to come. */
static void on_note(void *arg, const char *text)
{
    clients_tell_creator(arg, text);
    agent_tell(arg, text);
}

static void on_changed(void *arg)
{
    auto_err struct err why = ERR_INIT;
    auto_free char *text = NULL;

    if (supervisor_publish(arg, &why) == 0)
        return;
    text = mem_printf("its list of ports is out of date: %s", err_msg(&why));
    on_note(arg, text);
}

static void watch(void *arg)
{
    struct supervisor *s = arg;
    struct ports_events ev = {.changed = on_changed, .note = on_note, .arg = s};

    s->ports_timer = NULL;
    if (s->state != RUNNING || !s->guest)
        return;
    file_raise_limit(FILES_MAX);
    s->ports = ports_new(s->loop, s->guest, s->order->ports, &ev);
}

void supervisor_watch_ports(struct supervisor *s)
{
    if (s->order->ports && port_policy_is_active(s->order->ports))
        s->ports_timer = loop_timer(s->loop, WATCH_MS, watch, s);
}

void supervisor_forward_ssh_agent(struct supervisor *s)
{
    struct ssh_agent_order order = {
        .path = s->order->ssh_agent, .user = s->order->identity.user, .note = on_note, .arg = s};

    if (order.path)
        s->ssh_agent = ssh_agent_new(s->loop, s->guest, &order);
}

void supervisor_close_ports(struct supervisor *s)
{
    ssh_agent_free(steal_ptr(&s->ssh_agent));
    loop_untimer(steal_ptr(&s->ports_timer));
    if (s->ports)
        ports_account(s->ports, &s->account);
    ports_free(steal_ptr(&s->ports));
}
