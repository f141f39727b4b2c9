/* The guest's password database, read without NSS. */
#ifndef AGENTVM_GUESTD_USER_H
#define AGENTVM_GUESTD_USER_H

#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/str.h"

struct user {
    char *name;
    char *home;
    char *shell;
    uid_t uid;
    gid_t gid;
    gid_t groups[64];
    size_t ngroups;
};

#define auto_user __attribute__((cleanup(user_free)))

/* Looks up a name in /etc/passwd and /etc/group. */
int user_find(const char *name, struct user *out, struct err *e);
void user_free(struct user *u);

/* The environment of a login: /etc/environment's, then HOME USER LOGNAME SHELL PATH LANG. */
void user_environment(const struct user *u, struct strv *env);

/* path, with a leading "~/" replaced by the user's home; the caller frees it. */
char *user_path(const struct user *u, const char *path);

/* Creates the missing parents of path; those below the user's home belong to the user. */
int user_make_parents(const struct user *u, const char *path, struct err *e);

#endif
