#include "guestd/user.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

enum { ENVIRONMENT_MAX = 65536 };

static void find_groups(struct user *u)
{
    FILE *file = fopen("/etc/group", "re");
    struct group *g;

    u->groups[u->ngroups++] = u->gid;
    while (file && (g = fgetgrent(file)))
        for (char **member = g->gr_mem; *member; member++)
            if (strcmp(*member, u->name) == 0 && u->ngroups < ARRAY_LEN(u->groups))
                u->groups[u->ngroups++] = g->gr_gid;
    if (file)
        fclose(file);
}

int user_find(const char *name, struct user *out, struct err *e)
{
    FILE *file = fopen("/etc/passwd", "re");
    struct passwd *p = NULL;

    *out = (struct user){0};
    if (!file)
        return err_errno(e, errno, "cannot open /etc/passwd");
    while ((p = fgetpwent(file)) && strcmp(p->pw_name, name) != 0)
        ;
    if (p)
        *out = (struct user){.name = mem_strdup(p->pw_name),
                             .home = mem_strdup(p->pw_dir),
                             .shell = mem_strdup(p->pw_shell),
                             .uid = p->pw_uid,
                             .gid = p->pw_gid};
    fclose(file);
    if (!p)
        return err_set(e, "no user %s in the guest", name);
    find_groups(out);
    return 0;
}

void user_free(struct user *u)
{
    free(u->name);
    free(u->home);
    free(u->shell);
}

/* Lines NAME=value or NAME="value", as pam_env reads /etc/environment. */
static void read_environment(struct strv *env)
{
    auto_buf struct buf text = BUF_INIT;
    char *save = NULL;

    if (file_read_at(AT_FDCWD, "/etc/environment", ENVIRONMENT_MAX, &text, NULL) != 0)
        return;
    for (char *line = strtok_r(text.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char *value = strchr(line, '=');
        size_t len;

        if (!value)
            continue;
        *value++ = '\0';
        len = strlen(value);
        if (len >= 2 && value[0] == '"' && value[len - 1] == '"') {
            value[len - 1] = '\0';
            value++;
        }
        if (str_is_identifier(line))
            strv_setenv(env, line, value);
    }
}

void user_environment(const struct user *u, struct strv *env)
{
    auto_free char *path = mem_printf(
        "%s/.local/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", u->home);

    strv_setenv(env, "PATH", path);
    strv_setenv(env, "LANG", "C.UTF-8");
    read_environment(env);
    strv_setenv(env, "HOME", u->home);
    strv_setenv(env, "USER", u->name);
    strv_setenv(env, "LOGNAME", u->name);
    strv_setenv(env, "SHELL", u->shell);
}

char *user_path(const struct user *u, const char *path)
{
    if (str_starts(path, "~/"))
        return mem_printf("%s/%s", u->home, path + 2);
    return mem_strdup(path);
}

int user_make_parents(const struct user *u, const char *path, struct err *e)
{
    auto_free char *copy = mem_strdup(path);
    auto_free char *home = mem_printf("%s/", u->home);

    if (path[0] != '/')
        return err_set(e, "%s is not an absolute path", path);
    for (char *p = strchr(copy + 1, '/'); p; p = strchr(p + 1, '/')) {
        *p = '\0';
        if (mkdir(copy, 0755) == 0) {
            if (str_starts(copy, home) && lchown(copy, u->uid, u->gid) < 0)
                return err_errno(e, errno, "cannot give folder %s to %s", copy, u->name);
        } else if (errno != EEXIST) {
            return err_errno(e, errno, "cannot create folder %s", copy);
        }
        *p = '/';
    }
    return 0;
}
