/* Unix sockets. */
#ifndef AGENTVM_PROC_SOCK_H
#define AGENTVM_PROC_SOCK_H

#include "base/err.h"

/* A connected pair, close-on-exec, blocking. */
int sock_pair(int fds[2], struct err *e);
/* A listening socket at path (mode 0600 by the umask of the call); the path must not exist and
 * must fit sockaddr_un, which model/paths guarantees. */
int sock_listen(const char *path, struct err *e);
/* Connects to path; the peer must run as this user.  Returns a blocking descriptor. */
int sock_connect(const char *path, struct err *e);
/* The same, non-blocking: who does not accept connections is an error, too. */
int sock_connect_now(const char *path, struct err *e);
/* Accepts one connection of this user (others are refused); -1 with an error otherwise. */
int sock_accept(int listener, struct err *e);
/* Sends one byte with a descriptor attached; the peer uses sock_recv. */
int sock_send_fd(int sock, unsigned char byte, int fd, struct err *e);
/* As recv(2) without blocking; a descriptor that came along replaces *fd (the old one is closed).
 * Returns what recv returns. */
long sock_recv(int sock, void *data, unsigned long len, int *fd);

#endif
