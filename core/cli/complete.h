/* What may stand at the end of a command line, out of the tables of commands and options. */
#ifndef AGENTVM_CLI_COMPLETE_H
#define AGENTVM_CLI_COMPLETE_H

#include "base/str.h"

/* words are NULL-terminated, without the program's name; the last is what was typed of the word to
 * complete and may be empty.  Appends a line "CANDIDATE TAB EXPLANATION" for each one that begins
 * with it, the explanation possibly empty, or ":files" or ":folders" where the shell is to complete
 * the names of these.  Never fails: what cannot be found out is left out. */
void complete_words(char *const *words, struct buf *out);

#endif
