/* proc/confine: a process that can only compute, and what becomes of one that tries more. */
#include "helpers.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proc/confine.h"
#include "proc/sock.h"
#include "proc/spawn.h"

enum { MEMORY_MAX = 64 << 20, CONFINED = 42 };

struct deed {
    int sock;
    void (*fn)(int sock);
};

/* What it may do is done in any case: get memory and give it back. */
static void compute(void)
{
    for (size_t size = 1; size < 16 << 20; size *= 4) {
        char *p = mem_zalloc(1, size);

        p = mem_realloc(p, 2, size);
        free(p);
    }
}

static int do_deed(void *arg)
{
    struct deed *d = arg;

    free(mem_zalloc(1, 1));
    if (confine_process(d->sock, MEMORY_MAX, NULL) < 0)
        return 1;
    compute();
    d->fn(d->sock);
    return (int)syscall(SYS_exit_group, CONFINED); /* _exit would be more, with sanitizers */
}

static struct exit_status status_of(void (*fn)(int sock))
{
    struct exit_status status;
    struct child child;
    struct err e = ERR_INIT;
    struct deed deed = {.fn = fn};
    int pair[2];

    ASSERT_OK(e, sock_pair(pair, &e));
    assert_int_equal(write(pair[0], "hello", 5), 5);
    deed.sock = pair[1];
    ASSERT_OK(e, spawn_fork(do_deed, &deed, &pair[1], 1, &child, &e));
    ASSERT_OK(e, spawn_wait(&child, clock_ms() + TEST_DEADLINE_MS, &status, &e));
    close(pair[0]);
    close(pair[1]);
    return status;
}

static void talk(int sock)
{
    char text[5];

    if (read(sock, text, sizeof(text)) != 5 || write(sock, text, sizeof(text)) != 5)
        abort();
}

static void open_file(int sock)
{
    (void)sock;
    open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void read_other(int sock)
{
    char c;

    (void)sock;
    if (read(0, &c, 1) < 0)
        abort();
}

static void write_other(int sock)
{
    (void)sock;
    if (syscall(SYS_write, 1, "x", 1) < 0)
        abort();
}

static void send_message(int sock)
{
    send(sock, "x", 1, 0); /* with it, descriptors may be sent and got */
}

static void make_socket(int sock)
{
    (void)sock;
    socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static void start_other(int sock)
{
    (void)sock;
    syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static void execute(int sock)
{
    char *argv[] = {NULL};

    (void)sock;
    syscall(SYS_execve, "/bin/true", argv, argv);
}

static void kill_parent(int sock)
{
    (void)sock;
    kill(1, 0);
}

static void map_code(int sock)
{
    (void)sock;
    mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void map_file(int sock)
{
    mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, sock, 0);
}

static void make_code(int sock)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void)sock;
    mprotect(p, 4096, PROT_READ | PROT_EXEC);
}

static void change_itself(int sock)
{
    (void)sock;
    prctl(PR_SET_DUMPABLE, 1);
}

static void may_compute(void **state)
{
    struct exit_status status = status_of(talk);

    (void)state;
    assert_false(status.signaled);
    assert_int_equal(status.code, CONFINED);
}

static void may_do_nothing_else(void **state)
{
    static void (*const deeds[])(int) = {
        open_file, read_other,  write_other, send_message, make_socket, start_other,
        execute,   kill_parent, map_code,    map_file,     make_code,   change_itself,
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(deeds); i++) {
        struct exit_status status = status_of(deeds[i]);

        if (!status.signaled || status.code != SIGSYS)
            fail_msg("deed %zu ended with %d", i, status.code);
    }
}

#ifndef __SANITIZE_ADDRESS__
static void take_too_much(int sock)
{
    void *p = mmap(NULL, MEMORY_MAX, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void)sock;
    if (p != MAP_FAILED || errno != ENOMEM)
        abort();
}
#endif

static void has_little_memory(void **state)
{
    (void)state;
#ifdef __SANITIZE_ADDRESS__
    skip();
#else
    assert_int_equal(status_of(take_too_much).code, CONFINED);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(may_compute),
        cmocka_unit_test(may_do_nothing_else),
        cmocka_unit_test(has_little_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
