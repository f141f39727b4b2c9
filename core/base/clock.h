/* Monotonic time and deadlines, in milliseconds. */
#ifndef AGENTVM_BASE_CLOCK_H
#define AGENTVM_BASE_CLOCK_H

#include <stdint.h>

/* Milliseconds of CLOCK_MONOTONIC. */
int64_t clock_ms(void);
/* Microseconds of CLOCK_MONOTONIC, for stage times. */
int64_t clock_us(void);
/* Milliseconds left until a clock_ms() deadline, at least 0; -1 (for ever) if deadline < 0. */
int clock_left(int64_t deadline);

#endif
