/* The emulator's own process, which reads what a hostile guest wrote.
 *
 * It is an exec, so nothing of the supervisor's memory is here; it waits for one message at a time
 * and blocks on what it says. */
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "channel/frame.h"
#include "guest/emulator.h"
#include "guest/emulator_wire.h"
#include "proc/confine.h"

enum {
    /* The largest screen twice, as at a change of size, is 40 MB, its painting 23 MB. */
    MEMORY_MAX = 256 << 20,
    READ_CHUNK = 16384,
};

static void say(uint8_t type, uint8_t lane, const void *data, size_t len)
{
    uint8_t header[FRAME_HEADER];

    frame_encode_header(header, type, lane, 0, (uint32_t)len);
    if (file_write_all(EMULATOR_FD, header, sizeof(header), NULL) < 0 ||
        file_write_all(EMULATOR_FD, data, len, NULL) < 0)
        _exit(EXIT_FAILURE);
}

static void take_piece(struct screen *s, const struct frame *f)
{
    auto_buf struct buf answers = BUF_INIT;

    screen_feed(s, f->payload, f->len, f->stream == EMULATOR_ASKS ? &answers : NULL);
    if (answers.len > 0)
        say(FRAME_DATA, LANE_IN, answers.data, answers.len);
    say(FRAME_CREDIT, LANE_OUT, NULL, 0);
}

static void take_size(struct screen **s, const struct frame *f)
{
    struct emulator_size size;

    memcpy(&size, f->payload, sizeof(size));
    if (*s)
        screen_resize(*s, size.rows, size.columns, &size.on);
    else
        *s = screen_new(size.rows, size.columns);
}

static void take_order(const struct screen *s, const struct frame *f)
{
    auto_buf struct buf painting = BUF_INIT;
    struct emulator_order order;

    memcpy(&order, f->payload, sizeof(order));
    screen_paint(s, &order.on, &order.shown, order.scroll, &painting);
    for (size_t done = 0, n; done < painting.len; done += n) {
        n = painting.len - done < FRAME_PAYLOAD_MAX ? painting.len - done : FRAME_PAYLOAD_MAX;
        say(FRAME_DATA, LANE_OUT, painting.data + done, n);
    }
    say(FRAME_EOF, LANE_OUT, NULL, 0);
}

static void take(struct screen **s, const struct frame *f)
{
    if (f->type == FRAME_RESIZE)
        take_size(s, f);
    else if (f->type == FRAME_OPEN)
        take_order(*s, f);
    else
        take_piece(*s, f);
}

/* At the end of a sanitized program more would be asked of the kernel: hence _exit. */
void emulator_main(void)
{
    struct buf in = BUF_INIT;
    struct screen *s = NULL;
    struct frame f;
    ssize_t n;

    close(STDOUT_FILENO);
    prctl(PR_SET_NAME, "agentvm-screen");
    buf_reserve(&in, READ_CHUNK); /* the first memory, for which more is asked of the kernel */
    if (confine_process(EMULATOR_FD, MEMORY_MAX, NULL) < 0)
        _exit(EMULATOR_UNCONFINED);
    for (;;) {
        size_t start = 0;

        while (frame_parse(in.data + start, in.len - start, &f) == FRAME_OK) {
            start += FRAME_HEADER + f.len;
            take(&s, &f);
        }
        buf_consume(&in, start);
        buf_reserve(&in, READ_CHUNK);
        n = read(EMULATOR_FD, in.data + in.len, READ_CHUNK);
        if (n <= 0)
            _exit(n < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
        in.len += (size_t)n;
    }
}
