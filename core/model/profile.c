#include "model/profile.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/profile_keys.h"
#include "model/show.h"

enum {
    LINE_MAX_BYTES = 64 * 1024, /* without the line end */
    FILE_MAX_BYTES = 1 << 20,
    SETTINGS_MAX = 1024,    /* of one file; bounds the search for keys set twice */
    SECTION_MAX_BYTES = 49, /* inih cuts longer names of sections */
    SHOWN_MAX = 80,
};

void profile_defaults(struct profile *p)
{
    const uint64_t mib = (uint64_t)1 << 20;
    long cpus = sysconf(_SC_NPROCESSORS_ONLN), pages = sysconf(_SC_PHYS_PAGES);
    uint64_t half = pages > 0 ? (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE) / 2 : 0;

    *p = (struct profile){
        .agent = mem_strdup("claude"),
        .backend = mem_strdup("qemu"),
        .cpus = cpus < 1   ? 1
                : cpus > 4 ? 4
                           : (unsigned)cpus,
        .memory = 4096 * mib,
        .disk = 20480 * mib,
        .boot_timeout = 120,
    };
    if (half < p->memory)
        p->memory = half < 512 * mib ? 512 * mib : half / mib * mib;
}

void profile_free(struct profile *p)
{
    free(p->agent);
    free(p->backend);
    strv_free(&p->packages);
    strv_free(&p->base_packages);
    strv_free(&p->env);
    strv_free(&p->tools);
    strv_free(&p->origins);
    for (size_t i = 0; i < p->nsettings; i++) {
        free(p->settings[i].plugin);
        free(p->settings[i].key);
        free(p->settings[i].value);
        free(p->settings[i].where);
    }
    free(p->settings);
    free(p->project_widens_what);
    *p = (struct profile){0};
}

/* An ini text on its way through inih.  The reader below feeds it line by line, after checking what
 * inih would silently cut or skip; a key waits in `pending` until the next one, because further
 * lines may add to it. */
struct source {
    struct profile *profile;
    enum profile_origin origin;
    const char *name; /* shown */
    const char *text;
    size_t len, pos;
    int line;      /* number of the line that inih has */
    bool indented; /* that line starts with white space */
    bool open;     /* a key was seen in this section, so an indented line continues it */
    struct {
        char *section, *key;
        struct buf value;
        int line;
        bool list;
    } pending;
    struct strv seen; /* "section.key", for keys set twice */
    int seen_line[SETTINGS_MAX];
    bool failed;
    struct err *err;
};

/* The message is made by the caller; ends the parsing. */
static int fail(struct source *s)
{
    s->failed = true;
    return -1;
}

static int fail_at(struct source *s, int line, const char *what)
{
    err_set(s->err, "%s:%d: %s", s->name, line, what);
    return fail(s);
}

static int check_bytes(struct source *s, const char *line, size_t len)
{
    if (len > LINE_MAX_BYTES) {
        err_set(s->err, "%s:%d: the line is longer than %d bytes", s->name, s->line,
                LINE_MAX_BYTES);
        return fail(s);
    }
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)line[i];

        if (c == '\0')
            return fail_at(s, s->line, "the line contains a NUL byte; the file must be UTF-8 text");
        if ((c < 0x20 && c != '\t' && !(c == '\r' && i + 1 == len)) || c == 0x7f) {
            err_set(s->err, "%s:%d: the line contains the control character 0x%02x", s->name,
                    s->line, c);
            return fail(s);
        }
    }
    return 0;
}

/* Hands the waiting key to the profile. */
static int flush(struct source *s)
{
    auto_free char *section = steal_ptr(&s->pending.section), *key = steal_ptr(&s->pending.key);
    auto_free char *value = buf_steal(&s->pending.value);
    auto_free char *where = mem_printf("%s:%d", s->name, s->pending.line);
    struct profile_entry entry = {s->origin, where, section, key, value};

    if (!key)
        return 0;
    return profile_assign(s->profile, &entry, s->err) < 0 ? fail(s) : 0;
}

/* inih tells of a section only with its first key, cuts its name and skips what follows it. */
static int check_section(struct source *s, const char *start, const char *end)
{
    const char *close = memchr(start, ']', (size_t)(end - start));
    auto_free char *name = NULL, *where = NULL;

    if (flush(s) < 0)
        return -1;
    if (!close)
        return fail_at(s, s->line, "a section's name must end with ']'");
    name = mem_dup(start + 1, (size_t)(close - start - 1));
    where = mem_printf("%s:%d", s->name, s->line);
    if (strlen(name) > SECTION_MAX_BYTES) {
        auto_free char *shown = show_text(name, SHOWN_MAX);

        err_set(s->err, "%s: the section's name [%s] is longer than %d bytes", where, shown,
                SECTION_MAX_BYTES);
        return fail(s);
    }
    for (close++; close < end; close++)
        if (*close != ' ' && *close != '\t' && *close != '\r')
            return fail_at(s, s->line, "there is text after the section's name");
    s->open = false;
    return profile_check_section(where, name, s->err) < 0 ? fail(s) : 0;
}

static int check_line(struct source *s, const char *line, size_t len)
{
    const char *end = line + len, *p = line;

    if (check_bytes(s, line, len) < 0)
        return -1;
    if (s->line == 1 && len >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0)
        p += 3; /* inih skips this mark too */
    s->indented = p < end && (*p == ' ' || *p == '\t');
    while (p < end && (*p == ' ' || *p == '\t'))
        p++;
    if (p < end && *p == '[' && !(s->indented && s->open))
        return check_section(s, p, end);
    return 0;
}

/* inih's reader: behaves like fgets. */
static char *next_line(char *out, int size, void *stream)
{
    struct source *s = stream;
    const char *line = s->text + s->pos, *newline;
    size_t len;

    if (s->failed || s->pos == s->len)
        return NULL;
    newline = memchr(line, '\n', s->len - s->pos);
    len = newline ? (size_t)(newline - line) : s->len - s->pos;
    s->line++;
    if (check_line(s, line, len) < 0)
        return NULL;
    if (len + 2 > (size_t)size) {
        fail_at(s, s->line, "the line is longer than inih's buffer");
        return NULL;
    }
    memcpy(out, line, len);
    memcpy(out + len, "\n", 2);
    s->pos += len + (newline ? 1 : 0);
    return out;
}

static int check_twice(struct source *s, const char *section, const char *key)
{
    auto_free char *name = mem_printf("%s.%s", section, key);
    auto_free char *shown = NULL;

    for (size_t i = 0; i < s->seen.n; i++) {
        if (strcmp(s->seen.v[i], name) != 0)
            continue;
        shown = show_text(key, SHOWN_MAX);
        err_set(s->err, "%s:%d: '%s' is set twice; first in line %d", s->name, s->line, shown,
                s->seen_line[i]);
        return fail(s);
    }
    if (s->seen.n == SETTINGS_MAX) {
        err_set(s->err, "%s:%d: the file has more than %d settings", s->name, s->line,
                SETTINGS_MAX);
        return fail(s);
    }
    s->seen_line[s->seen.n] = s->line;
    strv_take(&s->seen, steal_ptr(&name));
    return 0;
}

static int continue_value(struct source *s, const char *value)
{
    if (!s->pending.list) {
        auto_free char *shown = show_text(s->pending.key, SHOWN_MAX);

        err_set(s->err,
                "%s:%d: the line starts with white space, so it continues '%s' of line %d, which "
                "takes one line",
                s->name, s->line, shown, s->pending.line);
        return fail(s);
    }
    buf_printf(&s->pending.value, " %s", value);
    return 0;
}

/* inih's handler: 0 is an error to it. */
static int take_setting(void *user, const char *section, const char *name, const char *value)
{
    struct source *s = user;

    if (s->failed)
        return 0;
    if (s->indented && s->open)
        return continue_value(s, value) == 0;
    if (flush(s) < 0)
        return 0;
    if (section[0] == '\0')
        return fail_at(s, s->line, "a setting stands before the first [section]") == 0;
    if (name[0] == '\0')
        return fail_at(s, s->line, "the name before '=' is missing") == 0;
    if (check_twice(s, section, name) < 0)
        return 0;
    s->open = true;
    s->pending.section = mem_strdup(section);
    s->pending.key = mem_strdup(name);
    s->pending.line = s->line;
    s->pending.list = profile_key_is_list(section, name);
    buf_puts(&s->pending.value, value);
    return 1;
}

/* Debian's inih is configured at run time, by variables (55-1 in Debian 12 and 59-1 in Debian 13
 * alike); as it comes it cuts lines at 200 bytes and values at " ;". */
static void configure_inih(void)
{
    ini_use_stack = false;
    ini_allow_realloc = false;
    ini_initial_alloc = ini_max_line = LINE_MAX_BYTES + 3;
    ini_allow_inline_comments = false;
    ini_allow_multiline = true;
    ini_allow_bom = true;
    ini_stop_on_first_error = true;
    ini_allow_no_value = false;
}

static void source_free(struct source *s)
{
    free(s->pending.section);
    free(s->pending.key);
    buf_free(&s->pending.value);
    strv_free(&s->seen);
}

int profile_apply(struct profile *p, enum profile_origin origin, const char *name, const char *text,
                  size_t len, struct err *e)
{
    auto_free char *shown = show_text(name, 0);
    struct source s = {
        .profile = p, .origin = origin, .name = shown, .text = text, .len = len, .err = e};
    int rc;

    configure_inih();
    rc = ini_parse_stream(next_line, &s, take_setting, &s);
    if (!s.failed && rc < 0)
        log_die("out of memory");
    if (!s.failed && flush(&s) == 0 && rc > 0)
        fail_at(&s, rc, "this is neither 'key = value' nor '[section]' nor a comment");
    source_free(&s);
    return s.failed ? -1 : 0;
}

int profile_set(struct profile *p, const char *option, const char *section, const char *key,
                const char *value, struct err *e)
{
    struct profile_entry entry = {PROFILE_FLAGS, option, section, key, value};

    return profile_assign(p, &entry, e);
}

/* The user's own file may be a symlink, as tools for dotfiles make them; the project's may not: it
 * could lead to any file of the host. */
static int read_profile(enum profile_origin origin, const char *path, struct buf *text,
                        struct err *e)
{
    auto_close int fd = -1;

    if (origin == PROFILE_PROJECT)
        return file_read_at(AT_FDCWD, path, FILE_MAX_BYTES, text, e);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return 1;
    if (fd < 0)
        return err_errno(e, errno, "cannot open it");
    return file_read_fd(fd, FILE_MAX_BYTES, text, e);
}

int profile_load(struct profile *p, enum profile_origin origin, const char *path, bool required,
                 struct err *e)
{
    auto_buf struct buf text = BUF_INIT;
    auto_free char *shown = show_text(path, 0);
    int rc = read_profile(origin, path, &text, e);

    if (rc < 0)
        return origin == PROFILE_PROJECT ? -1 : err_prefix(e, "%s", shown);
    if (rc == 0)
        return profile_apply(p, origin, path, text.data, text.len, e);
    if (!required)
        return 0;
    err_set(e, "profile %s does not exist", shown);
    return err_advise(e, "name an existing file; its keys are described in agentvm.ini(5)");
}
