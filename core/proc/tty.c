#include "proc/tty.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { DEFAULT_ROWS = 24, DEFAULT_COLUMNS = 80 };

static int save(struct tty *t, int fd, struct err *e)
{
    *t = (struct tty){.fd = fd};
    return tcgetattr(fd, &t->saved) < 0 ? err_errno(e, errno, "cannot read the terminal's settings")
                                        : 0;
}

int tty_raw(struct tty *t, int fd, struct err *e)
{
    struct termios raw;

    if (save(t, fd, e) < 0)
        return -1;
    raw = t->saved;
    cfmakeraw(&raw);
    if (tcsetattr(fd, TCSADRAIN, &raw) < 0)
        return err_errno(e, errno, "cannot put the terminal into raw mode");
    t->raw = true;
    return 0;
}

int tty_interruptible(const struct tty *t, struct err *e)
{
    struct termios raw;

    if (tcgetattr(t->fd, &raw) < 0)
        return err_errno(e, errno, "cannot read the terminal's settings");
    raw.c_lflag |= ISIG;
    raw.c_cc[VQUIT] = raw.c_cc[VSUSP] = _POSIX_VDISABLE;
    if (tcsetattr(t->fd, TCSADRAIN, &raw) < 0)
        return err_errno(e, errno, "cannot set the terminal's Ctrl-C");
    return 0;
}

int tty_hide(struct tty *t, int fd, struct err *e)
{
    struct termios hidden;

    if (save(t, fd, e) < 0)
        return -1;
    hidden = t->saved;
    hidden.c_lflag &= ~(tcflag_t)ECHO;
    hidden.c_lflag |= ICANON | ISIG | ECHONL;
    hidden.c_cc[VSUSP] = _POSIX_VDISABLE;
    if (tcsetattr(fd, TCSAFLUSH, &hidden) < 0)
        return err_errno(e, errno, "cannot switch off the terminal's echo");
    t->raw = true;
    return 0;
}

void tty_restore(struct tty *t)
{
    if (!t->raw)
        return;
    tcsetattr(t->fd, TCSADRAIN, &t->saved);
    t->raw = false;
}

void tty_rescue(int fd, const struct termios *saved)
{
    /* An end for what was cut off, and for a link; kitty's keyboard modes of the alternate screen;
     * xterm's private modes: 1049 alternate screen, 1000/1002/1003/1006 mouse, 1004 focus reports,
     * 2031 reports of light and dark, 2004 bracketed paste, 2026 halted updates, 1 cursor keys, 7
     * wrap, 25 cursor; keyboard modes, keypad, insertion, scroll region, whose reset moves the
     * cursor, character set, attributes. */
    static const char sane[] =
        "\033\\\033]8;;\033\\\033[<9u\033[?1049l\033[?1000l\033[?1002l"
        "\033[?1003l\033[?1006l\033[?1004l\033[?2031l\033[?2004l\033[?2026l"
        "\033[?1l\033[?7h\033[?25h\033[<9u\033[>4m\033>\033[4l\0337\033[r\0338"
        "\017\033(B\033[0m\r\n";
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    ssize_t n = 0;

    tcsetattr(fd, TCSANOW, saved);
    /* Nobody may be reading the terminal any more: then a write would wait for ever. */
    if (poll(&p, 1, 0) == 1 && (p.revents & POLLOUT))
        n = write(fd, sane, sizeof(sane) - 1);
    (void)n;
}

void tty_size(int fd, uint16_t *rows, uint16_t *columns)
{
    struct winsize size = {0};

    if (ioctl(fd, TIOCGWINSZ, &size) < 0)
        size = (struct winsize){0};
    *rows = size.ws_row ? size.ws_row : DEFAULT_ROWS;
    *columns = size.ws_col ? size.ws_col : DEFAULT_COLUMNS;
}
