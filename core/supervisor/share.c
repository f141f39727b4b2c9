/* What is behind the second share. */
#include <errno.h>
#include <sys/stat.h>

#include "supervisor/internal.h"

/* Whether the second share is composed in the engine's namespace, see session/view. */
static bool is_composed(const struct vm_config *c)
{
    for (size_t i = 0; i < c->nbinds; i++)
        if (c->binds[i].kind == JAIL_MOUNT)
            return true;
    return false;
}

int supervisor_make_kept(struct supervisor *s, struct err *e)
{
    bool composed = is_composed(&s->config);

    if (!s->config.share || (s->config.kept && s->config.nbinds == 0))
        return 0;
    s->empty = paths_vm(s->order->paths, s->id, PATHS_VM_EMPTY);
    if (mkdir(s->empty, 0700) < 0)
        return err_errno(e, errno, "cannot create folder %s", s->empty);
    s->config.scratch = s->empty;
    if (!s->config.kept || composed) {
        s->config.kept = s->empty;
        s->config.kept_readonly = !composed;
    }
    return 0;
}
