/* Words of a value that is a list of arguments: split as a shell does, with nothing expanded. */
#ifndef AGENTVM_MODEL_WORDS_H
#define AGENTVM_MODEL_WORDS_H

#include "base/err.h"
#include "base/str.h"

/* Splits at white space and appends the words.  'single quotes' keep everything, "double quotes"
 * keep all but \" and \\; outside of quotes \ takes the next character as it is.  A quote ends on
 * the line it begins on.  The error says what is wrong, without a place; *out is then as before. */
int words_split(const char *text, struct strv *out, struct err *e);
/* The words so that words_split and a person read them; the caller frees it. */
char *words_join(const struct strv *words);

#endif
