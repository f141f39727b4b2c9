/* Files put into the guest: written under a temporary name, renamed when complete. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "channel/pump.h"
#include "guestd/server.h"
#include "guestd/user.h"

struct transfer {
    struct stream stream;
    int fd;
    char *path; /* the file's final name */
    char *tmp;  /* its name until it is complete */
    struct sink *in;
    struct user user;
    mode_t mode;
};

static void transfer_release(struct stream *s)
{
    struct transfer *t = (struct transfer *)s;

    sink_free(t->in);
    close_fd(&t->fd);
    if (t->tmp)
        unlink(t->tmp);
    free(t->tmp);
    free(t->path);
    user_free(&t->user);
}

static int complete_put(struct transfer *t, struct err *e)
{
    if (t->stream.server->in_guest && fchown(t->fd, t->user.uid, t->user.gid) < 0)
        return err_errno(e, errno, "cannot give %s to %s", t->path, t->user.name);
    if (fchmod(t->fd, t->mode) < 0 || rename(t->tmp, t->path) < 0)
        return err_errno(e, errno, "cannot write %s", t->path);
    free(steal_ptr(&t->tmp));
    return 0;
}

static void put_frame(struct stream *s, const struct frame *f)
{
    struct transfer *t = (struct transfer *)s;
    auto_err struct err e = ERR_INIT;

    if (f->type == FRAME_DATA) {
        if (!sink_data(t->in, f->payload, f->len)) {
            err_set(&e, "more data than the window allows");
            stream_error(s, &e);
        }
    } else if (f->type == FRAME_EOF) {
        if (sink_is_done(t->in)) /* it ends early only when writing failed: a full disk */
            err_set(&e, "cannot write %s: no space left", t->path);
        if (e.msg || complete_put(t, &e) < 0)
            stream_error(s, &e);
        else
            stream_ok(s);
    } else if (f->type == FRAME_RESET) {
        err_set(&e, "given up");
        stream_error(s, &e);
    }
}

static const struct stream_ops put_ops = {.frame = put_frame, .release = transfer_release};

static void ignore_done(void *arg)
{
    (void)arg;
}

static int parse(struct transfer *t, struct field_reader r, struct err *e)
{
    auto_free char *user = NULL;
    auto_free char *path = NULL;
    struct field f;

    t->mode = 0644;
    while (field_next(&r, &f)) {
        if (f.tag == TAG_PATH && !path)
            path = field_str(&f);
        else if (f.tag == TAG_USER && !user)
            user = field_str(&f);
        else if (f.tag == TAG_MODE)
            t->mode = field_u32(&f, 0644) & 07777;
    }
    if (r.malformed || !path)
        return err_set(e, "malformed file request");
    if (user_find(user ? user : "root", &t->user, e) < 0)
        return -1;
    t->path = user_path(&t->user, path);
    return 0;
}

static int open_put(struct transfer *t, struct err *e)
{
    if (user_make_parents(&t->user, t->path, e) < 0)
        return -1;
    t->tmp = mem_printf("%s.agentvm-%u", t->path, t->stream.id);
    unlink(t->tmp);
    t->fd = open(t->tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (t->fd < 0)
        return err_errno(e, errno, "cannot create %s", t->tmp);
    return 0;
}

void put_open(struct stream *s, struct field_reader r)
{
    struct transfer *t = stream_become(s, sizeof(*t), &put_ops);
    struct server *srv = t->stream.server;
    auto_err struct err e = ERR_INIT;

    t->fd = -1;
    if (parse(t, r, &e) < 0 || open_put(t, &e) < 0) {
        stream_error(&t->stream, &e);
        return;
    }
    t->in = sink_new(srv->loop, srv->conn, t->stream.id, LANE_IN, t->fd, ignore_done, t);
}
