/* `agentvm rm`: kept VMs go, with their disks. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "model/json_text.h"
#include "state/rows.h"

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

/* What is removed in one call. */
struct removal {
    struct session *session;
    const struct cli *cli;
    struct vm_rows all;
    char *project; /* or NULL */
    cJSON *removed;
    uint64_t size;
};

static void removal_free(struct removal *r)
{
    vm_rows_free(&r->all);
    free(r->project);
    cJSON_Delete(r->removed);
}

static void tell(struct removal *r, const struct target *t, const char *word)
{
    uint64_t used = t->row ? t->row->disk_used : 0;
    auto_free char *size = cli_size(used);
    cJSON *o;

    r->size += used;
    if (!r->cli->json) {
        log_info("agentvm: %s %s, %s", r->cli->dry_run ? "would remove" : "removed", word, size);
        return;
    }
    o = cJSON_CreateObject();
    if (t->row) {
        cJSON_AddStringToObject(o, "id", t->row->id);
        cJSON_AddItemToObject(o, "project", json_text(t->row->project));
    }
    cJSON_AddStringToObject(o, "name", strrchr(t->dir, '/') + 1);
    cJSON_AddItemToObject(o, "path", json_text(t->dir));
    cJSON_AddNumberToObject(o, "size", (double)used);
    cJSON_AddItemToArray(r->removed, o);
}

static int remove_one(struct removal *r, const char *word, struct err *e)
{
    __attribute__((cleanup(target_free))) struct target t = {0};
    struct session *s = r->session;

    if (find(s, &r->all, r->project, word, &t, e) < 0 || stop_it(s, r->cli, &t, word, e) < 0)
        return -1;
    if (!r->cli->dry_run &&
        persist_remove_stopped(s, t.dir, r->cli->force && t.row ? t.row->id : NULL, e) < 0)
        return -1;
    tell(r, &t, word);
    return 0;
}

static int print(struct removal *r, struct err *e)
{
    cJSON *root = cJSON_CreateObject();

    cJSON_AddBoolToObject(root, "dry_run", r->cli->dry_run);
    cJSON_AddItemToObject(root, "removed", steal_ptr(&r->removed));
    cJSON_AddNumberToObject(root, "size", (double)r->size);
    return cli_print_json(root, e);
}

static int rm(struct session *s, struct cli *cli, struct err *e)
{
    __attribute__((cleanup(removal_free))) struct removal r = {
        .session = s, .cli = cli, .removed = cJSON_CreateArray()};
    int rc = 0;

    if (!cli->words[0])
        return err_set(e, "rm: which VM?  Name it by its ID or name: agentvm rm ID|NAME...");
    /* A folder that is not there any more has VMs with IDs. */
    if (paths_project(&s->paths, cli->session.project, &r.project,
                      cli->session.project ? e : NULL) < 0 &&
        cli->session.project)
        return -1;
    if (vm_rows_list(&s->paths, NULL, &r.all, e) < 0)
        return -1;
    for (char *const *w = cli->words; *w && rc == 0; w++)
        rc = remove_one(&r, *w, e);
    /* What was removed is told even where something else could not be. */
    if (cli->json && (rc == 0 || cJSON_GetArraySize(r.removed) > 0) &&
        print(&r, rc < 0 ? NULL : e) < 0)
        return -1;
    return rc;
}

int cmd_rm(struct cli *cli, struct err *e)
{
    return cli_with_session(cli, rm, e);
}
