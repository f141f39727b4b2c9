/* What a detached agent wrote, read from its files; see agent_log.h.
 *
 * To follow them is to look again whenever something changes in their folder, until the VM's
 * supervisor, which writes them, is gone. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "guest/terminal.h"
#include "session/choose.h"
#include "session/detach.h"
#include "state/agent_log.h"

enum { BLOCK = 65536 };

struct reader {
    const char *path;
    int fd;
    struct terminal_filter *filter; /* NULL: stdout is no terminal */
    struct err *error;
    bool failed;
};

static void print(struct reader *r, const void *data, size_t len)
{
    auto_buf struct buf passed = BUF_INIT;

    if (r->filter)
        terminal_filter(r->filter, data, len, &passed);
    if (r->failed || file_write_stream(STDOUT_FILENO, r->filter ? passed.data : data,
                                       r->filter ? passed.len : len) == 0)
        return;
    r->failed = true;
    err_errno(r->error, errno, "cannot write to stdout");
}

/* Prints what a file has from where it was read last. */
static void drain(struct reader *r, int fd)
{
    auto_free char *block = mem_zalloc(1, BLOCK);
    ssize_t n;

    while (fd >= 0 && !r->failed && (n = read(fd, block, BLOCK)) != 0) {
        if (n < 0)
            break;
        print(r, block, (size_t)n);
    }
}

static int open_log(const char *path)
{
    return open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
}

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev;
}

static bool is_at(int fd, const char *path)
{
    struct stat a, b;

    return fstat(fd, &a) == 0 && lstat(path, &b) == 0 && is_same(&a, &b);
}

/* Whether the newer file has the older one's name, too, which it is about to be. */
static bool are_one(int old_fd, int fd)
{
    struct stat a, b;

    return fstat(old_fd, &a) == 0 && fstat(fd, &b) == 0 && is_same(&a, &b);
}

/* What is there; and the newer file if it has become the older one meanwhile. */
static void read_on(struct reader *r)
{
    for (;;) {
        int next;

        drain(r, r->fd);
        if (r->failed || is_at(r->fd, r->path))
            return;
        next = open_log(r->path);
        if (next < 0)
            return;
        drain(r, r->fd); /* what came before it was renamed */
        close_fd(&r->fd);
        r->fd = next;
    }
}

static void read_all(struct reader *r, const char *old)
{
    auto_close int old_fd = -1;

    do { /* both as they are at one moment */
        close_fd(&r->fd);
        close_fd(&old_fd);
        r->fd = open_log(r->path);
        old_fd = open_log(old);
    } while (r->fd >= 0 && !is_at(r->fd, r->path));
    if (!are_one(old_fd, r->fd))
        drain(r, old_fd);
    drain(r, r->fd);
}

struct change {
    struct reader *reader;
    struct loop *loop;
    int fd;
};

static void on_change(void *arg, short events)
{
    char names[sizeof(struct inotify_event) + NAME_MAX + 1];
    struct change *c = arg;

    (void)events;
    while (read(c->fd, names, sizeof(names)) > 0) /* only that there was something matters */
        ;
    read_on(c->reader);
    if (c->reader->failed)
        loop_quit(c->loop);
}

static int follow(struct session *s, const char *vm, struct reader *r, struct err *e)
{
    auto_close int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    struct change c = {r, s->task.loop, fd};
    struct loop_watch *watch;

    if (fd < 0 || inotify_add_watch(fd, s->paths.logs, IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0)
        return err_errno(e, errno, "cannot watch %s", s->paths.logs);
    s->link = client_attach(&s->task, &s->paths, vm, NULL);
    watch = loop_watch(s->task.loop, fd, POLLIN, on_change, &c);
    read_on(r);
    while (s->link && !r->failed && !s->task.interrupted && !client_has_ended(s->link))
        loop_run(s->task.loop);
    loop_unwatch(watch);
    read_on(r);
    return task_check(&s->task, e);
}

int session_logs(struct session *s, const char *word, bool follows, struct err *e)
{
    auto_free char *vm = NULL, *path = NULL, *old = NULL;
    auto_free struct terminal_filter *filter = NULL;
    auto_buf struct buf last = BUF_INIT;
    struct reader r = {.fd = -1, .error = e};
    bool runs;
    int rc = 0;

    if (choose_agent(s, word, &vm, &runs, e) < 0)
        return -1;
    path = agent_log_path(&s->paths, vm, false);
    old = agent_log_path(&s->paths, vm, true);
    if (isatty(STDOUT_FILENO))
        filter = mem_zalloc(1, sizeof(*filter));
    r.filter = filter;
    r.path = path;
    read_all(&r, old);
    if (r.fd < 0)
        return err_errno(e, errno, "cannot open %s", path);
    if (follows && runs)
        rc = follow(s, vm, &r, e);
    close_fd(&r.fd);
    if (filter) {
        terminal_reset(filter, &last);
        file_write_stream(STDOUT_FILENO, last.data, last.len);
    }
    return r.failed ? -1 : rc;
}
