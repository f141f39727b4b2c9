/* Who holds a kept VM's lock: the file says it, "PID RUN", written by the holder itself.  It counts
 * only while the lock is held. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "model/show.h"
#include "state/persist.h"

enum { HOLDER_MAX = PATH_MAX + 32 };

void persist_sign(int lock, const struct paths *p)
{
    auto_free char *text = mem_printf("%d %s\n", (int)getpid(), p->run);

    if (ftruncate(lock, 0) == 0)
        (void)!pwrite(lock, text, strlen(text), 0);
}

void persist_read_holder(int folder, struct persist *out)
{
    auto_buf struct buf text = BUF_INIT;
    uint64_t pid;
    char *run;

    if (file_read_at(folder, PATHS_VM_LOCK, HOLDER_MAX, &text, NULL) != 0)
        return;
    run = strchr(text.data, ' ');
    if (!run || run[1] != '/' || text.data[text.len - 1] != '\n')
        return; /* just being written, or by an older agentvm */
    text.data[text.len - 1] = *run = '\0';
    if (str_to_u64(text.data, 1, INT_MAX, &pid) < 0)
        return;
    out->holder = (int)pid;
    out->holder_run = mem_strdup(run + 1);
}

static bool is_same_folder(const char *a, const char *b)
{
    struct stat x, y;

    return strcmp(a, b) == 0 ||
           (stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino);
}

int persist_check_holder(const struct paths *p, const struct persist *v, struct err *e)
{
    auto_free char *shown = NULL, *parent = NULL;

    if (!v->holder_run || is_same_folder(v->holder_run, p->run))
        return 0;
    shown = show_text(v->holder_run, 0);
    err_set(e, "the kept VM %s is in use by process %d, which has %s for running VMs, not %s",
            v->name, v->holder, shown, p->run);
    if (access(v->holder_run, F_OK) < 0)
        return err_advise(
            e, "that folder is gone, and with it the way to the VM; end it with: kill %d",
            v->holder);
    if (!str_ends(shown, "/agentvm"))
        return err_advise(e, "end it with: env -u XDG_RUNTIME_DIR agentvm stop %s", v->id);
    parent = mem_dup(shown, strlen(shown) - strlen("/agentvm"));
    return err_advise(e, "end it with: XDG_RUNTIME_DIR=%s agentvm stop %s", parent, v->id);
}
