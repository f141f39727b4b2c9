#include "vm/accel_cache.h"

#include <cjson/cJSON.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "base/file.h"
#include "base/mem.h"

/* All of a big machine's /proc/cpuinfo is megabytes; the first CPU is in the first page. */
enum { CPUINFO_BYTES = 8192 };

static void add_file(struct digest *d, const char *label, const char *path)
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

void accel_cache_cpu(const char *cpuinfo, struct buf *out)
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
    accel_cache_cpu(text, &cpu);
    digest_field(d, "cpu", cpu.data, cpu.len);
}

void accel_cache_key(const struct accel_request *r, const char *qemu, char hex[DIGEST_HEX + 1])
{
    struct digest *d = digest_new();
    struct utsname host;

    digest_str(d, "host", uname(&host) == 0 ? host.release : "");
    add_cpu(d);
    add_file(d, "qemu", qemu);
    add_file(d, "kernel", r->kernel);
    add_file(d, "initrd", r->initrd);
    digest_final(d, hex);
}

bool accel_cache_parse(const char *text, size_t len, const char *key, int64_t now,
                       struct accel_verdict *v)
{
    cJSON *o = cJSON_ParseWithLength(text, len);
    const char *saved = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "key"));
    const char *accel = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "accel"));
    const char *reason = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "reason"));
    const cJSON *when = cJSON_GetObjectItemCaseSensitive(o, "time");
    bool valid = false;

    if (saved && accel && reason && cJSON_IsNumber(when) && strcmp(saved, key) == 0) {
        double age = (double)now - when->valuedouble;

        v->accel = strcmp(accel, "kvm") == 0 ? VM_ACCEL_KVM : VM_ACCEL_TCG;
        /* A clock set back makes a verdict from the future: not believed for ever. */
        valid = v->accel == VM_ACCEL_KVM || (age >= 0 && age < ACCEL_RETRY_S);
    }
    if (valid)
        v->reason = str_printable(reason, strcspn(reason, "\n"));
    cJSON_Delete(o);
    return valid;
}

char *accel_cache_format(const struct accel_verdict *v, const char *key, int64_t now)
{
    cJSON *o = cJSON_CreateObject();
    char *text;

    cJSON_AddStringToObject(o, "key", key);
    cJSON_AddStringToObject(o, "accel", v->accel == VM_ACCEL_KVM ? "kvm" : "tcg");
    cJSON_AddStringToObject(o, "reason", v->reason);
    cJSON_AddNumberToObject(o, "time", (double)now);
    text = cJSON_Print(o);
    cJSON_Delete(o);
    return text;
}
