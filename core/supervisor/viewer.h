/* Who is attached to a detached agent, and what its terminal shows.
 *
 * It gets a painting of the agent's screen, and what the agent writes after what is painted.  The
 * agent never waits for it: when it does not read as fast as the agent writes, output is left out,
 * and the screen is painted again once it has read the rest. */
#ifndef AGENTVM_SUPERVISOR_VIEWER_H
#define AGENTVM_SUPERVISOR_VIEWER_H

#include <stdbool.h>

#include "channel/conn.h"
#include "guest/emulator.h"
#include "supervisor/detach_keys.h"

struct client;

struct viewer {
    struct client *client; /* NULL: nobody is attached, and the rest is zero */
    struct conn *conn;     /* its */
    uint32_t stream;
    uint32_t window;             /* bytes that it takes */
    struct buf painting;         /* what is left of one */
    bool waiting;                /* for one that the emulator was asked for */
    struct buf later;            /* output after that */
    bool behind;                 /* output was left out */
    struct terminal_modes shown; /* what its terminal has on */
    struct detach_keys keys;
};

/* Asks for a painting.  on: what the agent has on now; scroll: as in screen_paint. */
void viewer_paint(struct viewer *v, struct emulator *m, const struct terminal_modes *on,
                  bool scroll);
/* The emulator's painting, and what it leaves on; on: what the agent has on now. */
void viewer_painted(struct viewer *v, const struct buf *painting,
                    const struct terminal_modes *left_on, struct emulator *m,
                    const struct terminal_modes *on);
/* What the filter let pass; on: what is on after that. */
void viewer_show(struct viewer *v, const struct buf *passed, const struct terminal_modes *on);
/* It has read so much. */
void viewer_credit(struct viewer *v, uint32_t bytes, struct emulator *m,
                   const struct terminal_modes *on);
/* Nobody is attached any more. */
void viewer_clear(struct viewer *v);

#endif
