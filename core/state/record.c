#include "state/record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "model/json_text.h"
#include "model/show.h"
#include "proc/task.h"
#include "state/vms.h"

#define TIME_FORMAT "%Y-%m-%dT%H:%M:%SZ" /* of RFC 3339 */
#define DURATION_MAX 1e12                /* milliseconds; 30 years */

enum { ERROR_SHOWN = 500, US_PER_MS = 1000, TIME_LENGTH = 20 };

/* ---- writing -------------------------------------------------------------------------------- */

static void add_time(cJSON *o, time_t when)
{
    struct tm tm;
    char text[32];

    if (gmtime_r(&when, &tm) && strftime(text, sizeof(text), TIME_FORMAT, &tm) > 0)
        cJSON_AddStringToObject(o, "time", text);
}

/* Nothing where there is nothing to say. */
static void add_text(cJSON *o, const char *name, const char *text)
{
    if (text && *text)
        cJSON_AddStringToObject(o, name, text);
}

/* Likewise of ports. */
static void add_ports(cJSON *o, const struct port_account *a)
{
    if (a->n == 0)
        return;
    cJSON_AddItemToObject(o, "ports", ports_to_json(a->pairs, a->n));
    cJSON_AddNumberToObject(o, "bytes_in", (double)a->to_guest);
    cJSON_AddNumberToObject(o, "bytes_out", (double)a->from_guest);
}

/* A command that was not found or not executable is no failure of ours, and the message names it.
 */
static bool has_error(int code, const struct err *e)
{
    return code < 0 && err_exit_code(e) != EXIT_NOT_FOUND && err_exit_code(e) != EXIT_CANNOT_EXEC;
}

char *record_format(const struct record *r, cJSON *stages, int64_t us, int code,
                    const struct err *e)
{
    auto_free char *error = has_error(code, e) ? show_text(err_msg(e), ERROR_SHOWN) : NULL;
    auto_free char *text = NULL;
    cJSON *o = cJSON_CreateObject();

    add_time(o, r->time);
    add_text(o, "version", AGENTVM_VERSION);
    add_text(o, "kind", r->kind);
    cJSON_AddItemToObject(o, "project", json_text(r->project));
    add_text(o, "agent", r->agent);
    add_text(o, "vm", r->vm);
    add_text(o, "start", r->start);
    if (r->detached)
        cJSON_AddBoolToObject(o, "detached", true);
    add_text(o, "base_layer", r->base);
    add_text(o, "provisioned_layer", r->provisioned);
    add_text(o, "warm_layer", r->warm);
    cJSON_AddItemToObject(o, "stages", stages);
    cJSON_AddNumberToObject(o, "duration_ms", (double)us / US_PER_MS);
    add_ports(o, &r->ports);
    cJSON_AddNumberToObject(o, "exit_code", code < 0 ? err_exit_code(e) : code);
    add_text(o, "error", error);
    text = cJSON_PrintUnformatted(o);
    cJSON_Delete(o);
    return mem_printf("%s\n", text);
}

static void replace_number(cJSON *o, const char *name, double value)
{
    cJSON_DeleteItemFromObjectCaseSensitive(o, name);
    cJSON_AddNumberToObject(o, name, value);
}

char *record_complete(const char *text, int64_t more_us, const struct port_account *ports, int code,
                      const char *error)
{
    cJSON *o = text ? cJSON_Parse(text) : NULL;
    double ms = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(o, "duration_ms"));
    auto_free char *shown = error ? show_text(error, ERROR_SHOWN) : NULL;
    auto_free char *line = NULL;

    if (!o)
        return NULL;
    replace_number(o, "duration_ms", ms + (double)more_us / US_PER_MS);
    add_ports(o, ports);
    replace_number(o, "exit_code", code);
    add_text(o, "error", shown);
    line = cJSON_PrintUnformatted(o);
    cJSON_Delete(o);
    return mem_printf("%s\n", line);
}

static bool is_named(int fd, const char *path)
{
    struct stat open_file, named;

    return fstat(fd, &open_file) == 0 && lstat(path, &named) == 0 &&
           open_file.st_dev == named.st_dev && open_file.st_ino == named.st_ino;
}

/* A full file becomes the old one.  The lock lets only one process do so; who has opened the file
 * meanwhile appends to the old one, and nothing is lost. */
static void rotate(const struct paths *p, int fd, const char *path)
{
    auto_free char *old = mem_printf("%s/" PATHS_RUNS_OLD, p->data);
    struct stat st;

    if (fstat(fd, &st) == 0 && st.st_size > RECORD_FILE_MAX && task_try_lock(fd) == 0 &&
        is_named(fd, path))
        rename(path, old);
}

/* Whether the file ends within a line, as after a crash or on a full disk.  Somebody else's line
 * may be seen half written, too: then an empty one comes behind it. */
static bool is_cut(int fd, const struct stat *st)
{
    char last;

    return st->st_size > 0 && pread(fd, &last, 1, st->st_size - 1) == 1 && last != '\n';
}

int record_append(const struct paths *p, const char *line, struct err *e)
{
    auto_free char *path = mem_printf("%s/" PATHS_RUNS, p->data);
    auto_close int fd = open(
        path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
    auto_free char *whole = NULL;
    struct stat st;
    ssize_t n;

    if (fd < 0 || fstat(fd, &st) < 0)
        return err_errno(e, errno, "cannot open %s", path);
    if (!S_ISREG(st.st_mode))
        return err_set(e, "%s is no regular file", path);
    whole = mem_printf("%s%s", is_cut(fd, &st) ? "\n" : "", line);
    /* In one write, which others that append cannot come into. */
    n = write(fd, whole, strlen(whole));
    if (n < 0)
        return err_errno(e, errno, "cannot write %s", path);
    if ((size_t)n < strlen(whole))
        return err_set(e, "cannot write %s: only a part of the line has room", path);
    rotate(p, fd, path);
    return 0;
}

/* ---- reading -------------------------------------------------------------------------------- */

static bool is_text(const cJSON *o, const char *name)
{
    return cJSON_IsString(cJSON_GetObjectItemCaseSensitive(o, name));
}

static bool is_number(const cJSON *o, const char *name, double max)
{
    const cJSON *number = cJSON_GetObjectItemCaseSensitive(o, name);

    return cJSON_IsNumber(number) && number->valuedouble >= 0 && number->valuedouble <= max;
}

static bool is_time(const cJSON *o)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "time"));
    struct tm tm;
    const char *end = text ? strptime(text, TIME_FORMAT, &tm) : NULL;

    return end && *end == '\0' && strlen(text) == TIME_LENGTH;
}

/* Whether it has what every record has. */
static bool is_record(const cJSON *o)
{
    const cJSON *project = cJSON_GetObjectItemCaseSensitive(o, "project");

    return cJSON_IsObject(o) && is_time(o) && is_text(o, "kind") &&
           (cJSON_IsString(project) || is_text(project, "base64")) &&
           is_number(o, "duration_ms", DURATION_MAX) && is_number(o, "exit_code", UINT8_MAX);
}

/* The record of a line, or NULL. */
static cJSON *parse_line(const char *line, size_t len)
{
    const char *end = NULL;
    cJSON *o = len > 0 && len <= RECORD_LINE_MAX ? cJSON_ParseWithLengthOpts(line, len, &end, false)
                                                 : NULL;

    if (o && end == line + len && is_record(o))
        return o;
    cJSON_Delete(o);
    return NULL;
}

void record_parse(const char *text, size_t len, const char *project, cJSON *list)
{
    cJSON *wanted = project ? json_text(project) : NULL;

    for (size_t at = 0; at < len;) {
        const char *line = text + at, *end = memchr(line, '\n', len - at);
        size_t line_len = end ? (size_t)(end - line) : len - at;
        cJSON *o = parse_line(line, line_len);

        at += line_len + 1;
        if (o && wanted &&
            !cJSON_Compare(cJSON_GetObjectItemCaseSensitive(o, "project"), wanted, true)) {
            cJSON_Delete(o);
            o = NULL;
        }
        if (o)
            cJSON_AddItemToArray(list, o);
    }
    cJSON_Delete(wanted);
}

cJSON *record_read(const struct paths *p, const char *project, size_t max)
{
    static const char *const names[] = {PATHS_RUNS_OLD, PATHS_RUNS};
    cJSON *list = cJSON_CreateArray();
    size_t n;

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        auto_free char *path = mem_printf("%s/%s", p->data, names[i]);
        auto_buf struct buf text = BUF_INIT;

        /* The end of a file that is longer than ours get: a line that was cut is no record. */
        file_read_tail(path, RECORD_FILE_MAX + RECORD_LINE_MAX, &text);
        record_parse(text.data, text.len, project, list);
    }
    for (n = (size_t)cJSON_GetArraySize(list); n > max; n--)
        cJSON_DeleteItemFromArray(list, 0);
    return list;
}

cJSON *record_find(const struct paths *p, const char *vm)
{
    cJSON *list = record_read(p, NULL, SIZE_MAX), *o, *found = NULL;

    cJSON_ArrayForEach(o, list)
    {
        const char *id = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "vm"));

        if (id && strcmp(id, vm) == 0 &&
            cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, "detached")))
            found = o;
    }
    if (found)
        cJSON_DetachItemViaPointer(list, found);
    cJSON_Delete(list);
    return found;
}
