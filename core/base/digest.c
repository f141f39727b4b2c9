#include "base/digest.h"

#include <errno.h>
#include <fcntl.h>
#include <sha2.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

struct digest {
    SHA2_CTX ctx;
};

struct digest *digest_new(void)
{
    struct digest *d = mem_zalloc(1, sizeof(*d));

    SHA256Init(&d->ctx);
    return d;
}

static void add_header(struct digest *d, const char *label, uint64_t len)
{
    SHA256Update(&d->ctx, (const uint8_t *)label, strlen(label) + 1);
    SHA256Update(&d->ctx, (const uint8_t *)&len, sizeof(len));
}

void digest_field(struct digest *d, const char *label, const void *data, size_t len)
{
    add_header(d, label, len);
    if (len)
        SHA256Update(&d->ctx, data, len);
}

void digest_str(struct digest *d, const char *label, const char *s)
{
    digest_field(d, label, s, strlen(s));
}

int digest_file(struct digest *d, const char *label, const char *path, struct err *e)
{
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    uint8_t block[65536];
    struct stat st;
    ssize_t n;

    if (fd < 0 || fstat(fd, &st) < 0)
        return err_errno(e, errno, "cannot open %s", path);
    add_header(d, label, (uint64_t)st.st_size);
    while ((n = read(fd, block, sizeof(block))) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(e, errno, "cannot read %s", path);
        SHA256Update(&d->ctx, block, (size_t)n);
    }
    return 0;
}

static void finish(SHA2_CTX *ctx, char hex[DIGEST_HEX + 1])
{
    uint8_t raw[SHA256_DIGEST_LENGTH];

    SHA256Final(raw, ctx);
    str_hex(hex, raw, sizeof(raw));
}

void digest_final(struct digest *d, char hex[DIGEST_HEX + 1])
{
    if (hex)
        finish(&d->ctx, hex);
    free(d);
}

void digest_bytes(const void *data, size_t len, char hex[DIGEST_HEX + 1])
{
    SHA2_CTX ctx;

    SHA256Init(&ctx);
    SHA256Update(&ctx, data, len);
    finish(&ctx, hex);
}
