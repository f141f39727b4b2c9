/* Files and folders, opened relative to a descriptor where somebody else may own the tree. */
#ifndef AGENTVM_BASE_FILE_H
#define AGENTVM_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/str.h"

/* Reads a regular file of at most max bytes, not following a symlink in its last component.
 * dirfd may be AT_FDCWD.  *out is replaced; the caller frees it.
 * Returns 0; 1 if the file does not exist (no error is made); -1 on any other failure. */
int file_read_at(int dirfd, const char *name, size_t max, struct buf *out, struct err *e);

/* The same for a file that holds a secret: one that is not the user's own, or that others can read
 * or write, is an error. */
int file_read_private_at(int dirfd, const char *name, size_t max, struct buf *out, struct err *e);

/* Writes a file through a temporary name and rename(2), so that readers see the old bytes or the
 * new ones, never a part.  mode is given to the new file. */
int file_write_at(int dirfd, const char *name, const void *data, size_t len, mode_t mode,
                  struct err *e);

/* Writes a file that must not exist yet; a symlink of that name, even a dangling one, exists.
 * Returns 0; 1 if there is something of that name (no error is made); -1 on any other failure,
 * which leaves no file behind. */
int file_create_at(int dirfd, const char *name, const void *data, size_t len, mode_t mode,
                   struct err *e);

/* Writes all bytes to fd, which must be blocking. */
int file_write_all(int fd, const void *data, size_t len, struct err *e);

/* Writes all to a standard stream, whose reader may be slow or stuck: while it waits, signals that
 * are blocked have their own action again, so that the process can be ended.  -1 with errno. */
int file_write_stream(int fd, const void *data, size_t len);

/* Reads fd to its end, at most max bytes; longer input is an error. */
int file_read_fd(int fd, size_t max, struct buf *out, struct err *e);

/* Reads the last bytes of a log, at most max; nothing if there is no such file or path is NULL. */
void file_read_tail(const char *path, size_t max, struct buf *out);

/* Whether path is the folder or below it; both without "//", "." or "..". */
bool file_is_inside(const char *path, const char *folder);
/* Drops the paths that are below others of the list. */
void file_drop_inner(struct strv *paths);

/* Creates path and its missing parents with mode. */
int file_mkdirs(const char *path, mode_t mode, struct err *e);

/* Opens a folder below dirfd by a relative path; "" is dirfd itself.  No component may be a
 * symlink. make: what is missing is created, 0700.  Returns an O_PATH descriptor, or -1 with errno
 * kept. */
int file_open_below(int dirfd, const char *path, bool make, struct err *e);

/* Removes name below dirfd with all that is in it; crosses no symlink.  Absent is success. */
int file_remove_tree_at(int dirfd, const char *name, struct err *e);

/* Opens (creating it, 0600) and locks a file with flock(2).
 * Returns a descriptor that holds the lock until closed; -1 with errno EWOULDBLOCK and no error
 * made if wait is false and somebody else holds it; -1 with an error otherwise. */
int file_lock_at(int dirfd, const char *name, bool shared, bool wait, struct err *e);

/* An anonymous file in memory that holds data, positioned at its start; -1 on failure. */
int file_memfd(const char *name, const void *data, size_t len, struct err *e);

/* Sets or clears close-on-exec and non-blocking mode. */
int file_set_cloexec(int fd, bool on, struct err *e);
int file_set_nonblock(int fd, bool on, struct err *e);

/* How many files this process may have open, which is also how many poll(2) takes. */
uint64_t file_limit(void);
/* Lets it open so many, as far as its hard limit goes. */
void file_raise_limit(uint64_t files);

/* How much an ordinary user may still write on the file system of path. */
int file_free_space(const char *path, uint64_t *bytes, struct err *e);
/* Fails if an ordinary user may write less than bytes more on the file system of path; what begins
 * the message ("the VM's image"). */
int file_check_space(const char *path, uint64_t bytes, const char *what, struct err *e);

#endif
