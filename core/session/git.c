#include "session/git.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "proc/spawn.h"

enum {
    OUTPUT_MAX = 16384,
    VALUE_MAX = 256, /* bytes of a name or an address */
    GIT_MS = 5000,   /* takes 5; a hostile configuration may name a pipe */
};

/* Without control characters, which no name has, but a project's configuration may. */
static bool is_usable(const char *value)
{
    size_t len = strlen(value);

    if (len == 0 || len > VALUE_MAX)
        return false;
    for (size_t i = 0; i < len; i++)
        if (iscntrl((unsigned char)value[i]))
            return false;
    return true;
}

static void take(char **slot, const char *value)
{
    if (!is_usable(value))
        return;
    free(*slot);
    *slot = mem_strdup(value);
}

/* Entries "key\nvalue\0"; the last one of a key holds. */
void git_identity_parse(const char *text, size_t len, struct git_identity *out)
{
    for (const char *p = text, *end = text + len; p < end; p += strlen(p) + 1) {
        if (!memchr(p, '\0', (size_t)(end - p)))
            return; /* cut off */
        if (str_starts(p, "user.name\n"))
            take(&out->name, strchr(p, '\n') + 1);
        else if (str_starts(p, "user.email\n"))
            take(&out->email, strchr(p, '\n') + 1);
    }
}

void git_identity_find(const char *project, struct git_identity *out)
{
    char *const argv[] = {"git", "-C",           (char *)project,         "config",
                          "-z",  "--get-regexp", "^user\\.(name|email)$", NULL};
    auto_err struct err e = ERR_INIT;
    auto_buf struct buf text = BUF_INIT;
    struct exit_status status;

    if (spawn_capture(argv, OUTPUT_MAX, GIT_MS, &text, NULL, &status, &e) < 0)
        log_debug("git's identity is not known: %s", err_msg(&e));
    else if (exit_status_code(status) == 0 && text.data)
        git_identity_parse(text.data, text.len, out);
}

void git_identity_free(struct git_identity *id)
{
    free(id->name);
    free(id->email);
    *id = (struct git_identity){0};
}

static void add_value(struct buf *out, const char *key, const char *value)
{
    if (!value)
        return;
    buf_printf(out, "\t%s = \"", key);
    for (; *value; value++)
        buf_printf(out, "%s%c", strchr("\\\"", *value) ? "\\" : "", *value);
    buf_puts(out, "\"\n");
}

char *git_guest_config(const struct git_identity *id)
{
    struct buf out = BUF_INIT;

    if (!id->name && !id->email)
        return NULL;
    buf_puts(&out, "[user]\n");
    add_value(&out, "name", id->name);
    add_value(&out, "email", id->email);
    buf_puts(&out, "[include]\n\tpath = /etc/gitconfig\n"); /* wins, as it comes later */
    return buf_steal(&out);
}
