/* Which of git's files a VM could write, and what else they lead to.  Internal to session/view. */
#ifndef AGENTVM_SESSION_VIEW_GIT_H
#define AGENTVM_SESSION_VIEW_GIT_H

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"
#include "session/tree.h"

/* All paths are absolute; those found are without symlinks. */
struct git_search {
    const struct strv *roots; /* what the VM can write: canonical; borrowed */
    const char *home;         /* what "~" is in git's settings; borrowed */
    struct strv masks;        /* what it sees empty */
    struct strv repositories; /* every .git that was found */
    struct strv linked;       /* what they lead to that is in a root, and no part of a .git */
    struct strv links;        /* pairs: a folder, and what a symlink in it says */
    struct strv named;        /* pairs: a folder, and where its file says that git's files are */
    struct strv includes;     /* threes: a repository, a file that its settings may include, the
                                 same without symlinks */
};

/* Looks at an entry on the walk through a root.  Returns as a tree_visit. */
int git_visit(struct git_search *g, const char *root, const struct tree_entry *entry,
              struct err *e);
/* After the walks: follows what was found, and asks git for its settings.  It is an error if
 * something of git's is where it cannot be protected. */
int git_follow(struct git_search *g, struct err *e);
/* Whether the VM cannot write the path: it is git's, linked, or hidden. */
bool git_is_safe(const struct git_search *g, const char *path);
void git_search_free(struct git_search *g);

/* ---- between view_git.c and view_settings.c ---- */

/* Adds to a list of bounded length. */
int git_add_find(struct strv *list, const char *path, struct err *e);
/* The folder that an absolute path is in; the caller frees it. */
char *git_folder_of(const char *path);
/* How a path is called in messages: below the first root, where it is there; the caller frees it.
 */
char *git_show_place(const struct git_search *g, const char *path);
/* Protects what name leads to from a folder, as who ("git's settings include") says. */
int git_protect(struct git_search *g, const char *folder, const char *name, const char *who,
                struct err *e);
/* It is an error if a .git names what the VM can write. */
int git_check_named(const struct git_search *g, struct err *e);

#endif
