#include "guestd/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

enum {
    TTY_GROUP = 5, /* Debian's group tty */
    TTY_MODE = 0620,
};

void terminal_set_size(int fd, uint32_t size)
{
    struct winsize ws = {.ws_row = (unsigned short)(size >> 16),
                         .ws_col = (unsigned short)(size & 0xffff)};

    ioctl(fd, TIOCSWINSZ, &ws);
}

int terminal_open(const struct user *u, bool give, uint32_t size, int *master, struct err *e)
{
    auto_close int slave = -1;
    char name[64];

    *master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (*master < 0 || unlockpt(*master) < 0 || ptsname_r(*master, name, sizeof(name)) != 0)
        return err_errno(e, errno, "cannot create a terminal");
    slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0)
        return err_errno(e, errno, "cannot open %s", name);
    if (give && (fchown(slave, u->uid, TTY_GROUP) < 0 || fchmod(slave, TTY_MODE) < 0))
        return err_errno(e, errno, "cannot give %s to %s", name, u->name);
    terminal_set_size(slave, size);
    return steal_fd(&slave);
}

static bool describes(const char *terminfo, const char *term)
{
    auto_free char *path = mem_printf("%s/%c/%s", terminfo, term[0], term);

    return access(path, R_OK) == 0;
}

void terminal_set_name(const struct user *u, struct strv *env)
{
    auto_free char *own = mem_printf("%s/.terminfo", u->home);
    const char *set = strv_getenv(env, "TERMINFO"), *term = strv_getenv(env, "TERM");
    /* where ncurses looks */
    const char *const dirs[] = {set ? set : own, own, "/etc/terminfo", "/lib/terminfo",
                                "/usr/share/terminfo"};

    if (!term || !*term)
        return;
    for (size_t i = 0; i < ARRAY_LEN(dirs) && term[0] != '.' && !strchr(term, '/'); i++)
        if (describes(dirs[i], term))
            return;
    strv_setenv(env, "TERM", "xterm-256color");
}
