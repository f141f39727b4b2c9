/* The user's terminal: raw mode and its way back. */
#ifndef AGENTVM_PROC_TTY_H
#define AGENTVM_PROC_TTY_H

#include <stdbool.h>
#include <stdint.h>
#include <termios.h>

#include "base/err.h"

struct tty {
    int fd; /* borrowed */
    bool raw;
    struct termios saved;
};

/* Puts the terminal behind fd into raw mode and remembers what it was. */
int tty_raw(struct tty *t, int fd, struct err *e);
/* Restores it; harmless if it is not raw. */
void tty_restore(struct tty *t);
/* For a terminal whose program was killed while raw: restores saved modes and switches off what a
 * full-screen program leaves on (alternate screen, mouse reports, bracketed paste, hidden cursor
 * and the like). */
void tty_rescue(int fd, const struct termios *saved);
/* Size in character cells; 24 by 80 where the terminal does not know. */
void tty_size(int fd, uint16_t *rows, uint16_t *columns);

#endif
