#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "model/show.h"
#include "plugin/describe.h"
#include "plugin/load.h"
#include "plugin/plugin.h"

enum {
    INI_MAX = 64 * 1024, /* bytes of a plugin's NAME.ini */
    SHOWN_MAX = 60,
    VALUE_SHOWN_MAX = 200,
};

static const char *kind_name(enum plugin_kind kind)
{
    return kind == PLUGIN_ANY ? "plugin" : kind == PLUGIN_AGENT ? "agent" : "tool";
}

/* ---- scanning ------------------------------------------------------------------------------- */

static void add_fault(struct plugin_list *l, const char *path, const struct err *why)
{
    l->faults = mem_realloc(l->faults, l->nfaults + 1, sizeof(*l->faults));
    l->faults[l->nfaults].path = mem_strdup(path);
    l->faults[l->nfaults++].why =
        mem_printf("%s%s%s", err_msg(why), why->advice ? "; " : "", why->advice ? why->advice : "");
}

static void add_plugin(struct plugin_list *l, struct plugin *pl)
{
    l->plugins = mem_realloc(l->plugins, l->n + 1, sizeof(*l->plugins));
    l->plugins[l->n++] = *pl;
    *pl = (struct plugin){0};
}

/* Inspects folder/NAME.so; --agent NAME finds a plugin by its file, so the two must agree. */
static int inspect_named(const char *path, const char *name, struct plugin *out, struct err *e)
{
    if (plugin_inspect(path, out, e) < 0)
        return -1;
    if (strcmp(out->name, name) == 0)
        return 0;
    err_set(e, "%s: the plugin calls itself %s", path, out->name);
    err_advise(e, "name its file %s.so", out->name);
    plugin_free(out);
    return -1;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int compare_plugins(const void *a, const void *b)
{
    return strcmp(((const struct plugin *)a)->name, ((const struct plugin *)b)->name);
}

/* Names (without ".so") of the plugin files in a folder, sorted; takes the descriptor. */
static int list_names(int fd, const char *folder, struct strv *names, struct err *e)
{
    DIR *dir = fdopendir(fd);
    const struct dirent *entry;

    if (!dir) {
        err_errno(e, errno, "cannot list folder %s", folder);
        close(fd);
        return -1;
    }
    while ((entry = readdir(dir))) {
        size_t len = strlen(entry->d_name);

        if (entry->d_name[0] != '.' && len > 3 && str_ends(entry->d_name, ".so"))
            strv_take(names, mem_dup(entry->d_name, len - 3));
    }
    closedir(dir);
    if (names->n > 1)
        qsort(names->v, names->n, sizeof(*names->v), compare_texts);
    return 0;
}

static void scan_folder(const char *folder, struct strv *seen, struct plugin_list *out)
{
    auto_strv struct strv names = STRV_INIT;
    auto_err struct err why = ERR_INIT;
    int fd = load_open_folder(folder, &why);

    if (fd < 0 && errno == ENOENT)
        return;
    if (fd < 0 || list_names(fd, folder, &names, &why) < 0) {
        add_fault(out, folder, &why);
        return;
    }
    for (size_t i = 0; i < names.n; i++) {
        auto_free char *path = mem_printf("%s/%s.so", folder, names.v[i]);
        struct plugin pl;

        /* A broken plugin of the user's hides the system's of that name, as plugin_find has it:
         * the user's is wanted, so another one must not silently take its place. */
        if (strv_has(seen, names.v[i]))
            continue;
        strv_push(seen, names.v[i]);
        if (inspect_named(path, names.v[i], &pl, &why) == 0)
            add_plugin(out, &pl);
        else
            add_fault(out, path, &why);
    }
}

int plugin_scan(const struct paths *p, struct plugin_list *out, struct err *e)
{
    auto_strv struct strv seen = STRV_INIT;

    (void)e; /* what cannot be read is listed as a fault */
    *out = (struct plugin_list){0};
    scan_folder(p->plugins_user, &seen, out);
    scan_folder(p->plugins_system, &seen, out);
    if (out->n > 1)
        qsort(out->plugins, out->n, sizeof(*out->plugins), compare_plugins);
    return 0;
}

void plugin_list_free(struct plugin_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        plugin_free(&l->plugins[i]);
    for (size_t i = 0; i < l->nfaults; i++) {
        free(l->faults[i].path);
        free(l->faults[i].why);
    }
    free(l->plugins);
    free(l->faults);
    *l = (struct plugin_list){0};
}

/* ---- finding -------------------------------------------------------------------------------- */

static int unknown(const struct paths *p, const char *name, enum plugin_kind kind, struct err *e)
{
    auto_free char *shown = show_text(name, SHOWN_MAX);
    auto_strv struct strv names = STRV_INIT;
    auto_buf struct buf list = BUF_INIT;
    struct plugin_list all;
    const char *nearest;

    plugin_scan(p, &all, NULL);
    for (size_t i = 0; i < all.n; i++)
        if (kind == PLUGIN_ANY || all.plugins[i].kind == kind) {
            buf_printf(&list, "%s%s", names.n ? ", " : "", all.plugins[i].name);
            strv_push(&names, all.plugins[i].name);
        }
    nearest = str_nearest(name, (const char *const *)names.v, names.n);
    if (names.n > 0)
        err_set(e, "unknown %s \"%s\"; there are: %s", kind_name(kind), shown, list.data);
    else
        err_set(e, "unknown %s \"%s\"; there is none in %s and %s", kind_name(kind), shown,
                p->plugins_user, p->plugins_system);
    if (nearest)
        err_advise(e, "did you mean %s?", nearest);
    else if (all.nfaults > 0)
        err_advise(e, "agentvm plugin list tells what is wrong with %s", all.faults[0].path);
    else
        err_advise(e, "plugins are NAME.so in %s; agentvm plugin list shows them", p->plugins_user);
    plugin_list_free(&all);
    return -1;
}

static int find_in(const char *folder, const char *name, enum plugin_kind kind, struct plugin *out,
                   struct err *e)
{
    auto_free char *path = mem_printf("%s/%s.so", folder, name);
    auto_close int fd = -1;
    struct stat st;

    if (lstat(path, &st) < 0 && (errno == ENOENT || errno == ENOTDIR))
        return 1;
    /* The folder of a symlink counts, too, not only that of the file it leads to. */
    fd = load_open_folder(folder, e);
    if (fd < 0 || inspect_named(path, name, out, e) < 0)
        return -1;
    if (kind == PLUGIN_ANY || out->kind == kind)
        return 0;
    err_set(e, "plugin %s is no %s but a%s %s", name, kind_name(kind),
            out->kind == PLUGIN_AGENT ? "n" : "", kind_name(out->kind));
    err_advise(e,
               out->kind == PLUGIN_AGENT ? "agents are chosen by --agent or [agent] name"
                                         : "tools are listed in agent.ini: [agent] tools = %s",
               name);
    plugin_free(out);
    return -1;
}

int plugin_find(const struct paths *p, const char *name, enum plugin_kind kind, struct plugin *out,
                struct err *e)
{
    const char *const folders[] = {p->plugins_user, p->plugins_system};

    *out = (struct plugin){0};
    for (size_t i = 0; i < ARRAY_LEN(folders) && describe_is_name(name); i++) {
        int rc = find_in(folders[i], name, kind, out, e);

        if (rc <= 0)
            return rc;
    }
    return unknown(p, name, kind, e);
}

/* ---- settings ------------------------------------------------------------------------------- */

int plugin_ini(const struct plugin *pl, struct buf *text, struct err *e)
{
    size_t len = strlen(pl->path);
    auto_free char *stem = mem_dup(pl->path, str_ends(pl->path, ".so") ? len - 3 : len);
    auto_free char *path = mem_printf("%s.ini", stem);
    auto_err struct err why = ERR_INIT;
    auto_close int fd = load_open(path, NULL, &why);

    if (fd < 0 && errno == ENOENT)
        return 1;
    if (fd < 0) {
        err_set(e, "%s", err_msg(&why));
        return why.advice ? err_advise(e, "%s", why.advice) : -1;
    }
    return file_read_fd(fd, INI_MAX, text, e) < 0 ? err_prefix(e, "%s", path) : 0;
}

static const struct plugin_option *find_option(const struct plugin *pl, const char *name)
{
    for (size_t i = 0; i < pl->noptions; i++)
        if (strcmp(pl->options[i].name, name) == 0)
            return &pl->options[i];
    return NULL;
}

static int unknown_option(const struct plugin *pl, const struct plugin_setting *s, struct err *e)
{
    auto_free char *shown = show_text(s->key, SHOWN_MAX);
    auto_strv struct strv names = STRV_INIT;
    auto_buf struct buf list = BUF_INIT;
    const char *nearest;

    for (size_t i = 0; i < pl->noptions; i++) {
        buf_printf(&list, "%s%s", i ? ", " : "", pl->options[i].name);
        strv_push(&names, pl->options[i].name);
    }
    err_set(e, "%s: plugin %s has no option \"%s\"", s->where, pl->name, shown);
    nearest = str_nearest(s->key, (const char *const *)names.v, names.n);
    if (nearest)
        return err_advise(e, "did you mean %s?", nearest);
    return names.n ? err_advise(e, "its options are: %s", list.data)
                   : err_advise(e, "it has no options at all");
}

int plugin_check_settings(const struct plugin *pl, const struct profile *profile,
                          struct strv *widens, struct err *e)
{
    for (size_t i = 0; i < profile->nsettings; i++) {
        const struct plugin_setting *s = &profile->settings[i];
        const struct plugin_option *o;

        if (strcmp(s->plugin, pl->name) != 0)
            continue;
        o = find_option(pl, s->key);
        if (!o)
            return unknown_option(pl, s, e);
        if (o->sensitive && s->origin == PROFILE_PROJECT) {
            auto_free char *shown = show_text(s->value, VALUE_SHOWN_MAX);

            strv_pushf(widens, "sets option %s of plugin %s to '%s'", s->key, pl->name, shown);
        }
    }
    return 0;
}
