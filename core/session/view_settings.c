/* What git's settings lead to: hooks, and files that they include. */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "proc/spawn.h"
#include "session/view_git.h"

enum {
    SETTINGS_MAX = 1 << 20,
    SETTINGS_MS = 5000, /* takes 5; a hostile configuration may name a pipe */
    FOLLOW_MS = 60000,
};

/* A file or folder that a setting names; relative to the folder. */
static int protect_setting(struct git_search *g, const char *folder, const char *value,
                           const char *who, struct err *e)
{
    auto_free char *path =
        str_starts(value, "~/") ? mem_printf("%s%s", g->home, value + 1) : mem_strdup(value);

    return *path ? git_protect(g, folder, path, who, e) : 0;
}

/* An entry: the file that it is in, or where else it comes from; its key; its value. */
static int take_setting(struct git_search *g, const char *top, const char *origin, const char *key,
                        const char *value, struct err *e)
{
    const char *file = str_starts(origin, "file:/") ? origin + strlen("file:") : NULL;
    auto_free char *folder = file ? git_folder_of(file) : mem_strdup(top);
    bool includes = strcmp(key, "include.path") == 0 ||
                    (str_starts(key, "includeif.") && str_ends(key, ".path"));

    if (file && git_protect(g, "/", file, "holds settings of git's", e) < 0)
        return -1;
    if (includes)
        return protect_setting(g, folder, value, "git's settings include", e);
    if (strcmp(key, "core.hookspath") == 0)
        return protect_setting(g, top, value, "git's core.hooksPath names", e);
    return 0;
}

/* What `git config --list -z --show-origin` wrote: "origin\0key\nvalue\0", a key without a value
 * alone. */
static int take_settings(struct git_search *g, const char *top, const struct buf *text,
                         struct err *e)
{
    const char *p = text->data, *end = p + text->len;
    int rc = 0;

    while (rc == 0 && p < end) {
        const char *origin = p, *entry = p + strlen(p) + 1;
        size_t len = entry < end ? strcspn(entry, "\n") : 0;
        auto_free char *key = entry < end ? mem_dup(entry, len) : NULL;

        if (!key)
            return 0;
        p = entry + strlen(entry) + 1;
        rc = take_setting(g, top, origin, key, entry[len] ? entry + len + 1 : "", e);
    }
    return rc;
}

/* A .git that is a file may lead nowhere. */
static bool leads_nowhere(const struct buf *errout)
{
    return errout->data && (str_starts(errout->data, "fatal: not a git repository") ||
                            str_starts(errout->data, "fatal: invalid gitfile format"));
}

/* Follows the settings that hold for a repository on the host, others' included. */
static int read_settings(struct git_search *g, const char *repository, struct err *e)
{
    auto_free char *top = git_folder_of(repository), *shown = git_show_place(g, repository);
    auto_free char *dir = mem_printf("--git-dir=%s", repository);
    char *const argv[] = {"env",    "LC_ALL=C", "git",           dir, "config",
                          "--list", "-z",       "--show-origin", NULL};
    auto_buf struct buf text = BUF_INIT, errout = BUF_INIT;
    struct exit_status status;

    if (spawn_capture(argv, SETTINGS_MAX, SETTINGS_MS, &text, &errout, &status, e) < 0)
        return err_prefix(e, "cannot read git's settings for %s", shown);
    if (exit_status_code(status) == EXIT_NOT_FOUND || leads_nowhere(&errout)) {
        log_debug("git has no settings for %s", shown);
        return 0;
    }
    if (exit_status_code(status) != 0 || text.len >= SETTINGS_MAX) {
        err_set(e, "cannot read git's settings for %s", shown);
        return err_detail(e, errout.len > 0 ? str_tail(errout.data, errout.len, 1) : NULL);
    }
    return take_settings(g, top, &text, e);
}

int git_follow(struct git_search *g, struct err *e)
{
    int64_t deadline = clock_ms() + FOLLOW_MS;
    size_t settings = 0, links = 0;

    if (git_check_named(g, e) < 0)
        return -1;
    while (settings < g->repositories.n || links < g->links.n) {
        int rc;

        if (clock_left(deadline) == 0)
            return err_set(e, "it takes more than %d s to ask git for its settings",
                           FOLLOW_MS / 1000);
        if (links < g->links.n) {
            rc =
                git_protect(g, g->links.v[links], g->links.v[links + 1], "a link of git's leads to", e);
            links += 2;
        } else {
            rc = read_settings(g, g->repositories.v[settings++], e);
        }
        if (rc < 0)
            return -1;
    }
    return 0;
}
