/* The console's log and the engine's: kept short, and shown when something failed. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "supervisor/internal.h"

enum {
    CONSOLE_TAIL = 16384,
    CONSOLE_LINES = 15,
    SHORTEN_MS = 10000, /* an emulated serial port takes some MiB in this time at most */
    LOG_BYTES_MAX = 4 << 20,
};

void supervisor_add_console(struct supervisor *s, struct err *e)
{
    auto_buf struct buf log = BUF_INIT;

    file_read_tail(s->console, CONSOLE_TAIL, &log);
    err_detail(e, str_tail(log.data, log.len, CONSOLE_LINES));
    err_advise(e, "the whole console is in %s", s->console);
}

/* The guest may write to its console as much as it likes, but not fill the host's disk: a log that
 * is too long keeps its end. */
static void shorten_log(const char *path)
{
    auto_close int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
    auto_buf struct buf tail = BUF_INIT;
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0 || st.st_size <= LOG_BYTES_MAX)
        return;
    file_read_tail(path, CONSOLE_TAIL, &tail);
    if (ftruncate(fd, 0) == 0)
        file_write_all(fd, tail.data, tail.len, NULL);
}

static void shorten_logs(void *arg)
{
    struct supervisor *s = arg;

    shorten_log(s->console);
    shorten_log(s->stderr_log);
    loop_timer(s->loop, SHORTEN_MS, shorten_logs, s);
}

void supervisor_watch_logs(struct supervisor *s)
{
    loop_timer(s->loop, SHORTEN_MS, shorten_logs, s);
}
