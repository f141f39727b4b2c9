#include "channel/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "channel/frame.h"

char *copy_name(const char *source)
{
    size_t end = strlen(source), begin;

    while (end > 0 && source[end - 1] == '/')
        end--;
    begin = end;
    while (begin > 0 && source[begin - 1] != '/')
        begin--;
    if (begin == end || (end - begin == 1 && source[begin] == '.') ||
        (end - begin == 2 && memcmp(source + begin, "..", 2) == 0))
        return mem_strdup(".");
    return mem_dup(source + begin, end - begin);
}

/* Whether an open folder is one of those, or below it. */
static bool is_inside(int dir, char *const *folders)
{
    char link[32], path[PATH_MAX] = {0};

    if (!folders)
        return false;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", dir);
    if (readlink(link, path, sizeof(path) - 1) < 0)
        return true;
    for (size_t len; *folders; folders++) {
        len = strlen(*folders);
        if (strncmp(path, *folders, len) == 0 && (path[len] == '\0' || path[len] == '/'))
            return true;
    }
    return false;
}

/* Opens an entry of a folder, without the right to read it, and follows it if it is a symlink. */
static int follow(int dir, const char *name, char *const *hostile, struct err *e)
{
    int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISLNK(st.st_mode))
        return fd;
    close_fd(&fd);
    if (!is_inside(dir, hostile))
        return openat(dir, name, O_PATH | O_CLOEXEC);
    err_set(e, "%s is a symbolic link where a VM can write, which can have made it", name);
    err_advise(e, "look where it leads, and name that");
    errno = ELOOP;
    return -1;
}

int copy_find(const char *path, char *const *hostile, char **name, struct err *e)
{
    int dir = open(*path == '/' ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);

    path += strspn(path, "/");
    for (size_t len; dir >= 0 && path[len = strcspn(path, "/")]; path += strspn(path, "/")) {
        auto_free char *part = mem_dup(path, len);
        int next = follow(dir, part, hostile, e), errnum = errno;

        close_fd(&dir);
        dir = next;
        errno = errnum;
        path += len;
    }
    if (dir >= 0)
        *name = mem_strdup(*path ? path : ".");
    return dir;
}

int copy_open_folder(const char *path, char *const *hostile, struct err *e)
{
    auto_free char *name = NULL;
    auto_close int dir = copy_find(path, hostile, &name, e);
    auto_close int last = dir < 0 ? -1 : follow(dir, name, hostile, e);

    return last < 0 ? -1 : openat(last, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

int copy_write(int out, const struct copy_record *r, struct err *e)
{
    uint8_t head[COPY_HEAD + COPY_NAME_MAX] = {r->type};
    size_t name = strlen(r->name);

    put_u16(head + 2, (uint16_t)name);
    put_u32(head + 4, r->mode);
    put_u64(head + 8, (uint64_t)r->time);
    put_u32(head + 16, r->len);
    memcpy(head + COPY_HEAD, r->name, name);
    if (file_write_all(out, head, COPY_HEAD + name, e) < 0)
        return -1;
    return r->len ? file_write_all(out, r->data, r->len, e) : 0;
}

static int read_all(int in, void *data, size_t len, const char *who, struct err *e)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = read(in, (char *)data + at, len - at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(e, errno, "cannot read from %s", who);
        if (n == 0)
            return err_set(e, "%s ended in the middle of the copy", who);
        at += (size_t)n;
    }
    return 0;
}

static uint32_t longest_data(uint8_t type)
{
    switch (type) {
    case COPY_DATA:
        return COPY_DATA_MAX;
    case COPY_LINK:
        return COPY_TARGET_MAX;
    case COPY_FAILED:
        return COPY_TEXT_MAX;
    default:
        return 0;
    }
}

static bool has_name(uint8_t type)
{
    return type == COPY_FOLDER || type == COPY_FILE || type == COPY_LINK || type == COPY_SKIPPED;
}

/* Whether a name may stand in a folder. */
static bool is_component(const char *name, size_t len)
{
    return len > 0 && strlen(name) == len && !strchr(name, '/') && strcmp(name, ".") != 0 &&
           strcmp(name, "..") != 0;
}

int copy_read(int in, struct copy_record *r, const char *who, struct err *e)
{
    uint8_t head[COPY_HEAD];
    size_t name;

    if (read_all(in, head, sizeof(head), who, e) < 0)
        return -1;
    r->type = head[0];
    name = get_u16(head + 2);
    r->mode = get_u32(head + 4);
    r->time = (int64_t)get_u64(head + 8);
    r->len = get_u32(head + 16);
    if (r->type == 0 || r->type >= COPY_TYPE_END || head[1] != 0 || name > COPY_NAME_MAX ||
        r->len > longest_data(r->type))
        return err_set(e, "%s sent a malformed copy", who);
    if (read_all(in, r->name, name, who, e) < 0 || read_all(in, r->data, r->len, who, e) < 0)
        return -1;
    r->name[name] = '\0';
    r->data[r->len] = '\0';
    if (has_name(r->type) ? !is_component(r->name, name) : name > 0)
        return err_set(e, "%s sent a malformed name", who);
    return 0;
}

int copy_answer(int out, const struct err *why, struct err *e)
{
    struct copy_record r = {.type = why->msg ? COPY_FAILED : COPY_DONE, .data = why->msg};

    if (why->msg)
        r.len = (uint32_t)strnlen(why->msg, COPY_TEXT_MAX);
    return copy_write(out, &r, e);
}

int copy_await(int in, const char *who, struct err *e)
{
    auto_free char *data = mem_zalloc(1, COPY_DATA_MAX + 1);
    struct copy_record r = {.data = data};

    if (copy_read(in, &r, who, e) < 0)
        return -1;
    if (r.type == COPY_DONE)
        return 0;
    if (r.type != COPY_FAILED)
        return err_set(e, "%s sent a malformed answer", who);
    return copy_explain(&r, who, e);
}

int copy_explain(const struct copy_record *r, const char *who, struct err *e)
{
    auto_free char *text = str_printable(r->data, r->len);

    for (char *p = text; *p; p++) /* one line: it may not forge another */
        if (*p == '\n' || *p == '\t')
            *p = ' ';
    return err_set(e, "%s: %s", who, text);
}
