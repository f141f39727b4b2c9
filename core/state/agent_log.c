#include "state/agent_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

char *agent_log_path(const struct paths *p, const char *id, bool old)
{
    return mem_printf("%s/vm-%s.agent%s.log", p->logs, id, old ? ".1" : "");
}

static int create_file(const char *path)
{
    return open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
}

int agent_log_create(struct agent_log *l, const struct paths *p, const char *id, struct err *e)
{
    *l = (struct agent_log){.path = agent_log_path(p, id, false),
                            .old = agent_log_path(p, id, true)};
    unlink(l->old);
    unlink(l->path);
    l->fd = create_file(l->path);
    return l->fd < 0 ? err_errno(e, errno, "cannot create %s", l->path) : 0;
}

/* There is a file at path at any time, for who reads it meanwhile. */
static void rotate(struct agent_log *l)
{
    auto_free char *fresh = mem_printf("%s.new", l->path);

    close_fd(&l->fd);
    unlink(fresh);
    l->fd = create_file(fresh);
    if (l->fd < 0)
        return;
    unlink(l->old);
    if ((link(l->path, l->old) < 0 && errno != ENOENT) || rename(fresh, l->path) < 0)
        close_fd(&l->fd);
    l->size = 0;
}

void agent_log_append(struct agent_log *l, const void *data, size_t len)
{
    if (l->size + len > AGENT_LOG_MAX)
        rotate(l);
    if (l->fd < 0 || file_write_all(l->fd, data, len, NULL) < 0)
        return;
    l->size += len;
}

void agent_log_close(struct agent_log *l)
{
    close_fd(&l->fd);
    free(l->path);
    free(l->old);
}
