#include "model/login.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

enum { FILE_MAX = LOGIN_MAX + 100 /* white space around it */ };

static int open_folder(const struct paths *p, struct err *e)
{
    int dir = open(p->logins, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    return dir < 0 ? err_errno(e, errno, "cannot open %s", p->logins) : dir;
}

int login_trim(struct buf *text, const char *what, struct err *e)
{
    size_t blanks = 0;

    while (text->len > 0 && isspace((unsigned char)text->data[text->len - 1]))
        text->data[--text->len] = '\0';
    while (blanks < text->len && isspace((unsigned char)text->data[blanks]))
        blanks++;
    if (blanks > 0)
        buf_consume(text, blanks);
    if (text->len == 0)
        return err_set(e, "no %s was given", what);
    if (text->len > LOGIN_MAX)
        return err_set(e, "the %s is longer than %d bytes", what, LOGIN_MAX);
    for (size_t i = 0; i < text->len; i++)
        if (text->data[i] <= ' ' || text->data[i] > '~')
            return err_set(e, "the %s has a space, a line end or another odd character in it",
                           what);
    return 0;
}

int login_read(const struct paths *p, const char *agent, char **out, struct err *e)
{
    auto_free char *path = mem_printf("%s/%s", p->logins, agent);
    auto_buf struct buf text = BUF_INIT;
    int rc = file_read_private_at(AT_FDCWD, path, FILE_MAX, &text, e);

    *out = NULL;
    if (rc == 0 && login_trim(&text, "credential", e) < 0)
        rc = err_prefix(e, "%s", path);
    if (rc == 0)
        *out = buf_steal(&text);
    if (rc < 0)
        return err_advise(e, "run: chmod 600 %s; or log in anew: agentvm login %s", path, agent);
    return 0;
}

int login_write(const struct paths *p, const char *agent, const char *secret, struct err *e)
{
    auto_close int dir = open_folder(p, e);

    if (dir < 0)
        return -1;
    if (file_write_at(dir, agent, secret, strlen(secret), 0600, e) < 0)
        return err_prefix(e, "%s", p->logins);
    return 0;
}

int login_remove(const struct paths *p, const char *agent, struct err *e)
{
    auto_close int dir = open_folder(p, e);

    if (dir < 0)
        return -1;
    if (unlinkat(dir, agent, 0) == 0)
        return 0;
    return errno == ENOENT ? 1 : err_errno(e, errno, "cannot remove %s/%s", p->logins, agent);
}
