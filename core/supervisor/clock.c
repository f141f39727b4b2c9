/* The guest's clock follows the host's when that jumps.  It is a clock of the machine, which goes
 * on by itself while the host's is set, and stands still while the host sleeps. */
#include "proc/clock_watch.h"
#include "proc/spawn.h"
#include "supervisor/internal.h"

void supervisor_tell_time(struct supervisor *s)
{
    auto_buf struct buf body = BUF_INIT;

    if (!s->clock_set || s->clock_on_way || s->state != RUNNING || !s->guest)
        return;
    guest_clock_body(&body);
    conn_send_open(s->guest, STREAM_CLOCK, &body);
    s->clock_set = false;
    s->clock_on_way = true;
}

/* An emulated guest does not count the seconds for which its engine was stopped. */
void supervisor_child_changed(struct supervisor *s)
{
    if (!s->vm || !spawn_went_on(s->order->driver->pid(s->vm)))
        return;
    s->clock_set = true;
    supervisor_tell_time(s);
}

static void on_clock_set(void *arg)
{
    struct supervisor *s = arg;

    s->clock_set = true;
    supervisor_tell_time(s);
}

int supervisor_follow_clock(struct supervisor *s, struct err *e)
{
    return clock_watch(s->loop, on_clock_set, s, e);
}
