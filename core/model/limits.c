#include "model/limits.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

enum { FILE_MAX_BYTES = 4096 };

static char *read_value(const char *root, const char *group, const char *name)
{
    auto_free char *path = mem_printf("%s%s/%s", root, group, name);
    auto_buf struct buf text = BUF_INIT;

    return file_read_at(AT_FDCWD, path, FILE_MAX_BYTES, &text, NULL) == 0 ? buf_steal(&text) : NULL;
}

/* cpu.max is "QUOTA PERIOD" or "max PERIOD", microseconds; part of a CPU counts as one. */
static void narrow_cpus(const char *text, struct limits *l)
{
    unsigned long long quota, period, cpus;

    if (!text || sscanf(text, "%llu %llu", &quota, &period) != 2 || period == 0)
        return;
    cpus = quota / period + (quota % period != 0);
    if (cpus < l->cpus)
        l->cpus = cpus > 0 ? (unsigned)cpus : 1;
}

/* memory.max is bytes, or "max". */
static void narrow_memory(const char *text, struct limits *l)
{
    unsigned long long bytes;

    if (text && sscanf(text, "%llu", &bytes) == 1 && (l->memory == 0 || bytes < l->memory))
        l->memory = bytes;
}

/* The limits of a group and of all above it count. */
void limits_narrow(const char *membership, const char *root, struct limits *l)
{
    const char *line = strstr(membership, "0::/");
    auto_free char *group = NULL;
    char *slash = NULL;

    if (!line)
        return;
    line += strlen("0::");
    group = mem_dup(line, strcspn(line, "\n"));
    do {
        auto_free char *cpu = read_value(root, group, "cpu.max");
        auto_free char *memory = read_value(root, group, "memory.max");

        narrow_cpus(cpu, l);
        narrow_memory(memory, l);
        slash = strrchr(group, '/');
        if (slash)
            *slash = '\0';
    } while (slash);
}

void limits_find(struct limits *out)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN), pages = sysconf(_SC_PHYS_PAGES);
    auto_buf struct buf membership = BUF_INIT;
    cpu_set_t mask;

    if (sched_getaffinity(0, sizeof(mask), &mask) == 0 && CPU_COUNT(&mask) < cpus)
        cpus = CPU_COUNT(&mask);
    *out = (struct limits){.cpus = cpus > 0 ? (unsigned)cpus : 1,
                           .memory =
                               pages > 0 ? (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE) : 0};
    if (file_read_at(AT_FDCWD, "/proc/self/cgroup", FILE_MAX_BYTES, &membership, NULL) == 0)
        limits_narrow(membership.data, "/sys/fs/cgroup", out);
}
