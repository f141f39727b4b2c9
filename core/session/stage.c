#include "session/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

enum { BAR_WIDTH = 24, US_PER_MS = 1000 };

void stages_start(struct stages *s)
{
    *s = (struct stages){.start_us = clock_us()};
}

void stage_begin(struct stages *s, const char *name, const char *title, bool is_long)
{
    s->name = name;
    s->title = title;
    s->stage_us = clock_us();
    if (!title)
        return;
    if (log_status_shown())
        stage_progress(s, NULL, -1);
    else if (is_long)
        log_info("agentvm: %s", title);
}

void stage_progress(struct stages *s, const char *detail, double fraction)
{
    auto_buf struct buf line = BUF_INIT;
    int filled = (int)(fraction * BAR_WIDTH);

    if (!s->title || !log_status_shown())
        return;
    buf_printf(&line, "agentvm: %s", s->title);
    if (fraction >= 0) {
        buf_puts(&line, " [");
        for (int i = 0; i < BAR_WIDTH; i++)
            buf_puts(&line, i < filled ? "=" : " ");
        buf_printf(&line, "] %d%%", (int)(fraction * 100));
    }
    if (detail)
        buf_printf(&line, " %s", detail);
    log_status(line.data);
}

void stage_record(struct stages *s, const char *name, int64_t us)
{
    if (s->n < STAGES_MAX)
        s->done[s->n++] = (struct stage){name, us};
}

void stage_end(struct stages *s)
{
    if (!s->name)
        return;
    stage_record(s, s->name, clock_us() - s->stage_us);
    s->name = s->title = NULL;
    log_status(NULL);
}

cJSON *stages_to_json(const struct stages *s)
{
    cJSON *list = cJSON_CreateArray();

    for (size_t i = 0; i < s->n; i++) {
        cJSON *item = cJSON_CreateObject();

        cJSON_AddStringToObject(item, "name", s->done[i].name);
        cJSON_AddNumberToObject(item, "ms", (double)s->done[i].us / US_PER_MS);
        cJSON_AddItemToArray(list, item);
    }
    return list;
}

static char *to_json(const struct stages *s)
{
    cJSON *root = cJSON_CreateObject();
    char *text;

    cJSON_AddItemToObject(root, "stages", stages_to_json(s));
    cJSON_AddNumberToObject(root, "total_ms", (double)(clock_us() - s->start_us) / US_PER_MS);
    text = cJSON_PrintUnformatted(root);
    cJSON_Delete(root);
    return text;
}

/* A file is replaced, so that a link which an agent laid in its place leads nowhere; devices and
 * pipes (/dev/stdout, >(...)) are written to and stay what they are. */
static int write_to(const char *path, const char *text, struct err *e)
{
    auto_close int fd = -1;
    struct stat st, link;

    if (stat(path, &st) < 0 ||
        (S_ISREG(st.st_mode) && lstat(path, &link) == 0 && S_ISREG(link.st_mode)))
        return file_write_at(AT_FDCWD, path, text, strlen(text), 0644, e);
    if (S_ISREG(st.st_mode) && !str_starts(path, "/dev/"))
        return err_set(e, "%s is a symbolic link; name the file itself", path);
    fd = open(path, O_WRONLY | O_APPEND | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(e, errno, "cannot open %s", path);
    return file_write_all(fd, text, strlen(text), e);
}

int stages_write(const struct stages *s, const char *path, struct err *e)
{
    auto_free char *text = to_json(s);
    auto_free char *line = mem_printf("%s\n", text);

    if (strcmp(path, "-") != 0)
        return write_to(path, line, e);
    log_raw(line);
    return 0;
}
