#include "plugin/scaffold.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "model/show.h"
#include "plugin/describe.h"

/* The templates, compiled in: an installed agentvm is one file. */
#define TEMPLATE(symbol, file)                    \
    __asm__(".section .rodata\n" symbol ":\n"     \
            ".incbin \"sdk/template/" file "\"\n" \
            ".byte 0\n"                           \
            ".previous\n")
TEMPLATE("template_code", "plugin.c");
TEMPLATE("template_makefile", "Makefile");
TEMPLATE("template_test", "test.sh");
TEMPLATE("template_readme", "README.md");
TEMPLATE("template_ignore", "gitignore");
extern const char template_code[], template_makefile[], template_test[], template_readme[],
    template_ignore[];

static const struct {
    const char *name; /* as the template's text, with placeholders */
    const char *text;
    mode_t mode;
} files[] = {
    {"@NAME@.c", template_code, 0644},     {"Makefile", template_makefile, 0644},
    {"test.sh", template_test, 0755},      {"README.md", template_readme, 0644},
    {".gitignore", template_ignore, 0644},
};

/* Replaces @NAME@, and @VARIABLE@ by the name in the shape of an environment variable's; the caller
 * frees the result. */
static char *fill_in(const char *text, const char *name, const char *variable)
{
    static const char name_mark[] = "@NAME@", variable_mark[] = "@VARIABLE@";
    struct buf out = BUF_INIT;

    while (*text) {
        size_t plain = strcspn(text, "@");

        buf_append(&out, text, plain);
        text += plain;
        if (str_starts(text, name_mark)) {
            buf_puts(&out, name);
            text += strlen(name_mark);
        } else if (str_starts(text, variable_mark)) {
            buf_puts(&out, variable);
            text += strlen(variable_mark);
        } else if (*text) {
            buf_append(&out, text++, 1);
        }
    }
    return buf_steal(&out);
}

static char *variable_of(const char *name)
{
    char *v = mem_strdup(name);

    for (char *p = v; *p; p++)
        *p = *p == '-' ? '_' : (char)toupper((unsigned char)*p);
    return v;
}

static int write_files(int dir, const char *name, struct err *e)
{
    auto_free char *variable = variable_of(name);

    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        auto_free char *file = fill_in(files[i].name, name, variable);
        auto_free char *text = fill_in(files[i].text, name, variable);

        if (file_write_at(dir, file, text, strlen(text), files[i].mode, e) < 0)
            return -1;
    }
    return 0;
}

static int exists(const char *folder, struct err *e)
{
    auto_free char *shown = show_text(folder, 0);

    err_set(e, "%s exists already", shown);
    return err_advise(e, "name a folder that does not exist: agentvm plugin new NAME DIR");
}

/* Gives the finished folder its name, which nobody else must have taken. */
static int give_name(const char *temporary, const char *folder, struct err *e)
{
    int rc = renameat2(AT_FDCWD, temporary, AT_FDCWD, folder, RENAME_NOREPLACE);

    if (rc < 0 &&
        errno == EINVAL) /* a file system without that; rename spares a folder with files */
        rc = rename(temporary, folder);
    if (rc == 0)
        return 0;
    return errno == EEXIST || errno == ENOTEMPTY || errno == ENOTDIR
               ? exists(folder, e)
               : err_errno(e, errno, "cannot make folder %s", folder);
}

static int fill_folder(const char *temporary, const char *name, const char *folder, struct err *e)
{
    auto_close int dir = open(temporary, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (dir < 0 || chmod(temporary, 0755) < 0)
        return err_errno(e, errno, "cannot open folder %s", temporary);
    return write_files(dir, name, e) < 0 ? -1 : give_name(temporary, folder, e);
}

static int check_name(const char *name, struct err *e)
{
    auto_free char *shown = show_text(name, 60);

    if (describe_is_name(name))
        return 0;
    err_set(e, "\"%s\" is not a plugin's name", shown);
    return err_advise(e,
                      "names are lower-case letters and digits, in words joined by '-', starting "
                      "with a letter, at most 32 bytes");
}

int scaffold_make(const char *name, const char *folder, char **made, struct err *e)
{
    auto_free char *path = mem_strdup(folder ? folder : name), *temporary = NULL;
    struct stat st;

    if (check_name(name, e) < 0)
        return -1;
    if (!*path)
        return err_set(e, "the folder's name is empty");
    for (size_t n = strlen(path); n > 1 && path[n - 1] == '/'; n--)
        path[n - 1] = '\0';
    if (lstat(path, &st) == 0)
        return exists(path, e);
    temporary = mem_printf("%s.XXXXXX", path);
    if (!mkdtemp(temporary))
        return err_errno(e, errno, "cannot make folder %s", path);
    if (fill_folder(temporary, name, path, e) < 0) {
        file_remove_tree_at(AT_FDCWD, temporary, NULL);
        return -1;
    }
    *made = steal_ptr(&path);
    return 0;
}
