#include "vm/qemu_version.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "model/paths.h"
#include "proc/spawn.h"
#include "vm/fingerprint.h"

enum { VERSION_TEXT_MAX = 65536, VERSION_TIMEOUT_MS = 10000 };

static int advise_install(struct err *e)
{
    return err_advise(e, "install QEMU %d.%d or newer: sudo apt install %s", QEMU_MIN_MAJOR,
                      QEMU_MIN_MINOR, QEMU_PACKAGE);
}

int qemu_version_parse(const char *text, struct qemu_info *out, struct err *e)
{
    static const char mark[] = "QEMU emulator version ";
    int n = 0;

    if (str_starts(text, mark))
        n = sscanf(text + sizeof(mark) - 1, "%4d.%4d.%4d", &out->major, &out->minor, &out->micro);
    if (n < 2) {
        auto_free char *line = str_printable(text, strcspn(text, "\n"));

        return err_set(e, "cannot read QEMU's version from \"%.80s\"", line);
    }
    return 0;
}

static int check_version(const struct qemu_info *q, struct err *e)
{
    if (q->major > QEMU_MIN_MAJOR || (q->major == QEMU_MIN_MAJOR && q->minor >= QEMU_MIN_MINOR))
        return 0;
    err_set(e, "%s is QEMU %d.%d, which is too old: %d.%d is needed", q->path, q->major, q->minor,
            QEMU_MIN_MAJOR, QEMU_MIN_MINOR);
    return advise_install(e);
}

static int run_version(const struct qemu_info *q, struct buf *text, struct err *e)
{
    char *argv[] = {q->path, (char[]){"--version"}, NULL};
    auto_buf struct buf complaint = BUF_INIT;
    struct exit_status status = {0};

    if (spawn_capture(argv, VERSION_TEXT_MAX, VERSION_TIMEOUT_MS, text, &complaint, &status, e) < 0)
        return -1;
    if (exit_status_code(status) == 0)
        return 0;
    err_set(e, "%s --version failed with exit code %d", q->path, exit_status_code(status));
    err_detail(e, str_tail(complaint.data ? complaint.data : "", complaint.len, 5));
    return advise_install(e);
}

/* The binary's fingerprint and a line feed, behind which its answer is remembered. */
static char *cache_head(const struct qemu_info *q)
{
    struct digest *d = digest_new();
    char key[DIGEST_HEX + 1];

    fingerprint_file(d, "qemu", q->path);
    digest_final(d, key);
    return mem_printf("%s\n", key);
}

static bool recall_version(const char *file, const char *head, struct qemu_info *q)
{
    auto_buf struct buf text = BUF_INIT;

    return file_read_at(AT_FDCWD, file, VERSION_TEXT_MAX, &text, NULL) == 0 && text.data &&
           str_starts(text.data, head) &&
           qemu_version_parse(text.data + strlen(head), q, NULL) == 0;
}

static int ask_version(const char *cache, struct qemu_info *q, struct err *e)
{
    auto_free char *head = cache_head(q);
    auto_free char *file = cache ? mem_printf("%s/" PATHS_QEMU, cache) : NULL;
    auto_buf struct buf answer = BUF_INIT;
    auto_free char *text = NULL;

    if (file && recall_version(file, head, q))
        return check_version(q, e);
    if (run_version(q, &answer, e) < 0)
        return -1;
    if (qemu_version_parse(answer.data ? answer.data : "", q, e) < 0)
        return err_prefix(e, "%s", q->path);
    text = mem_printf("%s%s", head, answer.data);
    if (file) /* a cache that cannot be written costs time, nothing else */
        file_write_at(AT_FDCWD, file, text, strlen(text), 0600, NULL);
    return check_version(q, e);
}

int qemu_info_find(const char *cache, struct qemu_info *out, struct err *e)
{
    *out = QEMU_INFO_INIT;
    out->path = spawn_find(QEMU_PROGRAM);
    if (!out->path) {
        err_set(e, "QEMU is not installed: no %s in PATH", QEMU_PROGRAM);
        err_exit(e, EXIT_AGENTVM);
        return advise_install(e);
    }
    if (ask_version(cache, out, e) < 0) {
        qemu_info_free(out);
        return -1;
    }
    return 0;
}

void qemu_info_free(struct qemu_info *q)
{
    free(q->path);
    *q = QEMU_INFO_INIT;
}

bool qemu_examine(const char *cache, struct findings *f)
{
    auto_qemu_info struct qemu_info q = QEMU_INFO_INIT;
    auto_err struct err e = ERR_INIT;

    if (qemu_info_find(cache, &q, &e) < 0) {
        err_advise(&e, "run: sudo apt install %s", QEMU_PACKAGE);
        finding_error(f, FINDING_PROBLEM, NULL, &e);
        return false;
    }
    finding_ok(f, "%s is QEMU %d.%d.%d; %d.%d or newer is needed", q.path, q.major, q.minor,
               q.micro, QEMU_MIN_MAJOR, QEMU_MIN_MINOR);
    return true;
}
