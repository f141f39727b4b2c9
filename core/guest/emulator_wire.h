/* What the two ends of an emulator say to each other, in frames of channel/frame on stream 0:
 *
 *     host                                emulator
 *       RESIZE  struct emulator_size  -->             first of all; again where it changes
 *       DATA(1) whole sequences       -->             a piece; stream ASKS: answer its questions
 *                                     <--  DATA(0)    its answers, at most SCREEN_ANSWERS_MAX bytes
 *                                     <--  CREDIT     the piece was taken
 *       OPEN    struct emulator_order -->
 *                                     <--  DATA(1)    a part of the painting
 *                                     <--  EOF(1)     the painting is complete
 *
 * The structs go as they are, as both ends are one program. */
#ifndef AGENTVM_GUEST_EMULATOR_WIRE_H
#define AGENTVM_GUEST_EMULATOR_WIRE_H

#include "guest/terminal.h"

enum {
    EMULATOR_FD = 0,         /* the emulator's end */
    EMULATOR_UNCONFINED = 9, /* its exit code where it could not be confined */
    EMULATOR_ASKS = 1,
};

struct emulator_size {
    uint16_t rows, columns;
    struct terminal_modes on;
};

/* As the parameters of screen_paint. */
struct emulator_order {
    struct terminal_modes on, shown;
    bool scroll;
};

#endif
