/* What QEMU says over QMP: any bytes, in pieces.  The first byte chooses the size of the pieces. */
#include "fuzz.h"
#include "vm/qmp.h"

static void on_reply(void *arg, const cJSON *result, const char *failure)
{
    (void)arg;
    FUZZ_HOLDS(result || failure);
}

static void on_ready(void *arg)
{
    struct qmp **q = arg;

    qmp_command(*q, "query-status", NULL, on_reply, NULL, NULL);
}

/* Frees the client from within, as a driver may. */
static void on_event(void *arg, const char *name, const cJSON *data)
{
    struct qmp **q = arg;

    (void)data;
    if (name[0] == 'F') {
        qmp_free(*q);
        *q = NULL;
    }
}

static void on_closed(void *arg, const struct err *why)
{
    (void)arg;
    for (const char *p = why->msg; p && *p; p++) /* it is shown to the user */
        FUZZ_HOLDS((unsigned char)*p >= 0x20 && *p != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct qmp *q = NULL;
    struct qmp_events ev = {on_ready, on_event, on_closed, &q};
    size_t piece = size > 0 ? 1 + data[0] : 1;

    q = qmp_new(NULL, -1, &ev, NULL);
    for (size_t at = 1; q && at < size; at += piece)
        qmp_feed(q, data + at, size - at < piece ? size - at : piece);
    qmp_free(q);
    return 0;
}
