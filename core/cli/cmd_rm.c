/* `agentvm rm`: kept VMs go, with their disks. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "session/rows.h"

/* What one word names: a VM, or the folder of one that cannot be read. */
struct target {
    const struct vm_row *row; /* or NULL */
    char *dir;
};

static void target_free(struct target *t)
{
    free(t->dir);
}

static int find(struct session *s, const struct vm_rows *all, const char *project, const char *word,
                struct target *out, struct err *e)
{
    auto_free char *dir = project ? paths_kept_vm(&s->paths, project, word) : NULL;

    *out = (struct target){.row = vm_rows_find(all, word, project)};
    if (out->row && out->row->own.dir) {
        out->dir = mem_strdup(out->row->own.dir);
        return 0;
    }
    if (out->row) {
        err_set(e, "VM %s is not kept: it is gone when it ends", word);
        return err_advise(e, "end it with agentvm stop %s", word);
    }
    if (dir && persist_is_name(word) && access(dir, F_OK) == 0) {
        out->dir = steal_ptr(&dir);
        return 0;
    }
    err_set(e, "there is no kept VM %s", word);
    return err_advise(e, "see agentvm list; a name counts in its own folder");
}

static int stop_it(struct session *s, const struct cli *cli, const struct target *t,
                   const char *word, struct err *e)
{
    if (!t->row || !t->row->running)
        return 0;
    if (!cli->force) {
        err_set(e, "the kept VM %s is running", word);
        return err_advise(e, "stop it first: agentvm stop %s; or add --force", t->row->id);
    }
    if (persist_check_holder(&s->paths, &t->row->own, e) < 0)
        return -1;
    return cli->dry_run ? 0 : cli_stop_vm(s, t->row->id, e);
}

static int remove_one(struct session *s, const struct cli *cli, const struct vm_rows *all,
                      const char *project, const char *word, struct err *e)
{
    __attribute__((cleanup(target_free))) struct target t = {0};
    auto_free char *size = NULL;

    if (find(s, all, project, word, &t, e) < 0 || stop_it(s, cli, &t, word, e) < 0)
        return -1;
    size = cli_size(t.row ? t.row->disk_used : 0);
    if (cli->dry_run) {
        log_info("agentvm: would remove %s, %s", word, size);
        return 0;
    }
    if (persist_remove_stopped(s, t.dir, e) < 0)
        return -1;
    log_info("agentvm: removed %s, %s", word, size);
    return 0;
}

static int rm(struct session *s, struct cli *cli, struct err *e)
{
    auto_vm_rows struct vm_rows all = {0};
    auto_free char *project = NULL;

    if (!cli->words[0])
        return err_set(e, "rm: which VM?  Name it by its ID or name: agentvm rm ID|NAME...");
    /* A folder that is not there any more has VMs with IDs. */
    if (paths_project(&s->paths, cli->session.project, &project, cli->session.project ? e : NULL) <
            0 &&
        cli->session.project)
        return -1;
    if (vm_rows_list(&s->paths, NULL, &all, e) < 0)
        return -1;
    for (char *const *w = cli->words; *w; w++)
        if (remove_one(s, cli, &all, project, *w, e) < 0)
            return -1;
    return 0;
}

int cmd_rm(struct cli *cli, struct err *e)
{
    return cli_with_session(cli, rm, e);
}
