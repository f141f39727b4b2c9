/* A hostile guest's bytes to the host's ssh-agent.  The first byte chooses the size of the pieces,
 * the second what the agent does with a request: it answers, or not, or wrongly, or goes away.
 * Whatever comes, the agent gets whole requests only, and of those types only that change nothing.
 */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "fuzz.h"
#include "guest/ssh_agent.h"
#include "guest/ssh_filter.h"
#include "proc/sock.h"

enum { INPUT_MAX = 512 * 1024, CALLS = 64 };

struct world {
    struct loop *loop;
    struct conn *conn;
    struct ssh_agent *set;
    char *path;
    int far, listener;
    struct call {
        int fd;
        struct buf got;
    } calls[CALLS]; /* to the agent */
    size_t ncalls;
    unsigned notes, deed;
    bool broken;
};

static void on_frame(void *arg, struct conn *c, const struct frame *f)
{
    struct world *w = arg;

    if (ssh_agent_frame(w->set, f))
        return;
    w->broken = true;
    conn_pause(c, true);
}

static void on_closed(void *arg, struct conn *c, const char *why)
{
    struct world *w = arg;

    (void)c;
    (void)why;
    w->broken = true;
}

static void on_note(void *arg, const char *text)
{
    struct world *w = arg;

    w->notes++;
    for (; *text; text++) /* it is shown to the user, as one line */
        FUZZ_HOLDS((unsigned char)*text >= 0x20 && *text != 0x7f);
}

static void answer(struct world *w, struct call *c)
{
    static const char keys[] = "\0\0\0\5\x0c\0\0\0";
    static const char wrong[] = "\xff\xff\xff\xff";

    if (w->deed % 4 == 0)
        send(c->fd, keys, sizeof(keys), MSG_NOSIGNAL);
    else if (w->deed % 4 == 1)
        send(c->fd, wrong, sizeof(wrong), MSG_NOSIGNAL);
    else if (w->deed % 4 == 2)
        shutdown(c->fd, SHUT_RDWR);
}

static void serve(struct world *w, struct call *c)
{
    size_t size = 0, at = 0;
    ssize_t n;

    buf_reserve(&c->got, FRAME_PAYLOAD_MAX);
    n = recv(c->fd, c->got.data + c->got.len, FRAME_PAYLOAD_MAX, MSG_DONTWAIT);
    c->got.len += n > 0 ? (size_t)n : 0;
    for (; ssh_judge_answer(c->got.data + at, c->got.len - at, &size) == SSH_PASS; at += size) {
        FUZZ_HOLDS(memchr("\x0b\x0d\x1b", c->got.data[at + SSH_HEAD], 3));
        answer(w, c);
    }
    FUZZ_HOLDS(ssh_judge_answer(c->got.data + at, c->got.len - at, &size) == SSH_MORE);
    buf_consume(&c->got, at);
}

static void be_agent(struct world *w)
{
    int fd = sock_accept(w->listener, NULL);

    if (fd >= 0 && w->ncalls < CALLS)
        w->calls[w->ncalls++] = (struct call){.fd = fd, .got = BUF_INIT};
    else
        close_fd(&fd);
    for (size_t i = 0; i < w->ncalls; i++)
        serve(w, &w->calls[i]);
}

static void set_up(struct world *w)
{
    struct conn_events ev = {on_frame, on_closed, w};
    struct ssh_agent_order order = {.user = "somebody", .note = on_note, .arg = w};
    const char *tmp = getenv("TMPDIR");
    int pair[2];

    order.path = w->path = mem_printf("%s/fuzz-agent.%d", tmp ? tmp : "/tmp", (int)getpid());
    unlink(w->path);
    w->listener = sock_listen(w->path, NULL);
    FUZZ_HOLDS(w->listener >= 0 && sock_pair(pair, NULL) == 0);
    w->far = pair[1];
    file_set_nonblock(w->far, true, NULL);
    w->loop = loop_new();
    w->conn = conn_new(w->loop, pair[0], true, &ev);
    w->set = ssh_agent_new(w->loop, w->conn, &order);
}

static void tear_down(struct world *w)
{
    ssh_agent_free(w->set);
    conn_free(w->conn);
    loop_free(w->loop);
    for (size_t i = 0; i < w->ncalls; i++) {
        close(w->calls[i].fd);
        buf_free(&w->calls[i].got);
    }
    close(w->far);
    close(w->listener);
    unlink(w->path);
    free(w->path);
}

/* The guest reads what it gets, so that nothing queues there. */
static void discard(int fd)
{
    static char block[FRAME_PAYLOAD_MAX];

    while (recv(fd, block, sizeof(block), MSG_DONTWAIT) > 0)
        ;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world w = {.deed = size > 1 ? data[1] : 0};
    size_t piece = size > 0 ? 1 + (size_t)data[0] * 256 : 1;

    signal(SIGPIPE, SIG_IGN);
    size = size < INPUT_MAX ? size : INPUT_MAX;
    set_up(&w);
    for (size_t at = 2; at < size && !w.broken; at += piece) {
        ssize_t n = send(w.far, data + at, size - at < piece ? size - at : piece, MSG_NOSIGNAL);

        (void)n; /* in pieces of up to 64 KiB they fit */
        for (int i = 0; i < 3; i++) {
            loop_step(w.loop, 0);
            be_agent(&w);
        }
        discard(w.far);
    }
    FUZZ_HOLDS(w.notes <= 1);
    tear_down(&w);
    return 0;
}
