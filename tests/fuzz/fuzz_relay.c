/* A hostile guest's bytes, through its connection and the relay, to two clients that do not read.
 * The first byte chooses the size of the pieces.  Client 0 has sent SENT bytes, client 1 hangs up
 * half-way. */
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "base/file.h"
#include "base/mem.h"
#include "channel/conn.h"
#include "fuzz.h"
#include "proc/sock.h"
#include "supervisor/relay.h"

enum { CLIENTS = 2, SENT = 1000, CLIENT_STREAM = 5, INPUT_MAX = 128 * 1024 };

struct world {
    struct loop *loop;
    struct relay *relay;
    struct conn *guest, *client[CLIENTS];
    int guest_far, client_far[CLIENTS];
    bool broken;
};

static void on_guest(void *arg, struct conn *c, const struct frame *f)
{
    struct world *w = arg;

    if (relay_from_guest(w->relay, f))
        return;
    w->broken = true; /* as the supervisor: that was its last frame */
    conn_pause(c, true);
}

static void on_guest_closed(void *arg, struct conn *c, const char *why)
{
    struct world *w = arg;

    (void)c;
    (void)why;
    w->broken = true;
}

static void on_client(void *arg, struct conn *c, const struct frame *f)
{
    (void)arg;
    (void)c;
    (void)f;
}

static void on_client_closed(void *arg, struct conn *c, const char *why)
{
    (void)arg;
    (void)c;
    (void)why;
}

static struct conn *open_end(struct world *w, const struct conn_events *ev, int *far)
{
    int pair[2];

    FUZZ_HOLDS(sock_pair(pair, NULL) == 0);
    *far = pair[1];
    return conn_new(w->loop, pair[0], true, ev);
}

static void client_sends(struct world *w, int i, uint8_t type, uint32_t len)
{
    static const uint8_t zeros[SENT];
    struct frame f = {.type = type, .stream = CLIENT_STREAM, .len = len, .payload = zeros};

    relay_from_client(w->relay, w->client[i], &f);
}

static void set_up(struct world *w)
{
    struct conn_events guest = {on_guest, on_guest_closed, w};
    struct conn_events client = {on_client, on_client_closed, w};

    w->loop = loop_new();
    w->guest = open_end(w, &guest, &w->guest_far);
    w->relay = relay_new(w->guest);
    for (int i = 0; i < CLIENTS; i++) {
        w->client[i] = open_end(w, &client, &w->client_far[i]);
        client_sends(w, i, FRAME_OPEN, 0);
    }
    client_sends(w, 0, FRAME_DATA, SENT);
}

static void drop_client(struct world *w, int i)
{
    if (!w->client[i])
        return;
    relay_drop_client(w->relay, w->client[i]);
    conn_free(steal_ptr(&w->client[i]));
}

/* What a client got is frames of its own stream that the protocol allows, and within the windows.
 */
static void check_client(int fd, bool counted)
{
    auto_buf struct buf got = BUF_INIT;
    size_t at = 0, data = 0, credits = 0;
    bool ended = false;
    struct frame f;
    ssize_t n;

    do {
        buf_reserve(&got, 65536);
        n = recv(fd, got.data + got.len, 65536, MSG_DONTWAIT);
        got.len += n > 0 ? (size_t)n : 0;
    } while (n > 0);
    while (got.len > at && frame_parse(got.data + at, got.len - at, &f) == FRAME_OK) {
        FUZZ_HOLDS(f.stream == CLIENT_STREAM && !ended);
        FUZZ_HOLDS(f.type != FRAME_DATA || (f.lane != LANE_IN && f.len > 0));
        FUZZ_HOLDS(f.type >= FRAME_DATA && f.type <= FRAME_ERROR);
        data += f.type == FRAME_DATA ? f.len : 0;
        credits += f.type == FRAME_CREDIT ? get_u32(f.payload) : 0;
        ended = f.type == FRAME_EXIT || f.type == FRAME_ERROR;
        at += FRAME_HEADER + f.len;
    }
    FUZZ_HOLDS(data <= 2 * FLOW_WINDOW && (!counted || credits <= SENT));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world w = {0};
    size_t piece = size > 0 ? 1 + (size_t)data[0] * 16 : 1;

    signal(SIGPIPE, SIG_IGN);
    size = size < INPUT_MAX ? size : INPUT_MAX;
    set_up(&w);
    for (size_t at = 1; at < size && !w.broken; at += piece) {
        if (at > size / 2)
            drop_client(&w, 1);
        file_write_all(w.guest_far, data + at, size - at < piece ? size - at : piece, NULL);
        loop_step(w.loop, 0);
    }
    for (int i = 0; i < CLIENTS; i++)
        check_client(w.client_far[i], i == 0);
    for (int i = 0; i < CLIENTS; i++) {
        drop_client(&w, i);
        close(w.client_far[i]);
    }
    close(w.guest_far);
    loop_step(w.loop, 0);
    relay_free(w.relay);
    conn_free(w.guest);
    loop_free(w.loop);
    return 0;
}
