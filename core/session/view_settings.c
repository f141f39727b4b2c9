/* What git's settings lead to: hooks, and files that they include. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "proc/spawn.h"
#include "session/view_git.h"

enum {
    SETTINGS_MAX = 1 << 20,
    SETTINGS_MS = 5000, /* takes 5; a hostile configuration may name a pipe */
    FOLLOW_MS = 60000,
    INCLUDES_MAX = 30000, /* three for each pair of a repository and a file */
};

/* A file or folder that a setting names; relative to the folder.  The caller frees it. */
static char *setting_path(const struct git_search *g, const char *folder, const char *value)
{
    if (str_starts(value, "~/"))
        return mem_printf("%s%s", g->home, value + 1);
    return value[0] == '/' ? mem_strdup(value) : mem_printf("%s/%s", folder, value);
}

static int protect_setting(struct git_search *g, const char *folder, const char *value,
                           const char *who, struct err *e)
{
    auto_free char *path = setting_path(g, folder, value);

    return *value ? git_protect(g, folder, path, who, e) : 0;
}

/* What such a file says is to be read, too: git lists it only as long as the condition holds. */
static int add_include(struct git_search *g, const char *repository, const char *folder,
                       const char *value, struct err *e)
{
    auto_free char *path = setting_path(g, folder, value);
    auto_free char *real = realpath(path, NULL);
    struct stat st;

    if (!real || stat(real, &st) < 0 || !S_ISREG(st.st_mode))
        return 0;
    for (size_t i = 0; i < g->includes.n; i += 3)
        if (strcmp(g->includes.v[i], repository) == 0 && strcmp(g->includes.v[i + 2], real) == 0)
            return 0;
    if (g->includes.n == INCLUDES_MAX)
        return err_set(e, "git's settings include too many files on conditions");
    strv_push(&g->includes, repository);
    strv_push(&g->includes, path);
    strv_push(&g->includes, real);
    return 0;
}

/* Settings that git listed: those that hold for a repository, or all that one file has. */
struct listing {
    const char *repository;
    bool one_file; /* what that includes is not among them */
    struct buf text;
};

static bool is_include(const char *key)
{
    return strcmp(key, "include.path") == 0 ||
           (str_starts(key, "includeif.") && str_ends(key, ".path"));
}

/* An entry: the file that it is in, or where else it comes from; its key; its value. */
static int take_setting(struct git_search *g, const struct listing *l, const char *origin,
                        const char *key, const char *value, struct err *e)
{
    const char *file = str_starts(origin, "file:/") ? origin + strlen("file:") : NULL;
    auto_free char *top = NULL, *folder = NULL, *real = NULL, *place = NULL, *who = NULL;
    bool includes = is_include(key);

    if (file && git_protect(g, "/", file, "holds settings of git's", e) < 0)
        return -1;
    if (!includes && strcmp(key, "core.hookspath") != 0)
        return 0;
    top = git_folder_of(l->repository);
    folder = file ? git_folder_of(file) : mem_strdup(top);
    real = file ? realpath(file, NULL) : NULL;
    place = file ? git_show_place(g, real ? real : file) : mem_strdup("git's call");
    who = mem_printf(includes ? "%s includes for git" : "core.hooksPath in %s names", place);
    if (protect_setting(g, includes ? folder : top, value, who, e) < 0)
        return -1;
    /* What git follows itself is in its list, too. */
    if (!includes || (strcmp(key, "include.path") == 0 && !l->one_file))
        return 0;
    return add_include(g, l->repository, folder, value, e);
}

static void listing_free(struct listing *l)
{
    buf_free(&l->text);
}

/* What `git config --list -z --show-origin` wrote: "origin\0key\nvalue\0", a key without a value
 * alone. */
static int take_settings(struct git_search *g, const struct listing *l, struct err *e)
{
    const char *p = l->text.data, *end = p + l->text.len;
    int rc = 0;

    while (rc == 0 && p < end) {
        const char *origin = p, *entry = p + strlen(p) + 1;
        size_t len = entry < end ? strcspn(entry, "\n") : 0;
        auto_free char *key = entry < end ? mem_dup(entry, len) : NULL;

        if (!key)
            return 0;
        p = entry + strlen(entry) + 1;
        rc = take_setting(g, l, origin, key, entry[len] ? entry + len + 1 : "", e);
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
    auto_free char *shown = git_show_place(g, repository);
    auto_free char *dir = mem_printf("--git-dir=%s", repository);
    char *const argv[] = {"env",    "LC_ALL=C", "git",           dir, "config",
                          "--list", "-z",       "--show-origin", NULL};
    __attribute__((cleanup(listing_free))) struct listing l = {.repository = repository};
    auto_buf struct buf errout = BUF_INIT;
    struct exit_status status;

    if (spawn_capture(argv, SETTINGS_MAX, SETTINGS_MS, &l.text, &errout, &status, e) < 0)
        return err_prefix(e, "cannot read git's settings for %s", shown);
    if (exit_status_code(status) == EXIT_NOT_FOUND || leads_nowhere(&errout)) {
        log_debug("git has no settings for %s", shown);
        return 0;
    }
    if (exit_status_code(status) != 0 || l.text.len >= SETTINGS_MAX) {
        err_set(e, "cannot read git's settings for %s", shown);
        return err_detail(e, errout.len > 0 ? str_tail(errout.data, errout.len, 1) : NULL);
    }
    return take_settings(g, &l, e);
}

/* What a file says that is included on a condition, in turn.  One that git cannot read has no
 * effect for it, either. */
static int read_include(struct git_search *g, char *const include[3], struct err *e)
{
    auto_free char *shown = git_show_place(g, include[1]);
    auto_free char *dir = mem_printf("--git-dir=%s", include[0]);
    char *const argv[] = {"env",      "LC_ALL=C",      "git",    dir,  "config",        "--file",
                          include[1], "--no-includes", "--list", "-z", "--show-origin", NULL};
    __attribute__((cleanup(listing_free))) struct listing l = {.repository = include[0],
                                                               .one_file = true};
    struct exit_status status;

    if (spawn_capture(argv, SETTINGS_MAX, SETTINGS_MS, &l.text, NULL, &status, e) < 0)
        return err_prefix(e, "cannot read git's settings in %s", shown);
    if (l.text.len >= SETTINGS_MAX)
        return err_set(e, "cannot read git's settings in %s: they are too long", shown);
    if (exit_status_code(status) != 0) {
        log_debug("git cannot read %s", shown);
        return 0;
    }
    return take_settings(g, &l, e);
}

int git_follow(struct git_search *g, struct err *e)
{
    int64_t deadline = clock_ms() + FOLLOW_MS;
    size_t settings = 0, links = 0, includes = 0;

    if (git_check_named(g, e) < 0)
        return -1;
    while (settings < g->repositories.n || links < g->links.n || includes < g->includes.n) {
        int rc;

        if (clock_left(deadline) == 0)
            return err_set(e, "it takes more than %d s to ask git for its settings",
                           FOLLOW_MS / 1000);
        if (links < g->links.n) {
            rc = git_protect(g, g->links.v[links], g->links.v[links + 1],
                             "a link of git's leads to", e);
            links += 2;
        } else if (includes < g->includes.n) {
            rc = read_include(g, g->includes.v + includes, e);
            includes += 3;
        } else {
            rc = read_settings(g, g->repositories.v[settings++], e);
        }
        if (rc < 0)
            return -1;
    }
    return 0;
}
