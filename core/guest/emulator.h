/* A screen (see screen.h) in a process of its own, as libvterm does not check what a hostile guest
 * makes it read.  The process has no file, no environment and no right but to talk to us, and dies
 * with us; and nothing is believed that it says.
 *
 *     emulator_new --> emulator_feed, _resize, _paint --> emulator_free
 *                           events: answered, taken, painted, lost
 *
 * One that dies, keeps us waiting or breaks the protocol is killed, and another one begins with an
 * empty screen; after EMULATOR_STARTS_MAX of them none does. */
#ifndef AGENTVM_GUEST_EMULATOR_H
#define AGENTVM_GUEST_EMULATOR_H

#include <sys/types.h>

#include "guest/screen.h"
#include "proc/loop.h"

struct emulator;

enum {
    EMULATOR_PIECE = 1024, /* bytes of the guest's that are worth a feed: the more, the longer it
                              may take; 1024 lines of the largest screen are a second */
    EMULATOR_ROOM = 64,    /* pieces on the way, from which on who feeds is to wait */
    EMULATOR_STARTS_MAX = 5,
    EMULATOR_DEADLINE_MS = 5000, /* for a piece, or a painting behind them */
};

/* The first argument of an agentvm that is one: see emulator_main. */
#define EMULATOR_COMMAND "_emulator"

/* Called from the loop, lost also from emulator_new; none may free the emulator. */
struct emulator_events {
    /* What the screen answers to questions, at most SCREEN_ANSWERS_MAX bytes. */
    void (*answered)(void *arg, const char *data, size_t len);
    /* A piece was taken: see emulator_has_room. */
    void (*taken)(void *arg);
    /* The painting that was asked for last.  It passed a filter, which says what is on after it. */
    void (*painted)(void *arg, const struct buf *painting, const struct terminal_modes *on);
    /* One is gone, which is told in a line.  If emulator_failure says the same it was the last. */
    void (*lost)(void *arg, const char *line);
    void *arg;
};

struct emulator *emulator_new(struct loop *l, unsigned rows, unsigned columns,
                              const struct emulator_events *ev);
/* NULL is allowed. */
void emulator_free(struct emulator *m);

/* A piece: what the filter let pass of EMULATOR_PIECE bytes at most.  asks: questions in it are to
 * be answered. */
void emulator_feed(struct emulator *m, const void *data, size_t len, bool asks);
/* Whether more may be fed now; who feeds nevertheless fills our memory. */
bool emulator_has_room(const struct emulator *m);
/* As screen_resize. */
void emulator_resize(struct emulator *m, unsigned rows, unsigned columns,
                     struct terminal_modes *on);
/* Asks for a painting of what was fed so far, as screen_paint makes it, in place of one that was
 * asked for before. */
void emulator_paint(struct emulator *m, const struct terminal_modes *on,
                    const struct terminal_modes *shown, bool scroll);
/* Why there is none any more, in a line; or NULL. */
const char *emulator_failure(const struct emulator *m);
/* The process, for tests; 0: none. */
pid_t emulator_pid(const struct emulator *m);

/* The other end, in a process that was started with EMULATOR_COMMAND. */
void emulator_main(void) __attribute__((noreturn));

#endif
