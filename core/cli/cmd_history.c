#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "model/json_text.h"
#include "model/show.h"
#include "state/record.h"

enum {
    LAST_DEFAULT = 20,
    LAST_MAX = 100000, /* more than the files hold */
    MS_PER_MINUTE = 60 * 1000,
    /* Columns of the table; bytes, of which a character has at least as many as it has columns. */
    WIDTH = 100,
    TIME_WIDTH = 16,
    FOLDER_WIDTH = 26,
    INDENT = 18,
};

static const char *text_of(const cJSON *o, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, name));

    return text ? text : "";
}

static double number_of(const cJSON *o, const char *name)
{
    return cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(o, name));
}

/* The project folder with "~" for the home folder; the caller frees it. */
static char *folder_of(const cJSON *o, const char *home)
{
    auto_free char *path = json_text_take(cJSON_GetObjectItemCaseSensitive(o, "project"));
    size_t len = strlen(home);

    if (path && str_starts(path, home) && path[len] == '/')
        return mem_printf("~%s", path + len);
    return path ? steal_ptr(&path) : mem_strdup("");
}

/* The last max bytes of a text, "..." in front where it is cut: of a path they tell most. */
static char *show_end(const char *text, size_t max)
{
    auto_free char *shown = show_text(text, 0);
    size_t len = strlen(shown);
    const char *end = shown + (len > max ? len - max + strlen("...") : 0);

    while ((*end & 0xc0) == 0x80)
        end++;
    return mem_printf("%s%s", len > max ? "..." : "", end);
}

/* The first max bytes, likewise. */
static char *show_begin(const char *text, size_t max)
{
    auto_free char *shown = show_text(text, 0);

    return strlen(shown) > max ? show_text(shown, max - strlen("...")) : steal_ptr(&shown);
}

static char *show_duration(double ms)
{
    long minutes = (long)ms / MS_PER_MINUTE;

    if (minutes == 0)
        return mem_printf("%.1fs", ms / 1000);
    if (minutes < 60)
        return mem_printf("%ldm%02lds", minutes, (long)ms % MS_PER_MINUTE / 1000);
    return mem_printf("%ldh%02ldm", minutes / 60, minutes % 60);
}

static void add_row(struct buf *out, const cJSON *o, const char *home, bool with_folder)
{
    auto_free char *when = show_begin(text_of(o, "time"), TIME_WIDTH + strlen("..."));
    auto_free char *kind = show_begin(text_of(o, "kind"), 7);
    auto_free char *agent = show_begin(text_of(o, "agent"), 10);
    auto_free char *vm = show_begin(text_of(o, "vm"), 8);
    auto_free char *start = show_begin(text_of(o, "start"), 8);
    auto_free char *took = show_duration(number_of(o, "duration_ms"));
    auto_free char *folder = with_folder ? folder_of(o, home) : mem_strdup("");
    auto_free char *shown = show_end(folder, FOLDER_WIDTH);
    auto_free char *error = show_begin(text_of(o, "error"), WIDTH - INDENT);

    when[strcspn(text_of(o, "time"), "T")] = ' '; /* a record's time has one */
    buf_printf(out, "%-*.*s  %-7s  %-10s  %-8s  %-8s  %7s  %4.0f", TIME_WIDTH, TIME_WIDTH, when,
               kind, agent, vm, start, took, number_of(o, "exit_code"));
    buf_printf(out, "%s%s\n", *shown ? "  " : "", shown);
    if (*error)
        buf_printf(out, "%*s%s\n", INDENT, "", error);
}

static char *as_text(const cJSON *list, const char *home, bool with_folder)
{
    struct buf out = BUF_INIT;
    const cJSON *o;

    if (cJSON_GetArraySize(list) > 0)
        buf_printf(&out, "%-*s  %-7s  %-10s  %-8s  %-8s  %7s  %4s%s\n", TIME_WIDTH, "TIME (UTC)",
                   "COMMAND", "AGENT", "VM", "START", "TOOK", "EXIT",
                   with_folder ? "  FOLDER" : "");
    cJSON_ArrayForEach(o, list) add_row(&out, o, home, with_folder);
    return buf_steal(&out);
}

static int parse_last(const struct cli *cli, uint64_t *n, struct err *e)
{
    *n = LAST_DEFAULT;
    if (!cli->last || str_to_u64(cli->last, 1, LAST_MAX, n) == 0)
        return 0;
    err_set(e, "-n %s: not a number from 1 to %d", cli->last, LAST_MAX);
    return err_advise(e, "write for instance -n %d", LAST_DEFAULT);
}

static int history(const struct paths *p, const struct cli *cli, struct err *e)
{
    auto_free char *project = NULL, *text = NULL;
    uint64_t n;
    cJSON *list;

    if (cli->all && cli->session.project)
        return err_set(e, "--all and --project exclude each other");
    if (parse_last(cli, &n, e) < 0 ||
        (!cli->all && paths_project(p, cli->session.project, &project, e) < 0))
        return -1;
    list = record_read(p, project, n);
    if (cli->json)
        return cli_print_json(list, e);
    text = as_text(list, p->home, cli->all);
    cJSON_Delete(list);
    return cli_print(text, e);
}

int cmd_history(struct cli *cli, struct err *e)
{
    struct paths paths;
    int rc = paths_init(&paths, e);

    if (rc == 0)
        rc = history(&paths, cli, e);
    paths_free(&paths);
    return rc;
}
