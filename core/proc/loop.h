/* A single-threaded event loop over poll(2).
 *
 * poll rather than epoll because a standard stream may be a regular file, which epoll refuses.
 * Callbacks may add and remove watches, timers and signals, their own included.
 */
#ifndef AGENTVM_PROC_LOOP_H
#define AGENTVM_PROC_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct loop;
struct loop_watch;
struct loop_timer;

/* events: the poll(2) bits that occurred. */
typedef void loop_fd_fn(void *arg, short events);
typedef void loop_timer_fn(void *arg);
typedef void loop_signal_fn(void *arg, int signal);

struct loop *loop_new(void);
/* Frees the loop, its watches and timers; descriptors stay open. */
void loop_free(struct loop *l);

/* Watches fd for poll(2) events; the loop owns the watch until loop_unwatch. */
struct loop_watch *loop_watch(struct loop *l, int fd, short events, loop_fd_fn *fn, void *arg);
/* Changes the events; 0 pauses the watch (POLLHUP and POLLERR are not reported then either). */
void loop_watch_events(struct loop_watch *w, short events);
/* Ends the watch; NULL is allowed. */
void loop_unwatch(struct loop_watch *w);

/* Calls fn once, ms milliseconds from now; the loop frees the timer after that. */
struct loop_timer *loop_timer(struct loop *l, int ms, loop_timer_fn *fn, void *arg);
/* Ends a timer that has not fired; NULL is allowed. */
void loop_untimer(struct loop_timer *t);

/* Blocks the signals (0-terminated list) and delivers them to fn from the loop.  Once per loop. */
int loop_signals(struct loop *l, const int *signals, loop_signal_fn *fn, void *arg, struct err *e);

/* Dispatches events until loop_quit. */
void loop_run(struct loop *l);
/* Dispatches one round of events, waiting at most timeout_ms (negative: for ever). */
void loop_step(struct loop *l, int timeout_ms);
void loop_quit(struct loop *l);

#endif
