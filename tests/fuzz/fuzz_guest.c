/* A hostile guest's bytes on the client's side: programs and files, one after the other, until the
 * bytes are used up.  The first byte chooses with what the first one starts. */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "base/file.h"
#include "base/mem.h"
#include "fuzz.h"
#include "guest/exec.h"
#include "proc/sock.h"

enum { REQUESTS = 6, INPUT_MAX = 64 * 1024, FILE_BYTES = 2 << 20 };

struct world {
    struct loop *loop;
    struct conn *conn;
    struct guest *guest;
    int far, null, zero;
    bool lost;
};

static void lose(struct world *w, const char *why)
{
    w->lost = true;
    guest_lost(w->guest, why);
}

static void on_frame(void *arg, struct conn *c, const struct frame *f)
{
    struct world *w = arg;

    (void)c;
    if (!guest_frame(w->guest, f))
        lose(w, "the guest broke the protocol");
}

static void on_closed(void *arg, struct conn *c, const char *why)
{
    (void)c;
    lose(arg, why ? why : "closed");
}

static void check_error(const struct err *e)
{
    FUZZ_HOLDS(e->msg);
    for (const char *p = e->msg; *p; p++) /* it is shown to the user, as one line */
        FUZZ_HOLDS((unsigned char)*p >= 0x20 && *p != 0x7f);
    FUZZ_HOLDS(err_exit_code(e) == EXIT_AGENTVM || err_exit_code(e) == EXIT_CANNOT_EXEC ||
               err_exit_code(e) == EXIT_NOT_FOUND);
}

static void run_program(struct world *w, unsigned kind)
{
    char *const argv[] = {"program", NULL};
    struct guest_program p = {.argv = argv};
    struct guest_stdio io = {kind & 1 ? w->zero : -1, w->null, w->null, kind & 2};
    struct exit_status status = {.code = -1};
    auto_err struct err e = ERR_INIT;

    if (guest_exec(w->guest, &p, &io, &status, &e) < 0)
        check_error(&e);
    else
        FUZZ_HOLDS(status.code >= 0 && status.code <= 255);
}

static void put_file(struct world *w)
{
    static const char bytes[FILE_BYTES];
    auto_err struct err e = ERR_INIT;

    if (guest_put(w->guest, "/file", 0600, NULL, bytes, sizeof(bytes), &e) < 0)
        check_error(&e);
}

/* All bytes lie in the socket before anything runs, and their end is the connection's. */
static void set_up(struct world *w, const uint8_t *data, size_t size)
{
    struct conn_events ev = {on_frame, on_closed, w};
    int pair[2];

    FUZZ_HOLDS(sock_pair(pair, NULL) == 0);
    file_write_all(pair[1], data, size, NULL);
    shutdown(pair[1], SHUT_WR);
    w->loop = loop_new();
    w->far = pair[1];
    w->null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    w->zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    w->conn = conn_new(w->loop, pair[0], true, &ev);
    w->guest = guest_new(w->loop, w->conn);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world w = {0};
    unsigned kind = size > 0 ? data[0] : 0;

    signal(SIGPIPE, SIG_IGN);
    size = size < INPUT_MAX ? size : INPUT_MAX;
    set_up(&w, size ? data + 1 : data, size ? size - 1 : 0);
    for (unsigned i = 0; i < REQUESTS && !w.lost; i++) {
        if ((kind + i) % 3 == 2)
            put_file(&w);
        else
            run_program(&w, kind + i);
    }
    guest_free(w.guest);
    conn_free(w.conn);
    loop_free(w.loop);
    close(w.far);
    close(w.null);
    close(w.zero);
    return 0;
}
