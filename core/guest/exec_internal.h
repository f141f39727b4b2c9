/* What the parts of the client's end share. */
#ifndef AGENTVM_GUEST_EXEC_INTERNAL_H
#define AGENTVM_GUEST_EXEC_INTERNAL_H

#include "guest/exec.h"

/* A lane from the guest. */
struct output {
    struct sink *sink;              /* NULL while there is none */
    struct terminal_filter *filter; /* NULL: the bytes go as they are */
};

struct guest {
    struct loop *loop;
    struct conn *conn;
    uint32_t next_stream;
    bool lost;
    /* The request that runs; stream is 0 while there is none. */
    uint32_t stream;
    struct source *in;
    struct output out, err;
    bool ended, failed;
    bool lacked_memory;
    bool detached; /* ended so: the program goes on */
    struct exit_status status;
    struct err *error; /* the caller's; set if failed */
    const char *data;  /* what guest_put still has to send */
    size_t left;
    uint32_t credit;
};

/* A request: begins it, waits for its end and for what was written by then, ends it. */
int guest_start(struct guest *g, const struct buf *body, struct err *e);
void guest_wait_end(struct guest *g);
int guest_end(struct guest *g);
/* All of that, with streams. */
int guest_run(struct guest *g, const struct buf *body, const struct guest_stdio *io,
              struct exit_status *status, struct err *e);

#endif
