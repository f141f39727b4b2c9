/* What the parts of the supervisor share:
 *
 *   supervisor.c  its life: states, deadlines, the engine
 *   guest.c       the channel to guestd
 *   clock.c       the guest's clock, which follows the host's
 *   clients.c     those who are attached
 *   agent.c       the agent that runs on without a terminal of a client's
 *   attach.c      its screen, and who is attached to it
 *   ports.c       the guest's ports on this host, and its ssh-agent in the guest
 *   logs.c        what console and engine said
 *   share.c       what is behind the second share
 */
#ifndef AGENTVM_SUPERVISOR_INTERNAL_H
#define AGENTVM_SUPERVISOR_INTERNAL_H

#include <termios.h>

#include "channel/conn.h"
#include "guest/ports.h"
#include "guest/ssh_agent.h"
#include "supervisor/relay.h"
#include "supervisor/supervisor.h"

enum state { STARTING, BOOTING, PERSONALIZING, RUNNING, FLUSHING, SAVING, STOPPING };

struct client {
    struct client *next;
    struct supervisor *sup;
    struct conn *conn;
    bool creator, greeted;
    char *record;      /* of its run, which it writes itself if it lives to see the end; or NULL */
    int64_t record_us; /* when the program of that record began */
    int tty;           /* terminal to rescue when the client is killed, or -1 */
    struct termios saved;
};

struct supervisor {
    const struct vm_order *order;
    char id[9];
    struct vm_config config;
    char *overlay, *console, *stderr_log, *sock_path, *empty;
    struct loop *loop;
    struct loop_timer *deadline;
    struct loop_timer *lost; /* guestd closed its port: is the engine ending? */
    enum state state;
    struct vm *vm;
    struct conn *guest;
    struct relay *relay;
    struct agent *agent; /* NULL unless the supervisor was given it to keep */
    struct client *clients;
    int listener;
    int64_t start_us;
    int64_t started;   /* when it became ready, in seconds since the epoch */
    bool greeted;      /* guestd said hello */
    bool late;         /* a deadline passed */
    bool outside;      /* what ended the VM is no fault of its own */
    bool clock_set;    /* the host's clock was, and guestd is not told yet */
    bool clock_on_way; /* guestd was told and has not answered */
    bool failed;
    bool told_unkept; /* which [guest-local] folders are not the kept ones */
    struct ports *ports;
    struct loop_timer *ports_timer; /* until they are watched */
    struct port_account account;    /* when they were closed */
    struct ssh_agent *ssh_agent;    /* NULL unless it is forwarded */
    char *record;                   /* of a creator that was killed; or NULL */
    int64_t record_us;              /* when the program of that record began */
};

/* Streams of our own. */
enum {
    STREAM_PERSONALIZE = 1,
    STREAM_SHUTDOWN = 2, /* or suspend */
    STREAM_CLOCK = 3,
};

/* Ends the VM because of a failure, which the clients are told; takes what why holds. */
void supervisor_fail(struct supervisor *s, struct err *why);
/* Stops the engine at once, as what was under way at the VM's end failed; takes what why holds. */
void supervisor_abandon(struct supervisor *s, struct err *why);
/* Ends the VM because the guest cannot be talked to any more; takes what why holds. */
void supervisor_guest_failed(struct supervisor *s, struct err *why);
/* Ends the VM because the guest daemon is gone. */
void supervisor_guestd_lost(struct supervisor *s);
/* Ends the VM in order: flush, then stop the engine. */
void supervisor_stop(struct supervisor *s);
/* Saves the machine, whose guest is quiet, then stops the engine. */
void supervisor_save(struct supervisor *s);
/* Stops the engine at once. */
void supervisor_stop_engine(struct supervisor *s);
/* (Re)starts the deadline of the present state. */
void supervisor_deadline(struct supervisor *s, int ms);
/* Adds the end of the console's log to an error. */
void supervisor_add_console(struct supervisor *s, struct err *e);
/* The device of the second share is there in any case, as a saved machine has it: where nothing is
 * kept, there is an empty folder behind it.  It also is the scratch folder of a namespace. */
int supervisor_make_kept(struct supervisor *s, struct err *e);
/* Keeps the logs from growing, from now on. */
void supervisor_watch_logs(struct supervisor *s);

/* guest.c */
/* The callbacks of the connection to guestd. */
void guest_side_frame(void *arg, struct conn *c, const struct frame *f);
void guest_side_closed(void *arg, struct conn *c, const char *why);
/* Tells others about the VM, as it is now; where that fails, what they were told before stays. */
int supervisor_publish(struct supervisor *s, struct err *e);

/* ports.c */
/* Begins, a little later, to forward the guest's ports, if any may be. */
void supervisor_watch_ports(struct supervisor *s);
/* Lets the guest use this host's ssh-agent, if it may; before any program is started there. */
void supervisor_forward_ssh_agent(struct supervisor *s);
/* Closes both; before the guest's connection goes. */
void supervisor_close_ports(struct supervisor *s);

/* clock.c */
/* Lets the guest's clock follow the host's, from now on. */
int supervisor_follow_clock(struct supervisor *s, struct err *e);
/* A child ended, was stopped or goes on. */
void supervisor_child_changed(struct supervisor *s);
/* Tells guestd the time if the host's clock was set and guestd may be told now. */
void supervisor_tell_time(struct supervisor *s);

/* agent.c */
/* Whether a client's frame is about the agent; then it is dealt with. */
bool agent_takes_frame(struct supervisor *s, struct client *c, const struct frame *f);
void agent_forget_client(struct supervisor *s, const struct client *c);
bool agent_is_detached(const struct supervisor *s);
/* A line for the user, where the agent runs without a client that could be told: into its log. */
void agent_tell(struct supervisor *s, const char *text);
/* Why the VM ends before the agent does, for its record. */
void agent_note_failure(struct supervisor *s, const struct err *why);
/* Writes the record of an agent that the supervisor kept; ports are closed by then. */
void agent_close(struct supervisor *s);

/* clients.c */
void clients_add(struct supervisor *s, int fd, bool creator);
void clients_listen(struct supervisor *s);
void clients_tell_stage(struct supervisor *s, const char *name);
/* The last stage: the VM ended in order, and this is what there was of ports. */
void clients_tell_end(struct supervisor *s);
/* but: a client that is not told, or NULL. */
void clients_tell_failure(struct supervisor *s, const struct err *why, const struct client *but);
void clients_tell_ready(struct supervisor *s);
/* A line for the user, at the creator. */
void clients_tell_creator(struct supervisor *s, const char *text);
/* Writes the record of a creator that was killed; ports are closed by then. */
void clients_write_record(struct supervisor *s);
/* Flushes what is on its way to them; their connections end with the process. */
void clients_goodbye(struct supervisor *s);

#endif
