/* An ini text, read by inih and checked around it. */
#include "model/profile.h"

#include <ini.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "model/profile_keys.h"
#include "model/show.h"

enum {
    LINE_MAX_BYTES = 64 * 1024, /* without the line end */
    SETTINGS_MAX = 1024,        /* of one file; bounds the search for keys set twice */
    SECTION_MAX_BYTES = 49,     /* inih cuts longer names of sections */
    SHOWN_MAX = 80,
};

/* An ini text on its way through inih.  The reader below feeds it line by line, after checking what
 * inih would silently cut or skip; a key waits in `pending` until the next one, because further
 * lines may add to it.
 *
 * A problem ends the reading, or, where problems are collected, only drops what it concerns: the
 * line and those that continue it, or all lines of a section that does not exist. */
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
    bool drop_lines;   /* those that continue a wrong one */
    bool drop_section; /* the lines of a wrong one */
    bool failed;
    struct strv *problems; /* collected here, or NULL */
    struct err *err;
};

/* The message is made by the caller.  Returns -1; whether the reading ends says s->failed. */
static int fail(struct source *s)
{
    if (s->problems) {
        strv_push(s->problems, err_msg(s->err));
        err_clear(s->err);
    } else {
        s->failed = true;
    }
    return -1;
}

static void flush(struct source *s);

/* A problem of a line that ends the key before it: problems are told in the order of lines. */
static int fail_at(struct source *s, int line, const char *what)
{
    flush(s);
    if (s->failed)
        return -1;
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

/* Hands the waiting key to the profile; no further line continues it. */
static void flush(struct source *s)
{
    auto_free char *section = steal_ptr(&s->pending.section), *key = steal_ptr(&s->pending.key);
    auto_free char *value = buf_steal(&s->pending.value);
    auto_free char *where = mem_printf("%s:%d", s->name, s->pending.line);
    struct profile_entry entry = {s->origin, where, section, key, value};

    s->open = false;
    if (key && profile_assign(s->profile, &entry, s->err) < 0)
        fail(s);
}

/* inih tells of a section only with its first key, cuts its name and skips what follows it. */
static int check_section(struct source *s, const char *start, const char *end)
{
    const char *close = memchr(start, ']', (size_t)(end - start));
    auto_free char *name = NULL, *where = NULL;

    flush(s);
    if (s->failed)
        return -1;
    s->drop_section = true; /* until its name is fine */
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
    if (profile_section(s->profile, s->origin, where, name, s->err) < 0)
        return fail(s);
    s->drop_section = false;
    return 0;
}

/* What inih would tell of a line only as the number of the first such one. */
static int check_setting(struct source *s, const char *start, const char *end)
{
    size_t len = (size_t)(end - start);

    if (memchr(start, '=', len) || memchr(start, ':', len))
        return 0;
    return fail_at(s, s->line, "this is neither 'key = value' nor '[section]' nor a comment");
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
    if (p == end || *p == '\r' || *p == ';' || *p == '#')
        return 0; /* stands between any two lines */
    if (s->indented && s->drop_lines)
        return -1;
    s->drop_lines = false;
    if (s->indented && s->open)
        return 0;
    if (*p == '[')
        return check_section(s, p, end);
    return check_setting(s, p, end);
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
    s->pos += len + (newline ? 1 : 0);
    if (check_line(s, line, len) < 0) {
        s->drop_lines = true;
        len = 0; /* inih shall count the line */
    }
    if (s->failed || len + 2 > (size_t)size)
        return NULL;
    memcpy(out, line, len);
    memcpy(out + len, "\n", 2);
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
    buf_printf(&s->pending.value, "\n%s", value);
    return 0;
}

static int begin_setting(struct source *s, const char *section, const char *name, const char *value)
{
    flush(s);
    if (s->failed || s->drop_section)
        return -1;
    if (section[0] == '\0')
        return fail_at(s, s->line, "a setting stands before the first [section]");
    if (name[0] == '\0')
        return fail_at(s, s->line, "the name before '=' is missing");
    if (check_twice(s, section, name) < 0)
        return -1;
    s->open = true;
    s->pending.section = mem_strdup(section);
    s->pending.key = mem_strdup(name);
    s->pending.line = s->line;
    s->pending.list = profile_key_is_list(section, name);
    buf_puts(&s->pending.value, value);
    return 0;
}

/* inih's handler: 0 is an error to it. */
static int take_setting(void *user, const char *section, const char *name, const char *value)
{
    struct source *s = user;

    if (s->failed)
        return 0;
    if (s->indented && s->open)
        continue_value(s, value);
    else if (begin_setting(s, section, name, value) < 0)
        s->drop_lines = true;
    return !s->failed;
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

/* What can be told at the end of the text only. */
static void finish(struct source *s)
{
    struct profile *p = s->profile;

    flush(s);
    for (size_t i = 0; i < p->nmcp && !s->failed; i++) {
        if (p->mcp[i].layer != p->layer)
            continue;
        if (profile_mcp_check(&p->mcp[i], s->err) < 0)
            fail(s);
        else if (s->origin == PROFILE_PROJECT)
            profile_widen_mcp(p, &p->mcp[i]);
    }
    for (size_t i = 0; i < p->nnamed && !s->failed && s->origin == PROFILE_USER; i++)
        if (profile_named_check(&p->named[i], s->err) < 0)
            fail(s);
}

static void read_source(struct source *s)
{
    int rc;

    configure_inih();
    s->profile->layer++;
    rc = ini_parse_stream(next_line, s, take_setting, s);
    if (!s->failed && rc < 0)
        log_die("out of memory");
    if (!s->failed && rc > 0 && !s->problems)
        fail_at(s, rc, "inih does not understand this line");
    if (!s->failed)
        finish(s);
    source_free(s);
}

int profile_apply(struct profile *p, enum profile_origin origin, const char *name, const char *text,
                  size_t len, struct err *e)
{
    auto_free char *shown = show_text(name, 0);
    auto_err struct err own = ERR_INIT;
    struct source s = {.profile = p,
                       .origin = origin,
                       .name = shown,
                       .text = text,
                       .len = len,
                       .err = e ? e : &own};

    read_source(&s);
    return s.failed ? -1 : 0;
}

void profile_check(const char *name, const char *text, size_t len, struct strv *problems)
{
    auto_free char *shown = show_text(name, 0);
    auto_err struct err e = ERR_INIT;
    struct profile p;
    struct source s = {.profile = &p,
                       .origin = PROFILE_USER,
                       .name = shown,
                       .text = text,
                       .len = len,
                       .problems = problems,
                       .err = &e};

    profile_defaults(&p);
    read_source(&s);
    profile_free(&p);
}
