/* A hostile guest's bytes to the ports of the host: its records, and the streams of connections,
 * whose clients come one with each piece, send a little and do not read.  The first byte chooses
 * the size of the pieces.  Only port 1 of the guest may appear, so that a run binds one port. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "channel/conn.h"
#include "fuzz.h"
#include "guest/forward.h"
#include "guest/ports.h"
#include "proc/sock.h"

enum { CLIENTS = 4, INPUT_MAX = 32 * 1024 };

struct world {
    struct loop *loop;
    struct conn *conn;
    struct ports *ports;
    struct port_policy policy;
    int far, client[CLIENTS], nclients;
    unsigned notes;
    bool broken;
};

static void on_frame(void *arg, struct conn *c, const struct frame *f)
{
    struct world *w = arg;

    if (f->stream >= PORTS_FIRST_STREAM && ports_frame(w->ports, f))
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

static void on_changed(void *arg)
{
    (void)arg;
}

static void on_note(void *arg, const char *text)
{
    struct world *w = arg;

    w->notes++;
    for (; *text; text++) /* it is shown to the user, as one line */
        FUZZ_HOLDS((unsigned char)*text >= 0x20 && *text != 0x7f);
}

static void connect_client(struct world *w)
{
    size_t n;
    const struct port_pair *list = ports_list(w->ports, &n);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd;

    FUZZ_HOLDS(n <= 1);
    if (n == 0 || w->nclients == CLIENTS)
        return;
    a.sin_port = htons(list[0].host);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
        send(fd, "hello", 5, MSG_NOSIGNAL | MSG_DONTWAIT);
    w->client[w->nclients++] = fd;
}

static void set_up(struct world *w)
{
    struct conn_events ev = {on_frame, on_closed, w};
    struct ports_events ports_ev = {on_changed, on_note, w};
    int pair[2];

    FUZZ_HOLDS(sock_pair(pair, NULL) == 0);
    w->far = pair[1];
    w->loop = loop_new();
    w->conn = conn_new(w->loop, pair[0], true, &ev);
    port_set_add(&w->policy.allow, "1");
    w->policy.automatic = true;
    w->ports = ports_new(w->loop, w->conn, &w->policy, &ports_ev);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world w = {0};
    size_t piece = size > 0 ? 1 + (size_t)data[0] * 4 : 1;

    signal(SIGPIPE, SIG_IGN);
    size = size < INPUT_MAX ? size : INPUT_MAX;
    set_up(&w);
    for (size_t at = 1; at < size && !w.broken; at += piece) {
        file_write_all(w.far, data + at, size - at < piece ? size - at : piece, NULL);
        loop_step(w.loop, 0);
        connect_client(&w);
        loop_step(w.loop, 0);
    }
    FUZZ_HOLDS(w.notes <= 33);
    ports_free(w.ports);
    conn_free(w.conn);
    loop_free(w.loop);
    for (int i = 0; i < w.nclients; i++)
        close(w.client[i]);
    close(w.far);
    return 0;
}
