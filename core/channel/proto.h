/* The protocol of both hops: client to supervisor (unix socket) and supervisor to guestd
 * (virtio-serial).
 *
 * A frame is a header of 12 bytes, little-endian, and a payload of at most FRAME_PAYLOAD_MAX:
 *
 *     0      1      2          4            8           12
 *     | type | lane | zero     | stream     | length    | payload ...
 *
 * Stream 0 belongs to the connection itself.  Other streams are opened by the host's side with an
 * OPEN frame whose body says what is wanted; guestd answers with data and ends each stream with
 * exactly one EXIT or ERROR.  A stream has up to three lanes: 0 towards the guest, 1 and 2 from it.
 * A sender may have at most FLOW_WINDOW unacknowledged bytes on a lane; CREDIT frames, sent as the
 * reader consumes, allow more.  So one slow reader stalls its own lane only, and nobody buffers
 * more than FLOW_WINDOW bytes a lane.
 *
 *     client                      guestd
 *       OPEN_PART* OPEN  ------->
 *                        <-------  DATA(1) DATA(2) CREDIT(0) ...
 *       DATA(0) EOF(0)   ------->
 *       CREDIT SIGNAL RESIZE -->
 *       RESET            ------->  (kill what the stream runs)
 *                        <-------  EOF(1) EOF(2) EXIT | ERROR   end of stream
 *
 * guestd says HELLO when it starts.  One that was suspended waits, across the machine's being saved
 * and loaded, for the host's HELLO, and answers it.
 */
#ifndef AGENTVM_CHANNEL_PROTO_H
#define AGENTVM_CHANNEL_PROTO_H

enum {
    PROTO_MAJOR = 1, /* differing majors do not talk */
    PROTO_MINOR = 0,
    FRAME_HEADER = 12,
    FRAME_PAYLOAD_MAX = 65536,
    FLOW_WINDOW = 1 << 20,    /* bytes in flight on a lane */
    CONNECT_WINDOW = 1 << 17, /* the same, of an OPEN_CONNECT: there may be a thousand at once */
    OPEN_BODY_MAX = 4 << 20,  /* an exec's argv and environment; Linux allows about 2 MiB */
    LANES = 3,
};

enum frame_type {
    FRAME_HELLO = 1, /* first frame each way, stream 0: fields PROTO_*, see enum proto_tag */
    FRAME_OPEN_PART, /* a piece of an OPEN body that does not fit one frame */
    FRAME_OPEN,      /* the last piece; fields, the first is TAG_KIND */
    FRAME_DATA,
    FRAME_EOF,    /* the sender will send no more on this lane */
    FRAME_STOP,   /* the receiver wants no more on this lane (its reader is gone) */
    FRAME_CREDIT, /* u32: so many more bytes may be sent on this lane */
    FRAME_SIGNAL, /* u32: signal number for the process group in the foreground */
    FRAME_RESIZE, /* u16 rows, u16 columns */
    FRAME_EXIT,   /* u32 enum exit_bits; u32 code or signal */
    FRAME_ERROR,  /* u32 exit code for the user; text */
    FRAME_RESET,  /* the opener gives up: kill, then end the stream */
    /* Between client and supervisor only, on stream 0. */
    FRAME_STAGE,    /* fields TAG_TEXT, TAG_US: a stage of the start ended; at the VM's end also
                       TAG_FORWARDED*, TAG_BYTES_IN, TAG_BYTES_OUT */
    FRAME_READY,    /* streams may be opened; fields TAG_TEXT... facts about the VM */
    FRAME_FAILED,   /* the VM failed or ended; fields TAG_TEXT, TAG_ADVICE, TAG_DETAIL, TAG_CODE,
                       TAG_LATE, TAG_OUTSIDE */
    FRAME_STOP_VM,  /* end the VM; the connection closes when that is done */
    FRAME_TTY,      /* the terminal's saved settings; its descriptor came along */
    FRAME_DETACH,   /* on a stream that the creator opens next: the exec is the agent, which the
                       supervisor keeps, and the VM with it; fields TAG_TTY, TAG_DETAIL the record */
    FRAME_DETACHED, /* it does so from now on; or: who was attached is not any more */
    FRAME_NOTE,     /* field TAG_TEXT: a line for the user, to the creator */
    /* From guestd. */
    FRAME_STARTED, /* the program of an exec that asked for it runs (TAG_NOTIFY) */
    /* Between client and supervisor again. */
    FRAME_RECORD, /* text: a client's record so far, for the case that it is killed; nothing: it
                     writes that itself now */
    FRAME_TYPE_END,
};

enum exit_bits {
    EXIT_BIT_SIGNALED = 1, /* a signal ended it */
    EXIT_BIT_OOM = 2,      /* meanwhile the guest's kernel killed a program for want of memory */
};

enum lane {
    LANE_IN = 0,  /* towards the guest: stdin */
    LANE_OUT = 1, /* stdout */
    LANE_ERR = 2, /* stderr */
};

enum open_kind {
    OPEN_EXEC = 1,    /* run a program: TAG_ARG+ TAG_ENV* TAG_CWD TAG_USER TAG_TTY ... */
    OPEN_PUT,         /* write a file: TAG_PATH TAG_MODE TAG_USER, bytes on lane 0 */
    OPEN_PERSONALIZE, /* make this clone itself: time, entropy, names, mounts.  The exit code is an
                         errno if it is ready without a mount of type "image", else 0 */
    OPEN_SHUTDOWN,    /* TAG_FREEZE: flush shares (and freeze the root) before the end */
    OPEN_SUSPEND,     /* stop every process, be silent until the next HELLO: to be saved */
    OPEN_CLOCK,       /* set the clock to TAG_TIME, as the host's was set */
    OPEN_ATTACH,    /* answered by the supervisor: to the agent that it keeps. TAG_TTY, TAG_STEAL */
    OPEN_PORTS,     /* which TCP ports have a listener: records on lane 1, see enum port_state */
    OPEN_CONNECT,   /* TAG_PORT: to a TCP port on the guest's loopback; lanes 0 and 1, windows of
                       CONNECT_WINDOW.  Lane 0 may be used when guestd grants its first CREDIT,
                       which says that the connection stands */
    OPEN_SSH_AGENT, /* TAG_PATH TAG_USER: the next connection of the guest's programs to an
                       ssh-agent at that path, which TAG_USER may use and which is SSH_AUTH_SOCK of
                       all that OPEN_EXEC starts from then on.  As OPEN_CONNECT from its first
                       CREDIT on */
};

/* A record of OPEN_PORTS: u16 port, u16 bits, little-endian; of every port where they changed. */
enum port_state {
    PORT_RECORD = 4,    /* bytes */
    PORT_LISTENING = 1, /* reachable on the guest's loopback */
    PORT_PRIVATE = 2,   /* a system service's own, which nobody is to connect to */
};

/* A record on lane 1 of OPEN_PERSONALIZE, before its end: u32 number of a mount of type "local", as
 * they came, u32 errno, little-endian: the image does not give that folder, so it is outside of it.
 */
enum { UNKEPT_RECORD = 8 };

/* Fields of bodies: u16 tag, u16 zero, u32 length, bytes; numbers are little-endian. */
enum proto_tag {
    TAG_KIND = 1, /* u32 enum open_kind */
    TAG_MAJOR,    /* u32 */
    TAG_MINOR,    /* u32 */
    TAG_BUILD,    /* text: version of the sender */
    TAG_ARG,
    TAG_ENV,      /* NAME=value */
    TAG_ENV_FILE, /* guest file of NUL-separated NAME=value lines, they win over TAG_ENV */
    TAG_CWD,
    TAG_USER, /* name of a guest user; default root */
    TAG_TTY,  /* u32: rows << 16 | columns */
    TAG_PATH,
    TAG_MODE,     /* u32 */
    TAG_TIME,     /* u64: CLOCK_REALTIME, nanoseconds */
    TAG_TIMEZONE, /* name, as "Europe/Berlin" */
    TAG_ENTROPY,  /* bytes, credited */
    TAG_HOSTNAME,
    TAG_MACHINE_ID,   /* 32 hex digits */
    TAG_HOST_ALIAS,   /* "address name" for /etc/hosts */
    TAG_MOUNT,        /* nested fields: TAG_MOUNT_TYPE TAG_MOUNT_SOURCE TAG_PATH TAG_USER */
    TAG_MOUNT_TYPE,   /* "9p"; "bind": a file or folder of the guest; "link": a symlink to a file;
                         "local": a folder of the guest, which is made where it is missing;
                         "image": a file with a file system */
    TAG_MOUNT_SOURCE, /* 9p mount tag; or the path that appears at TAG_PATH, which may begin with
                         "~/" */
    TAG_FREEZE,       /* u32: 1 freezes the root file system for good, 2 ends all programs before */
    TAG_TEXT,
    TAG_ADVICE,
    TAG_DETAIL,
    TAG_CODE,      /* u32 */
    TAG_US,        /* u64 microseconds */
    TAG_LATE,      /* u32: 1 if a deadline passed rather than something broke */
    TAG_BOOT_ID,   /* UUID, in place of the kernel's, which was saved with the machine */
    TAG_PORT,      /* u32, 1 to 65535 */
    TAG_FORWARDED, /* u32: a port of the guest << 16 | that of the host */
    TAG_BYTES_IN,  /* u64: carried to the guest on forwarded connections */
    TAG_BYTES_OUT, /* u64: from it */
    TAG_NOTIFY,    /* u32: 1 asks an exec for STARTED */
    TAG_STEAL,     /* u32: 1 takes the agent from who is attached */
    TAG_OUTSIDE,   /* u32: 1 if what ended the VM lies outside it, such as a signal */
};

#endif
