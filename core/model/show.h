/* Text of others in our messages. */
#ifndef AGENTVM_MODEL_SHOW_H
#define AGENTVM_MODEL_SHOW_H

#include <stddef.h>

/* Returns text as one line for a message: control bytes, line ends and invalid UTF-8 escaped, cut
 * with "..." after max bytes of input (0: not cut); the caller frees it. */
char *show_text(const char *text, size_t max);

#endif
