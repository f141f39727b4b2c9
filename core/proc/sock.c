#include "proc/sock.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"

enum { BACKLOG = 128 }; /* who connects without blocking fails where it is full */

int sock_pair(int fds[2], struct err *e)
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return err_errno(e, errno, "cannot create a socket pair");
    return 0;
}

static int make_address(const char *path, struct sockaddr_un *address, struct err *e)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address->sun_path))
        return err_set(e, "socket path %s is longer than %zu bytes", path,
                       sizeof(address->sun_path) - 1);
    memcpy(address->sun_path, path, strlen(path) + 1);
    return 0;
}

int sock_listen(const char *path, struct err *e)
{
    auto_close int fd = -1;
    struct sockaddr_un address;
    mode_t mask;
    int rc;

    if (make_address(path, &address, e) < 0)
        return -1;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_errno(e, errno, "cannot create a socket");
    mask = umask(0177);
    rc = bind(fd, (struct sockaddr *)&address, sizeof(address));
    umask(mask);
    if (rc < 0 || listen(fd, BACKLOG) < 0)
        return err_errno(e, errno, "cannot listen on %s", path);
    return steal_fd(&fd);
}

static int check_peer(int fd, struct err *e)
{
    struct ucred cred;
    socklen_t len = sizeof(cred);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
        return err_errno(e, errno, "cannot identify the peer of a socket");
    if (cred.uid != geteuid())
        return err_set(e, "the peer of a socket runs as another user (uid %u)", cred.uid);
    return 0;
}

static int connect_to(const char *path, int flags, struct err *e)
{
    auto_close int fd = -1;
    struct sockaddr_un address;

    if (make_address(path, &address, e) < 0)
        return -1;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    if (fd < 0)
        return err_errno(e, errno, "cannot create a socket");
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return err_errno(e, errno, "cannot connect to %s", path);
    if (check_peer(fd, e) < 0)
        return -1;
    return steal_fd(&fd);
}

int sock_connect(const char *path, struct err *e)
{
    return connect_to(path, 0, e);
}

int sock_connect_now(const char *path, struct err *e)
{
    return connect_to(path, SOCK_NONBLOCK, e);
}

int sock_accept(int listener, struct err *e)
{
    auto_close int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0)
        return err_errno(e, errno, "cannot accept a connection");
    if (check_peer(fd, e) < 0)
        return -1;
    return steal_fd(&fd);
}

int sock_send_fd(int sock, unsigned char byte, int fd, struct err *e)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {&byte, 1};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = &control,
                         .msg_controllen = sizeof(control)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&msg);

    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &fd, sizeof(int));
    if (sendmsg(sock, &msg, MSG_NOSIGNAL) != 1)
        return err_errno(e, errno, "cannot send a descriptor");
    return 0;
}

long sock_recv(int sock, void *data, unsigned long len, int *fd)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {data, len};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = &control,
                         .msg_controllen = CMSG_LEN(sizeof(int))}; /* for one and no more */
    ssize_t n = recvmsg(sock, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    struct cmsghdr *header = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;

    if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
        header->cmsg_len == CMSG_LEN(sizeof(int))) {
        close_fd(fd);
        memcpy(fd, CMSG_DATA(header), sizeof(int));
    }
    return n;
}
