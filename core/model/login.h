/* Credentials that users gave at `agentvm login`: one for each agent, in a file that only the user
 * can read.  agent is a plugin's name, which has no '/' and does not start with '.'. */
#ifndef AGENTVM_MODEL_LOGIN_H
#define AGENTVM_MODEL_LOGIN_H

#include "base/err.h"
#include "base/str.h"
#include "model/paths.h"

/* Bytes of a credential: less than a line that a terminal takes, which cuts a longer one. */
enum { LOGIN_MAX = 4000 };

/* Reads what is kept; the caller frees *out, which is NULL if nothing is.  A file that others can
 * read is an error. */
int login_read(const struct paths *p, const char *agent, char **out, struct err *e);
/* Keeps a credential in place of the one before. */
int login_write(const struct paths *p, const char *agent, const char *secret, struct err *e);
/* Forgets it.  Returns 0, 1 if nothing was kept, or -1. */
int login_remove(const struct paths *p, const char *agent, struct err *e);

/* Takes the white space around a credential away and checks that the rest is one: bytes that can be
 * a header's value.  what is how the error calls it. */
int login_trim(struct buf *text, const char *what, struct err *e);

#endif
