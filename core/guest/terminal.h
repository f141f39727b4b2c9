/* What a hostile guest may write to the user's terminal.
 *
 * A terminal does more than to show text: it answers questions as if somebody typed, writes to the
 * clipboard and to files, prints, and moves its window.  So what the guest writes is parsed, and
 * only what is known to be harmless passes; agentvm(1), section TERMINAL, has the list.
 *
 * The terminal is taken to read UTF-8. */
#ifndef AGENTVM_GUEST_TERMINAL_H
#define AGENTVM_GUEST_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum {
    TERMINAL_HELD_MAX = 4096, /* longest sequence that may pass: a hyperlink */
    TERMINAL_CSI_MAX = 256,   /* the same for what is no string: many colours at once */
};

/* What the guest has switched on and not off again. */
struct terminal_modes {
    uint32_t modes;    /* bit n: the n-th of terminal_modes.c's table is not as it should be */
    unsigned kitty[2]; /* keyboard modes pushed, on the main and on the alternate screen */
    bool kitty_set;    /* and one that was set without that */
    bool attributes;   /* colours, bold, ... */
    bool charset, keypad, insert, scroll_region, modify_keys, cursor_style, link;
    /* What those say that are not only on or off. */
    uint16_t top, bottom; /* of the scroll region, from 1; 0: the screen's edge */
    uint8_t style;        /* the cursor's */
    uint8_t flags[2];     /* kitty's, last pushed or set on each screen */
    uint8_t keys;         /* of modifyOtherKeys */
};

/* One stream of bytes.  Zeroed, it is ready. */
struct terminal_filter {
    uint8_t state;  /* enum state of terminal.c */
    bool spoilt;    /* the sequence will not pass, whatever it says; it is only skipped */
    uint8_t string; /* which kind of string, as the byte behind ESC */
    uint8_t last;   /* of a string, the byte before this one */
    uint16_t nheld; /* bytes of a sequence or character that is not complete */
    uint8_t held[TERMINAL_HELD_MAX];
    struct terminal_modes on;
};

/* Appends to out what may pass of in.  Never more than was taken in altogether: a part of a
 * sequence is kept until its end is there.  How the bytes are cut does not matter. */
void terminal_filter(struct terminal_filter *f, const void *in, size_t len, struct buf *out);
/* Bytes taken in of which it is not clear yet whether they pass. */
size_t terminal_held(const struct terminal_filter *f);
/* Appends what takes back whatever the guest has left on. */
void terminal_reset(const struct terminal_filter *f, struct buf *out);

/* The same for modes alone. */
void terminal_modes_off(const struct terminal_modes *on, struct buf *out);
/* Appends what brings a terminal that has nothing on to the same screen, main or alternate; and
 * everything else to the same modes, but for colours and attributes.  Of keyboard modes that were
 * pushed the last is. */
void terminal_screen_on(const struct terminal_modes *on, struct buf *out);
void terminal_modes_on(const struct terminal_modes *on, struct buf *out);

/* terminal_rules.c: a complete sequence, from ESC to its end. */

/* A control sequence: ESC [ prefix parameters intermediate final. */
struct terminal_csi {
    char prefix, intermediate, final; /* 0: none */
    bool colons;                      /* parameters have parts */
    size_t n;
    uint32_t v[32]; /* those not given are 0 */
};

/* Whether it is well-formed, and then what it says. */
bool terminal_parse_csi(const uint8_t *seq, size_t len, struct terminal_csi *out);
/* Length of the sequence that begins with the ESC at text, which is out of what passed: whole. */
size_t terminal_sequence_length(const char *text, size_t len);
bool terminal_may_csi(const struct terminal_csi *c);
bool terminal_may_escape(const uint8_t *seq, size_t len);

enum terminal_verdict {
    TERMINAL_DROP,
    TERMINAL_PASS,
    TERMINAL_UNLINK, /* a hyperlink that may not be: the text that follows is in none */
};

/* An OSC string: what is between ESC ] and its end. */
enum terminal_verdict terminal_judge_osc(const uint8_t *text, size_t len);

/* terminal_modes.c: keeps account of what passes. */

/* Number of the table's row for a private mode, or -1 for one that may not be set. */
int terminal_private_mode(uint32_t number);
void terminal_note_csi(struct terminal_modes *on, const struct terminal_csi *c);
void terminal_note_escape(struct terminal_modes *on, const uint8_t *seq, size_t len);
void terminal_note_control(struct terminal_modes *on, uint8_t c);
/* The terminal has another size. */
void terminal_note_resize(struct terminal_modes *on);

#endif
