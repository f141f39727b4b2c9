/* Keys of a profile whose values are paths of files and folders. */
#include <string.h>

#include "base/mem.h"
#include "model/plan.h"
#include "model/profile_keys.h"
#include "model/words.h"

/* Whether the path has none of "", "." and ".." in it. */
static bool is_straight(const char *path)
{
    for (const char *p = path;; p++) {
        size_t len = strcspn(p, "/");

        if (len == 0 || (p[0] == '.' && (len == 1 || (p[1] == '.' && len == 2))))
            return false;
        p += len;
        if (!*p)
            return true;
    }
}

/* Characters of patterns in it would make folders of such names. */
static bool is_plain(const char *path)
{
    return is_straight(path) && !strpbrk(path, "*?[");
}

static bool is_on_host(const char *path)
{
    return (path[0] == '/' || str_starts(path, "~/")) && is_straight(strchr(path, '/') + 1);
}

/* Appends distinct paths to the list, each without the '/' at its end. */
static int parse_paths(const struct profile_entry *entry, bool (*test)(const char *),
                       const char *what, struct strv *out, struct err *e)
{
    auto_strv struct strv words = STRV_INIT;
    auto_err struct err why = ERR_INIT;

    if (words_split(entry->value, &words, &why) < 0)
        return err_set(e, "%s: %s: %s", entry->where, entry->key, err_msg(&why));
    for (size_t i = 0; i < words.n; i++) {
        char *path = words.v[i];
        size_t len = strlen(path);

        while (len > 1 && path[len - 1] == '/')
            path[--len] = '\0';
        if (!test(path))
            return profile_refuse(entry, path, what, e);
        if (out->n == PLAN_STEPS_MAX)
            return profile_refuse(entry, path, "is one path too many for a list", e);
        if (!strv_has(out, path))
            strv_push(out, path);
    }
    return 0;
}

static int add_paths(struct profile *p, const struct profile_key *k,
                     const struct profile_entry *entry, bool (*test)(const char *),
                     const char *what, struct err *e)
{
    struct strv *at = profile_member(p, k);
    auto_strv struct strv paths = STRV_INIT;

    strv_push_all(&paths, at->v);
    if (parse_paths(entry, test, what, &paths, e) < 0)
        return -1;
    strv_free(at);
    *at = paths;
    paths = STRV_INIT;
    return 0;
}

int profile_add_masks(struct profile *p, const struct profile_key *k,
                      const struct profile_entry *entry, bool *narrower, struct err *e)
{
    *narrower = true;
    return add_paths(p, k, entry, is_straight,
                     "is not a path below the project folder, such as .env or **/.env", e);
}

/* What is committed there goes with the machine. */
static bool is_of_git(const char *path)
{
    for (const char *p = path; *p; p += strspn(p, "/")) {
        size_t len = strcspn(p, "/");

        if (len == strlen(".git") && strncmp(p, ".git", len) == 0)
            return true;
        p += len;
    }
    return false;
}

static bool is_local(const char *path)
{
    return is_plain(path) && !is_of_git(path);
}

int profile_add_locals(struct profile *p, const struct profile_key *k,
                       const struct profile_entry *entry, bool *narrower, struct err *e)
{
    *narrower = true;
    return add_paths(p, k, entry, is_local,
                     "is not a path below the project folder, such as node_modules (patterns are "
                     "not possible, and .git would be lost with the VM)",
                     e);
}

int profile_add_mounts(struct profile *p, const struct profile_key *k,
                       const struct profile_entry *entry, bool *narrower, struct err *e)
{
    *narrower = false;
    return add_paths(p, k, entry, is_on_host,
                     "is not a path that begins with / or ~/ and has no .. in it", e);
}
