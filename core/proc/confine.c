#include "proc/confine.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "base/mem.h"

/* Numbers of system calls differ from one processor to the next, and a process may have those of
 * several. */
#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#else
#error "which system calls has this processor?"
#endif

#if defined(__SANITIZE_ADDRESS__)
#define RESERVES_MEMORY true
#elif defined(__has_feature)
#define RESERVES_MEMORY __has_feature(address_sanitizer)
#else
#define RESERVES_MEMORY false
#endif

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
/* The lower half of an argument, on these processors; the kernel looks at no more of these. */
#define LOAD_ARG(n) LOAD(args[n])
/* yes, no: how many of the next instructions to skip. */
#define IF_EQUAL(value, yes, no) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, yes, no)
#define IF_BITS(value, yes, no) BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, value, yes, no)
#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define KILL BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)
#define ALLOW_CALL(name) IF_EQUAL(SYS_##name, 0, 1), ALLOW

static int filter_calls(int fd, struct err *e)
{
    struct sock_filter rules[] = {
        LOAD(arch),
        IF_EQUAL(ARCH, 1, 0),
        KILL,
        LOAD(nr),
        ALLOW_CALL(exit_group),
        /* memory; mmap of what is neither a file nor code */
        ALLOW_CALL(brk),
        ALLOW_CALL(munmap),
        ALLOW_CALL(mremap),
        ALLOW_CALL(madvise),
        IF_EQUAL(SYS_mmap, 0, 6),
        LOAD_ARG(2),
        IF_BITS(PROT_EXEC, 2, 0),
        LOAD_ARG(3),
        IF_BITS(MAP_ANONYMOUS, 1, 0),
        KILL,
        ALLOW,
        IF_EQUAL(SYS_read, 1, 0),
        IF_EQUAL(SYS_write, 0, 2),
        LOAD_ARG(0),
        IF_EQUAL((unsigned)fd, 1, 0),
        KILL,
        ALLOW,
    };
    struct sock_fprog program = {ARRAY_LEN(rules), rules};

    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
        return err_errno(e, errno, "system calls cannot be filtered");
    return 0;
}

int confine_process(int fd, size_t memory, struct err *e)
{
    struct rlimit space = {memory, memory}, none = {0, 0};

    if (setrlimit(RLIMIT_CORE, &none) < 0 || (!RESERVES_MEMORY && setrlimit(RLIMIT_AS, &space) < 0))
        return err_errno(e, errno, "the process cannot be limited");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return err_errno(e, errno, "rights cannot be given up");
    return filter_calls(fd, e);
}
