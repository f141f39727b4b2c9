#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/cli.h"

/* Somebody else may own the tree: a link in it must not lead the file elsewhere. */
static int write_sample(const char *project, struct err *e)
{
    auto_close int dir = open(project, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    auto_free char *text = profile_sample(), *shown = str_quote(project);
    int rc;

    if (dir < 0)
        return err_errno(e, errno, "cannot open project folder %s", shown);
    rc = file_create_at(dir, PATHS_PROJECT_INI, text, strlen(text), 0666, e);
    if (rc < 0)
        return err_prefix(e, "%s", shown);
    if (rc > 0) {
        err_set(e, "%s has an %s already", shown, PATHS_PROJECT_INI);
        return err_advise(e, "remove it first, or see what it says: agentvm config");
    }
    log_info("agentvm: wrote %s in %s; it changes nothing until you edit it", PATHS_PROJECT_INI,
             shown);
    return 0;
}

int cmd_init(struct cli *cli, struct err *e)
{
    auto_free char *project = NULL;
    struct paths paths;
    int rc = paths_init(&paths, e);

    if (rc == 0)
        rc = paths_project(&paths, cli->session.project, &project, e);
    if (rc == 0)
        rc = write_sample(project, e);
    paths_free(&paths);
    return rc;
}
