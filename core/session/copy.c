/* Theory of operation
 *
 * The same two ends run in the guest, as a program of the guest user's (guestd/copy), and here, as
 * a child of this process:
 *
 *     child: copy_send    --pipe--> guest_exec's stdin,  its stdout --pipe--> the answer
 *     child: copy_receive <--pipe-- guest_exec's stdout
 *
 * The child tells us why it failed over one more pipe, its report.  It ends when its pipe does, so
 * that a file which is not complete goes even if this process is killed. */
#include "session/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "channel/copy.h"
#include "session/choose.h"
#include "state/vms.h"

#define GUEST_PROGRAM "/proc/self/exe" /* of guestd: itself */

enum {
    NOTES_MAX = 20,        /* what is not copied is told one by one up to here */
    CHILD_GRACE_MS = 1000, /* for a child that may wait for its own standard input */
    REPORT_MAX = 65536,    /* what fits a pipe */
};

struct copy {
    bool to_guest;
    char *vm;            /* ID or name; "": the folder's */
    struct strv hostile; /* folders that a VM can write to */
    struct strv sources; /* paths on their side */
    struct strv names;   /* what each is called in the target */
    char *target;
    int data[2], report[2]; /* pipes */
    int answer[2];
    unsigned skipped;
};

static void copy_free(struct copy *c)
{
    free(c->vm);
    strv_free(&c->hostile);
    free(c->target);
    strv_free(&c->sources);
    strv_free(&c->names);
    for (int i = 0; i < 2; i++) {
        close_fd(&c->data[i]);
        close_fd(&c->report[i]);
        close_fd(&c->answer[i]);
    }
}

/* ---- words ---- */

/* Splits "VM:path"; a host path that has a colon is written with a '/' before it.  Returns whether
 * it is in a VM. */
static bool split(const char *word, char **vm, const char **path)
{
    size_t len = strcspn(word, ":/");

    *path = word;
    if (word[len] != ':')
        return false;
    *vm = mem_dup(word, len);
    *path = word + len + 1;
    return true;
}

/* A guest path as guestd has it, which runs in the home folder. */
static const char *guest_path(const char *path)
{
    if (strcmp(path, "~") == 0 || !*path)
        return ".";
    return str_starts(path, "~/") ? path + 2 : path;
}

static int take_vm(struct copy *c, char *vm, struct err *e)
{
    auto_free char *word = vm;

    if (*word && !vms_is_id(word) && !persist_is_name(word)) {
        err_set(e, "%s: is neither the ID nor the name of a VM", word);
        return err_advise(e, "see agentvm list; a file of the host is written ./%s:...", word);
    }
    if (c->vm && strcmp(c->vm, word) != 0)
        return err_set(e, "cp copies from and to one VM only");
    free(c->vm);
    c->vm = steal_ptr(&word);
    return 0;
}

static int take_source(struct copy *c, const char *word, struct err *e)
{
    auto_free char *vm = NULL;
    const char *path;
    bool in_guest = split(word, &vm, &path);

    if (in_guest == c->to_guest) {
        err_set(e, c->to_guest ? "source and target are both in a VM"
                               : "neither source nor target is in a VM");
        return err_advise(
            e, "one side is written ID:PATH or NAME:PATH, or :PATH for this folder's VM");
    }
    if (!in_guest && strcmp(path, "-") == 0) {
        strv_push(&c->sources, "-");
        strv_push(&c->names, "");
        return 0;
    }
    if (in_guest && take_vm(c, steal_ptr(&vm), e) < 0)
        return -1;
    /* "-" is standard input for those who send. */
    path = in_guest ? guest_path(path) : path;
    strv_pushf(&c->sources, "%s%s", strcmp(path, "-") == 0 ? "./" : "", path);
    strv_take(&c->names, copy_name(path));
    return 0;
}

static int parse(struct copy *c, char *const *words, struct err *e)
{
    auto_free char *vm = NULL;
    const char *path;
    size_t n = 0;

    while (words[n])
        n++;
    if (n < 2) {
        err_set(e, "cp needs a source and a target");
        return err_advise(e, "agentvm cp FILE :PATH copies into this folder's VM, "
                             "agentvm cp :PATH FILE out of it");
    }
    c->to_guest = split(words[n - 1], &vm, &path);
    c->target = mem_strdup(c->to_guest ? guest_path(path) : path);
    if (c->to_guest && take_vm(c, steal_ptr(&vm), e) < 0)
        return -1;
    for (size_t i = 0; i + 1 < n; i++)
        if (take_source(c, words[i], e) < 0)
            return -1;
    if (c->to_guest || strcmp(c->target, "-") != 0)
        return 0;
    if (n > 2)
        return err_set(e, "only one file can be copied to standard output");
    if (!isatty(STDOUT_FILENO))
        return 0;
    err_set(e, "standard output is a terminal");
    return err_advise(e, "agentvm exec -- cat FILE shows it, without what would harm the terminal");
}

/* ---- the child ---- */

static void note_skipped(void *arg, const char *path, const char *why)
{
    struct copy *c = arg;
    auto_free char *shown = str_printable(path, strlen(path));

    if (c->skipped++ < NOTES_MAX)
        log_warn("%s is not copied: %s", shown, why);
}

static int receive(struct copy *c, struct err *e)
{
    bool to_stdout = strcmp(c->target, "-") == 0;
    struct copy_target t = {.path = c->target,
                            .names = c->names.v,
                            .stream = to_stdout ? STDOUT_FILENO : -1,
                            .who = "the VM",
                            .hostile = c->hostile.v,
                            .keep_links_in = true,
                            .note = note_skipped,
                            .arg = c};

    return copy_receive(c->data[0], &t, e);
}

static int child_main(void *arg)
{
    auto_err struct err e = ERR_INIT;
    struct copy *c = arg;
    int rc;

    signal(SIGPIPE, SIG_IGN);
    rc = c->to_guest ? copy_send(c->data[1], c->sources.v, c->hostile.v, note_skipped, c, &e)
                     : receive(c, &e);
    if (rc == 0 && c->skipped > 0)
        err_set(&e, "%u of the files were not copied", c->skipped);
    if (e.msg)
        file_write_all(c->report[1], e.msg, strlen(e.msg), NULL);
    return rc == 0 && !e.msg ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int open_pipes(struct copy *c, struct err *e)
{
    if (pipe2(c->data, O_CLOEXEC) < 0 || pipe2(c->report, O_CLOEXEC) < 0 ||
        pipe2(c->answer, O_CLOEXEC) < 0)
        return err_errno(e, errno, "cannot create a pipe");
    return 0;
}

/* Afterwards each pipe has one end here. */
static int start_child(struct copy *c, struct child *child, struct err *e)
{
    int own = c->to_guest ? 1 : 0, keep[2];

    if (open_pipes(c, e) < 0)
        return -1;
    keep[0] = c->data[own];
    keep[1] = c->report[1];
    if (spawn_fork(child_main, c, keep, ARRAY_LEN(keep), child, e) < 0)
        return -1;
    close_fd(&c->data[own]);
    close_fd(&c->report[1]);
    return 0;
}

/* Waits for the child.  One that sends may wait for input that nobody wants any more. */
static void end_child(struct copy *c, struct child *child, bool failed)
{
    bool may_wait = c->to_guest && failed;

    close_fd(&c->data[0]);
    close_fd(&c->data[1]);
    if (spawn_wait(child, may_wait ? clock_ms() + CHILD_GRACE_MS : -1, NULL, NULL) != 0)
        spawn_kill(child, 0);
}

/* ---- the guest's end ---- */

static int run_guest(struct session *s, struct copy *c, struct err *e)
{
    auto_strv struct strv argv = STRV_INIT;
    struct guest_program p = {.user = s->user.name};
    struct guest_stdio io = {.in = c->to_guest ? c->data[0] : -1,
                             .out = c->to_guest ? c->answer[1] : c->data[1],
                             .err = STDERR_FILENO};
    struct exit_status status;

    strv_push(&argv, GUEST_PROGRAM);
    strv_push(&argv, c->to_guest ? "--receive" : "--send");
    if (c->to_guest)
        strv_push(&argv, c->target);
    strv_push_all(&argv, c->to_guest ? c->names.v : c->sources.v);
    p.argv = argv.v;
    return session_program(s, &p, &io, &status, e);
}

static int copy(struct session *s, struct copy *c, struct err *e)
{
    auto_err struct err answer = ERR_INIT;
    auto_buf struct buf report = BUF_INIT;
    struct child child;
    int rc;

    if (start_child(c, &child, e) < 0)
        return -1;
    rc = run_guest(s, c, e);
    close_fd(&c->answer[1]);
    if (rc == 0 && c->to_guest)
        copy_await(c->answer[0], "the VM", &answer);
    end_child(c, &child, rc < 0 || answer.msg);
    file_read_fd(c->report[0], REPORT_MAX, &report, NULL);
    if (task_check(&s->task, e) < 0 || rc < 0)
        return -1;
    if (report.len > 0)
        return err_set(e, "%s", report.data);
    return answer.msg ? err_set(e, "%s", answer.msg) : 0;
}

/* The folders that VMs share with us: this one's, and those of others that run. */
static int find_hostile(struct session *s, struct copy *c, struct err *e)
{
    auto_vm_infos struct vm_infos vms = {0};

    if (vms_list(&s->paths, NULL, &vms, e) < 0)
        return -1;
    for (size_t i = 0; i < vms.n; i++) {
        if (vms.v[i].project)
            strv_push(&c->hostile, vms.v[i].project);
        strv_push_all(&c->hostile, vms.v[i].writable.v);
    }
    return 0;
}

static int attach_and_copy(struct session *s, struct copy *c, struct err *e)
{
    const char *word = c->vm && *c->vm ? c->vm : NULL;
    auto_free char *id = NULL;

    if (choose_running(s, word, false, &id, e) < 0)
        return word && !vms_is_id(word)
                   ? err_advise(e, "see agentvm list; a file of the host is written ./%s:...", word)
                   : -1;
    if (find_hostile(s, c, e) < 0)
        return -1;
    s->link = client_attach(&s->task, &s->paths, id, e);
    return s->link && client_wait_ready(s->link, e) == 0 ? copy(s, c, e) : -1;
}

int session_copy(struct session *s, char *const *words, struct err *e)
{
    struct copy c = {.data = {-1, -1}, .report = {-1, -1}, .answer = {-1, -1}};
    int rc = parse(&c, words, e) < 0 ? -1 : attach_and_copy(s, &c, e);

    copy_free(&c);
    return rc;
}
