/* Bodies of the requests that guestd understands, and why it fails one.  Pure. */
#ifndef AGENTVM_GUEST_REQUEST_H
#define AGENTVM_GUEST_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "channel/frame.h"

/* A program to run in the guest; strings are borrowed. */
struct guest_program {
    char *const *argv;
    char *const *env;     /* NULL-terminated NAME=value, may be NULL */
    const char *env_file; /* guest file of further, NUL-separated entries, or NULL */
    const char *cwd;      /* NULL: the user's home */
    const char *user;     /* NULL: root */
};

/* The name under which the guest reaches the host's loopback; see personalize. */
#define GUEST_HOST_NAME "host.agentvm.internal"

/* A folder or file of the second share that takes the place of one in the guest. */
struct guest_keep {
    char *source; /* relative to the share */
    char *path;   /* absolute, or starting with "~/" */
    bool file;    /* a link to a file rather than a mount: programs may replace it */
};

/* What makes a clone itself. */
struct guest_identity {
    const char *hostname;
    const char *user;       /* guest user that owns what is made for the share's mount point */
    const char *share_tag;  /* 9p mount tag, or NULL without a share */
    const char *share_path; /* where the guest mounts it */
    const char *kept_tag;   /* of the second share, mounted where items say so; NULL: none */
    const struct guest_keep *kept;
    size_t nkept;
    /* Folders of the share that are on the guest's disk instead, relative to the share; or NULL. */
    char *const *locals;
    const char *image; /* relative to the second share: the file system that has them; or NULL */
    const char *host_address; /* where the guest reaches the host, for GUEST_HOST_NAME */
};

/* tty: give the program a terminal of rows x columns. */
void guest_exec_body(struct buf *body, const struct guest_program *p, bool tty, uint16_t rows,
                     uint16_t columns);
void guest_put_body(struct buf *body, const char *path, uint32_t mode, const char *user);
/* Takes the time, random bytes, a machine id and the time zone from this host, now.  resumed: the
 * guest was saved before, so it also gets what a boot would renew. */
int guest_personalize_body(struct buf *body, const struct guest_identity *id, bool resumed,
                           struct err *e);
/* Takes the time from this host, now. */
void guest_clock_body(struct buf *body);
/* What the guest leaves behind. */
enum guest_end {
    GUEST_THROWN_AWAY,
    GUEST_TEMPLATE, /* a consistent root file system */
    GUEST_KEPT,     /* the same, after its programs could end */
};
void guest_shutdown_body(struct buf *body, enum guest_end end);
/* Quiet the guest, so that it can be saved; personalize wakes it up. */
void guest_suspend_body(struct buf *body);
/* Tell which TCP ports have a listener; see guest/ports.h. */
void guest_ports_body(struct buf *body);
void guest_connect_body(struct buf *body, unsigned port);
/* Await a connection to the ssh-agent; see guest/ssh_agent.h. */
void guest_ssh_agent_body(struct buf *body, const char *path, const char *user);

/* What a frame of type ERROR says, as one line of bounded length; NULL if that is nothing.  The
 * caller frees it. */
char *guest_error_text(const struct frame *f);

#endif
