/* Files below the user's home folder, whose names come from somebody else. */
#ifndef AGENTVM_BASE_HOME_H
#define AGENTVM_BASE_HOME_H

#include "base/err.h"

/* A file without a symlink on the way to it. */
struct home_file {
    int dir;    /* the folder that has it, O_PATH */
    char *path; /* where it really is, relative to the home */
    char *name; /* the last component of that; not owned */
};

#define HOME_FILE_INIT ((struct home_file){.dir = -1})
#define auto_home_file __attribute__((cleanup(home_file_free)))

/* Finds home/path, following symlinks: one may lead elsewhere below the home, as those of dotfile
 * managers do, but not out of it.  path is relative and has no "..".  What is opened through
 * out->dir without following a link is below the home, whoever moves things meanwhile.
 * Returns 0; 1 if there is no such file (no error is made); -1 on any other failure. */
int home_find(const char *home, const char *path, struct home_file *out, struct err *e);
void home_file_free(struct home_file *f);

#endif
