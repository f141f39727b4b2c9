#include "vm/fingerprint.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

/* All of a big machine's /proc/cpuinfo is megabytes; the first CPU is in the first page. */
enum { CPUINFO_BYTES = 8192 };

void fingerprint_file(struct digest *d, const char *label, const char *path)
{
    auto_free char *text = NULL;
    struct stat st = {0};

    if (path && stat(path, &st) == 0)
        text = mem_printf("%s %lld %lld.%09ld %llu", path, (long long)st.st_size,
                          (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
                          (unsigned long long)st.st_ino);
    digest_str(d, label, text ? text : "none");
}

/* Appends the rest of the first line that starts with name, then blanks and a colon. */
static void add_line(const char *text, const char *name, struct buf *out)
{
    size_t len = strlen(name);

    for (const char *line = text; line; line = strchr(line, '\n')) {
        const char *rest;

        line += *line == '\n';
        rest = line + len;
        if (strncmp(line, name, len) != 0)
            continue;
        rest += strspn(rest, " \t");
        if (*rest != ':')
            continue;
        rest += 1 + strspn(rest + 1, " \t");
        buf_append(out, rest, strcspn(rest, "\n"));
        break;
    }
    buf_puts(out, "\n");
}

void fingerprint_cpu(const char *cpuinfo, struct buf *out)
{
    add_line(cpuinfo, "model name", out);
    add_line(cpuinfo, "microcode", out);
}

static void add_cpu(struct digest *d)
{
    auto_buf struct buf cpu = BUF_INIT;
    auto_close int fd = open("/proc/cpuinfo", O_RDONLY | O_CLOEXEC);
    char text[CPUINFO_BYTES + 1];
    ssize_t n = fd >= 0 ? read(fd, text, CPUINFO_BYTES) : 0;

    text[n > 0 ? n : 0] = '\0';
    fingerprint_cpu(text, &cpu);
    digest_field(d, "cpu", cpu.data, cpu.len);
}

void fingerprint_host(struct digest *d)
{
    struct utsname host;

    digest_str(d, "host", uname(&host) == 0 ? host.release : "");
    add_cpu(d);
}
