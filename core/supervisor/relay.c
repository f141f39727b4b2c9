#include "supervisor/relay.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

enum {
    /* What may lie here for a guest that grants credit but does not read.  Beyond what honest
     * guests need: a FLOW_WINDOW for each stream whose input guestd has not taken yet. */
    GUEST_QUEUE_MAX = 64 << 20,
};

struct route {
    struct route *next;
    struct conn *client; /* NULL: gone, the stream is waiting for its end */
    uint32_t client_stream;
    uint32_t guest_stream;
    relay_fn *own; /* the supervisor's, in place of a client; or NULL */
    void *arg;
    bool started;
    uint32_t window[LANES]; /* bytes that the lane's sender may still send */
    bool ended[LANES];      /* the guest said EOF, or STOP on LANE_IN: each once */
};

struct relay {
    struct conn *guest;
    struct route *routes;
    uint32_t next_stream;
};

struct relay *relay_new(struct conn *guest)
{
    struct relay *r = mem_zalloc(1, sizeof(*r));

    *r = (struct relay){.guest = guest, .next_stream = RELAY_FIRST_STREAM};
    conn_limit(guest, GUEST_QUEUE_MAX);
    return r;
}

void relay_free(struct relay *r)
{
    if (!r)
        return;
    while (r->routes) {
        struct route *next = r->routes->next;

        free(r->routes);
        r->routes = next;
    }
    free(r);
}

static struct route *find_by_client(struct relay *r, const struct conn *client, uint32_t stream)
{
    struct route *route = r->routes;

    while (route && (route->client != client || route->client_stream != stream))
        route = route->next;
    return route;
}

static struct route *add_route(struct relay *r, struct conn *client, uint32_t stream)
{
    struct route *route = mem_zalloc(1, sizeof(*route));

    *route = (struct route){.next = r->routes,
                            .client = client,
                            .client_stream = stream,
                            .guest_stream = r->next_stream++};
    for (int lane = 0; lane < LANES; lane++)
        route->window[lane] = FLOW_WINDOW;
    r->routes = route;
    return route;
}

static void remove_route(struct relay *r, struct route *dead)
{
    struct route **link = &r->routes;

    while (*link != dead)
        link = &(*link)->next;
    *link = dead->next;
    free(dead);
}

static void widen(struct route *route, const struct frame *f)
{
    uint32_t *window = &route->window[f->lane];
    uint32_t bytes = f->len == 4 ? get_u32(f->payload) : 0;

    *window = bytes > FLOW_WINDOW - *window ? FLOW_WINDOW : *window + bytes;
}

/* The client is forgotten; the stream lives until the guest ends it. */
static void reset_route(struct relay *r, struct route *route)
{
    route->client = NULL;
    conn_send(r->guest, FRAME_RESET, 0, route->guest_stream, NULL, 0);
}

static void refuse_data(struct relay *r, struct route *route)
{
    static const char text[] = "more data than the window allows";
    uint8_t payload[4 + sizeof(text)];

    put_u32(payload, EXIT_AGENTVM);
    memcpy(payload + 4, text, sizeof(text));
    conn_send(route->client, FRAME_ERROR, 0, route->client_stream, payload, sizeof(payload) - 1);
    reset_route(r, route);
}

static bool may_client_send(const struct frame *f)
{
    switch (f->type) {
    case FRAME_OPEN_PART:
    case FRAME_OPEN:
    case FRAME_DATA:
    case FRAME_EOF:
    case FRAME_SIGNAL:
    case FRAME_RESIZE:
    case FRAME_RESET:
        return f->lane == LANE_IN;
    case FRAME_CREDIT:
    case FRAME_STOP:
        return f->lane != LANE_IN;
    default:
        return false;
    }
}

void relay_from_client(struct relay *r, struct conn *client, const struct frame *f)
{
    struct route *route = find_by_client(r, client, f->stream);

    if (!may_client_send(f))
        return;
    if (!route && (f->type == FRAME_OPEN_PART || f->type == FRAME_OPEN))
        route = add_route(r, client, f->stream);
    if (!route)
        return; /* it crossed the stream's end */
    if (f->type == FRAME_CREDIT)
        widen(route, f);
    if (f->type == FRAME_DATA && f->len > route->window[LANE_IN]) {
        refuse_data(r, route);
        return;
    }
    if (f->type == FRAME_DATA)
        route->window[LANE_IN] -= f->len;
    conn_send(r->guest, f->type, f->lane, route->guest_stream, f->payload, f->len);
}

static bool end_lane(struct route *route, uint8_t lane)
{
    bool first = !route->ended[lane];

    route->ended[lane] = true;
    return first;
}

/* Whether the guest may send this frame now.  That bounds what a client which does not read makes
 * us keep: a window of DATA on each lane, and no more CREDIT frames than bytes it sent. */
static bool admit(struct route *route, const struct frame *f)
{
    uint32_t *window = &route->window[f->lane];

    switch (f->type) {
    case FRAME_DATA:
        if (f->lane == LANE_IN || route->ended[f->lane] || f->len == 0 || f->len > *window)
            return false;
        *window -= f->len;
        return true;
    case FRAME_EOF:
        return f->lane != LANE_IN && end_lane(route, f->lane);
    case FRAME_STOP:
        return f->lane == LANE_IN && end_lane(route, LANE_IN);
    case FRAME_CREDIT:
        if (f->lane != LANE_IN || f->len != 4 || get_u32(f->payload) == 0 ||
            get_u32(f->payload) > FLOW_WINDOW - *window)
            return false;
        *window += get_u32(f->payload);
        return true;
    case FRAME_STARTED: /* which only the supervisor asks for */
        if (!route->own || route->started)
            return false;
        route->started = true;
        return true;
    case FRAME_EXIT:
    case FRAME_ERROR:
        return true;
    default:
        return false;
    }
}

static struct route *find_by_guest(struct relay *r, uint32_t stream)
{
    struct route *route = r->routes;

    while (route && route->guest_stream != stream)
        route = route->next;
    return route;
}

bool relay_from_guest(struct relay *r, const struct frame *f)
{
    struct route *route = find_by_guest(r, f->stream);
    relay_fn *own;
    void *arg;

    if (!route || !admit(route, f)) /* guestd ends a stream once and is silent on it then */
        return false;
    if (route->client)
        conn_send(route->client, f->type, f->lane, route->client_stream, f->payload, f->len);
    own = route->own;
    arg = route->arg;
    if (f->type == FRAME_EXIT || f->type == FRAME_ERROR)
        remove_route(r, route);
    if (own)
        own(arg, f);
    return true;
}

void relay_drop_client(struct relay *r, struct conn *client)
{
    for (struct route *route = r->routes; route; route = route->next)
        if (route->client == client)
            reset_route(r, route);
}

uint32_t relay_open(struct relay *r, relay_fn *fn, void *arg)
{
    struct route *route = add_route(r, NULL, 0);

    route->own = fn;
    route->arg = arg;
    return route->guest_stream;
}

void relay_send(struct relay *r, uint32_t stream, uint8_t type, uint8_t lane, const void *data,
                size_t len)
{
    struct route *route = find_by_guest(r, stream);

    if (!route)
        return;
    if (type == FRAME_DATA)
        route->window[lane] -= (uint32_t)len;
    conn_send(r->guest, type, lane, stream, data, len);
}

void relay_credit(struct relay *r, uint32_t stream, uint8_t lane, uint32_t bytes)
{
    struct route *route = find_by_guest(r, stream);

    if (!route || bytes == 0)
        return;
    route->window[lane] += bytes;
    conn_send_u32(r->guest, FRAME_CREDIT, lane, stream, bytes);
}

uint32_t relay_window(struct relay *r, uint32_t stream)
{
    struct route *route = find_by_guest(r, stream);

    return route ? route->window[LANE_IN] : 0;
}
