/* The user's terminal: raw mode and its way back. */
#ifndef AGENTVM_PROC_TTY_H
#define AGENTVM_PROC_TTY_H

#include <stdbool.h>
#include <stdint.h>
#include <termios.h>

#include "base/err.h"

struct tty {
    int fd;   /* borrowed */
    bool raw; /* or hides what is typed */
    struct termios saved;
};

/* Puts the terminal behind fd into raw mode and remembers what it was. */
int tty_raw(struct tty *t, int fd, struct err *e);
/* In raw mode: makes Ctrl-C a signal for this process again, rather than a byte. */
int tty_interruptible(const struct tty *t, struct err *e);
/* Makes the terminal take lines without showing them, for a secret, and drops what was typed ahead.
 * Ctrl-C still interrupts; Ctrl-Z does not stop, which would leave the terminal so. */
int tty_hide(struct tty *t, int fd, struct err *e);
/* Restores it; harmless if nothing was changed. */
void tty_restore(struct tty *t);
/* For a terminal whose program was killed while raw: restores saved modes and switches off what a
 * full-screen program leaves on (alternate screen, mouse reports, bracketed paste, hidden cursor
 * and the like). */
void tty_rescue(int fd, const struct termios *saved);
/* Size in character cells; 24 by 80 where the terminal does not know. */
void tty_size(int fd, uint16_t *rows, uint16_t *columns);

#endif
