/* Who is attached to a detached agent, and what its terminal shows.
 *
 * It gets a painting of the agent's screen, and what the agent writes after that.  The agent never
 * waits for it: when it does not read as fast as the agent writes, output is left out, and the
 * screen is painted again once it has read the rest. */
#ifndef AGENTVM_SESSION_VIEWER_H
#define AGENTVM_SESSION_VIEWER_H

#include <stdbool.h>

#include "channel/conn.h"
#include "guest/screen.h"
#include "session/detach_keys.h"

struct client;

struct viewer {
    struct client *client; /* NULL: nobody is attached, and the rest is zero */
    struct conn *conn;     /* its */
    uint32_t stream;
    uint32_t window;             /* bytes that it takes */
    struct buf painting;         /* what is left of one */
    bool behind;                 /* output was left out */
    struct terminal_modes shown; /* what its terminal has on */
    struct detach_keys keys;
};

/* scroll: as in screen_paint. */
void viewer_paint(struct viewer *v, const struct screen *s, const struct terminal_modes *on,
                  bool scroll);
/* What the filter let pass; on: what is on after that. */
void viewer_show(struct viewer *v, const struct buf *passed, const struct terminal_modes *on);
/* It has read so much. */
void viewer_credit(struct viewer *v, uint32_t bytes, const struct screen *s,
                   const struct terminal_modes *on);
/* Nobody is attached any more. */
void viewer_clear(struct viewer *v);

#endif
