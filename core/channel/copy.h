/* Files and folders as records on a pipe, for `agentvm cp`.
 *
 * One side walks what is to be copied and sends records, the other one makes it again.  Both run on
 * the host and in the guest, so the receiver trusts nothing of what it reads.  A record is a head
 * of COPY_HEAD bytes, little-endian, a name and data:
 *
 *     0      1      2            4      8             16            20
 *     | type | zero | name length | mode | time of change | data length | name ... | data ...
 *
 *     stream := entry* (DONE | FAILED)
 *     entry  := FOLDER entry* LEAVE | FILE DATA* COMPLETE | LINK | SKIPPED
 *
 * A name is one component of a path: where something lands is said by FOLDER and LEAVE around it.
 * What a source of the copy is called is the receiver's to know, not the sender's to say. */
#ifndef AGENTVM_CHANNEL_COPY_H
#define AGENTVM_CHANNEL_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum copy_type {
    COPY_FOLDER = 1,
    COPY_LEAVE,    /* the folder is complete */
    COPY_FILE,     /* regular; its data follow */
    COPY_DATA,     /* at most COPY_DATA_MAX bytes of it */
    COPY_COMPLETE, /* the file is */
    COPY_LINK,     /* a symlink; data is where it leads */
    COPY_SKIPPED,  /* a device, socket or pipe, which is not copied */
    COPY_DONE,     /* nothing follows; also the receiver's answer */
    COPY_FAILED,   /* likewise; data is why, one line */
    COPY_TYPE_END,
};

enum {
    COPY_HEAD = 20,
    COPY_DATA_MAX = 65536,
    COPY_NAME_MAX = 255,    /* NAME_MAX of Linux's file systems */
    COPY_TARGET_MAX = 4095, /* of a symlink */
    COPY_TEXT_MAX = 4096,
    COPY_DEPTH_MAX = 256, /* folders within each other, each an open descriptor */
};

/* Called for what is not copied, with its path and the reason. */
typedef void copy_note_fn(void *arg, const char *path, const char *why);

/* What the last component of a source is called; "." for one that has no name of its own ("..",
 * "/", "a/."), whose content goes where the copy goes.  The caller frees it. */
char *copy_name(const char *source);

/* Opens the folder that a path's last component is in; and that component, "." where it has none,
 * for the caller to free.  Whoever may write in one of the folders hostile (canonical,
 * NULL-terminated; or NULL) could put a symlink there, which is not followed.  Returns a descriptor
 * with no right to read, or -1 with errno, and with *e if there was such a link. */
int copy_find(const char *path, char *const *hostile, char **name, struct err *e);
/* The same for a path that is a folder, or a symlink to one. */
int copy_open_folder(const char *path, char *const *hostile, struct err *e);

/* Sends the sources and DONE, or FAILED with the reason, which *e gets, too.  "-" is standard
 * input's data, sent as a file.  hostile: as above.  note NULL: what is skipped is told the
 * receiver.  Returns 0, -1, or 1 if the receiver is gone, which knows why.  SIGPIPE must be
 * ignored. */
int copy_send(int out, char *const *sources, char *const *hostile, copy_note_fn *note, void *arg,
              struct err *e);
/* Sends DONE, or FAILED with the reason. */
int copy_answer(int out, const struct err *why, struct err *e);
/* Waits for that; who names the other side for the message. */
int copy_await(int in, const char *who, struct err *e);

struct copy_target {
    const char *path;     /* a folder, or the name of the copy of the only source */
    char *const *names;   /* copy_name of each source; "": it has none, and path must be a file's */
    int stream;           /* in place of path: a descriptor that gets a file's data; or -1 */
    const char *who;      /* the sender, for messages */
    char *const *hostile; /* as above */
    bool keep_links_in;   /* refuse symlinks that lead out of what is copied */
    copy_note_fn *note;   /* may be NULL */
    void *arg;
};

/* Makes what in's records say, up to DONE.  A file appears when it is complete; nothing is written
 * through a symlink below path. */
int copy_receive(int in, const struct copy_target *t, struct err *e);

/* One record, as copy_read and copy_write have it. */
struct copy_record {
    uint8_t type;
    uint32_t mode;
    int64_t time; /* nanoseconds since the epoch */
    char name[COPY_NAME_MAX + 1];
    uint32_t len;
    char *data; /* COPY_DATA_MAX + 1 bytes of the caller's; NUL behind the last */
};

int copy_write(int out, const struct copy_record *r, struct err *e);
/* Fails on an early end, and on anything that breaks the bounds above. */
int copy_read(int in, struct copy_record *r, const char *who, struct err *e);
/* Sets *e to what a FAILED record says, made harmless. */
int copy_explain(const struct copy_record *r, const char *who, struct err *e);

#endif
