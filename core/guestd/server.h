/* guestd: the agentvm side inside the VM.
 *
 *   main.c         finds the port, or plays init for the accelerator probe
 *   server.c       the connection and its streams
 *   exec.c         programs with pipes or a terminal
 *   transfer.c     files put into the guest
 *   copy.c         files and folders copied by the user, as a program of the user's
 *   personalize.c  makes a clone itself: time, entropy, names, mounts
 *   local.c        folders of the project that are on the guest's disk
 *   clock.c        the clock, which follows the host's
 *   memory.c       whether the guest runs out of it
 *   shutdown.c     makes the shares safe before the engine is stopped
 *   suspend.c      makes the guest quiet before it is saved, and wakes it up
 *   terminal.c     terminals
 *   ports.c        tells which TCP ports have a listener
 *   connect.c      connections to these ports, and of programs to the host's ssh-agent
 *   user.c         the password database, without NSS (the binary is static)
 */
#ifndef AGENTVM_GUESTD_SERVER_H
#define AGENTVM_GUESTD_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "channel/conn.h"
#include "channel/fields.h"
#include "proc/loop.h"

struct server {
    struct loop *loop;
    struct conn *conn;
    struct stream *streams;
    /* True in a VM.  False when started by a test on a real machine (--fd): then nothing outside
     * the process's own children is changed. */
    bool in_guest;
    struct strv mounts;      /* shares that were mounted, for shutdown */
    int image_error;         /* errno, if "image" could not be mounted */
    bool has_image;          /* it was mounted */
    uint32_t locals;         /* "local" mounts so far */
    struct buf unkept;       /* UNKEPT_RECORDs, for the answer to personalize */
    bool suspended;          /* what runs is stopped, and the next frame is a HELLO */
    struct loop_timer *wake; /* when it goes on */
    uint64_t files_limit;    /* of descriptors, for programs; guestd itself may have more */
    char *ssh_auth_sock;     /* where programs reach the host's ssh-agent, or NULL */
    int ssh_listener;        /* there, or -1 */
};

/* An open stream.  Its kind embeds this as the first member. */
struct stream {
    struct stream *next;
    struct server *server;
    uint32_t id;
    const struct stream_ops *ops; /* NULL while the OPEN body is still coming in */
    struct buf body;
    bool oversize; /* the body is too long and was dropped */
};

struct stream_ops {
    /* A frame for the stream, of type DATA, EOF, STOP, CREDIT, SIGNAL, RESIZE or RESET. */
    void (*frame)(struct stream *s, const struct frame *f);
    /* Releases what the kind holds and kills what it runs; server.c frees the struct. */
    void (*release)(struct stream *s);
};

/* Starts serving on fd (owned); runs until the host closes the connection. Returns the exit code.
 */
int server_run(int fd, bool in_guest);

/* End a stream, after which s is gone: with an exit status, with an error, or with success. */
void stream_exit(struct stream *s, enum exit_bits bits, int code);
void stream_error(struct stream *s, const struct err *e);
void stream_ok(struct stream *s);
/* Replaces the pending stream by the kind's own struct of the given size, which starts with a
 * struct stream; returns it. */
void *stream_become(struct stream *s, size_t size, const struct stream_ops *ops);

/* Ends guestd, which ends the machine: for a guest that cannot go on. */
void server_give_up(struct server *srv, const struct err *why);

/* Openers, one per enum open_kind: r stands behind TAG_KIND. They end the stream or become it. */
void exec_open(struct stream *s, struct field_reader r);
void put_open(struct stream *s, struct field_reader r);
void personalize_open(struct stream *s, struct field_reader r);
void shutdown_open(struct stream *s, struct field_reader r);
void suspend_open(struct stream *s, struct field_reader r);
void clock_open(struct stream *s, struct field_reader r);
void ports_open(struct stream *s, struct field_reader r);
void connect_open(struct stream *s, struct field_reader r);
void ssh_agent_open(struct stream *s, struct field_reader r);

/* How many programs the kernel killed for want of memory. */
uint64_t memory_oom_kills(void);
/* Sets the clock to a TAG_TIME. */
int clock_set(const struct field *f, struct err *e);
/* Programs of their own, which exec runs as the guest user: send what a copy takes to stdout; make
 * what stdin brings, and answer on stdout.  Return the exit code. */
int copy_out(char *const *sources);
int copy_in(char *const *words);

/* Replaces a file's content. */
int write_in_place(const char *path, const char *text, struct err *e);
/* Writes out and unmounts the shares. */
int shutdown_mounts(struct server *srv, struct err *e);
/* Renews what a boot would, in a guest that was saved: the boot id. */
int suspend_renew(const char *boot_id, struct err *e);
/* Lets the processes that suspend stopped go on, a moment later. */
void suspend_wake_later(struct server *srv);

#endif
