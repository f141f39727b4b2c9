/* The guest's clock: it is set when the guest is made itself, and whenever the host's is. */
#include <errno.h>
#include <time.h>

#include "guestd/server.h"

enum { NS_PER_S = 1000000000 };

int clock_set(const struct field *f, struct err *e)
{
    uint64_t ns = field_u64(f, 0);
    struct timespec ts = {.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};

    if (ns == 0 || clock_settime(CLOCK_REALTIME, &ts) < 0)
        return err_errno(e, ns ? errno : EINVAL, "cannot set the clock");
    return 0;
}

void clock_open(struct stream *s, struct field_reader r)
{
    auto_err struct err e = ERR_INIT;
    struct field f;

    if (!field_next(&r, &f) || f.tag != TAG_TIME)
        err_set(&e, "malformed clock request");
    else if (s->server->in_guest)
        clock_set(&f, &e);
    if (e.msg)
        stream_error(s, &e);
    else
        stream_ok(s);
}
