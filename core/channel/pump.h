/* Pumps between a local descriptor and a lane of a stream, with its flow control.
 *
 * Both ends of an exec are made of these: the client pumps its stdin into lane 0 and lanes 1 and 2
 * out to stdout and stderr; guestd does the reverse with the program's pipes or terminal.
 */
#ifndef AGENTVM_CHANNEL_PUMP_H
#define AGENTVM_CHANNEL_PUMP_H

#include <stdbool.h>

#include "channel/conn.h"
#include "proc/loop.h"

/* Called once when a pump is done: a source at its end, a sink after its last byte or when its
 * reader is gone.  The pump stays allocated until freed, which must not be done from here. */
typedef void pump_done_fn(void *arg);

struct source;
struct sink;

/* Reads fd and sends DATA, then EOF, on the lane.  fd is borrowed and may be blocking: it is only
 * read when poll says so. */
struct source *source_new(struct loop *l, struct conn *c, uint32_t stream, uint8_t lane, int fd,
                          pump_done_fn *done, void *arg);
/* For a stream with a window of its own, right after the pump was made.  granted: how much of it
 * may be sent before the peer's first CREDIT. */
void source_set_window(struct source *s, uint32_t window, uint32_t granted);
/* The peer's CREDIT. */
void source_credit(struct source *s, uint32_t bytes);
/* The peer's STOP: no more reading; counts as done. */
void source_stop(struct source *s);
/* The program behind fd has ended: read what is there now, but do not wait for more. */
void source_finish(struct source *s);
/* How many bytes it sent. */
uint64_t source_sent(const struct source *s);
bool source_is_done(const struct source *s);
void source_free(struct source *s);

/* Writes what the peer sends to fd and gives CREDIT back as the reader takes it.  fd is borrowed;
 * a blocking fd is never written beyond what it takes at once.  done is called when the peer's EOF
 * was reached and all is written, or when the reader is gone. */
struct sink *sink_new(struct loop *l, struct conn *c, uint32_t stream, uint8_t lane, int fd,
                      pump_done_fn *done, void *arg);
/* As source_set_window. */
void sink_set_window(struct sink *s, uint32_t window);
/* The peer's DATA; false if it exceeds the window: a protocol error. */
bool sink_data(struct sink *s, const void *data, size_t len);
/* Bytes of the peer's that are never written: they are credited like those that are. */
void sink_skip(struct sink *s, size_t bytes);
/* Our own bytes behind the peer's, which need no window. */
void sink_add(struct sink *s, const void *data, size_t len);
/* Both write to one terminal: what sink_data gets is not torn by the other one's. */
void sink_take_turns(struct sink *a, struct sink *b);
/* The peer's EOF. */
void sink_eof(struct sink *s);
/* Drops what is queued and writes these last bytes instead, as far as the reader takes them soon.
 */
void sink_abandon(struct sink *s, const void *data, size_t len);
/* Bytes not written yet. */
size_t sink_queued(const struct sink *s);
bool sink_is_done(const struct sink *s);
/* The errno of a failed write, with which data was lost; 0 if there was none or nobody reads. */
int sink_error(const struct sink *s);
void sink_free(struct sink *s);

#endif
