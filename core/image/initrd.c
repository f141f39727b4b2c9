#include "image/initrd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "image/base_image.h"

#define GUESTD_NAME "agentvm-guestd"

enum {
    INITRD_MAX = 256 << 20,
    CPIO_ALIGN = 4,
};

static void pad(struct buf *b, size_t align)
{
    static const char zeros[CPIO_ALIGN];

    while (b->len % align)
        buf_append(b, zeros, 1);
}

/* One entry in the "new ASCII" format that the kernel documents in
 * Documentation/driver-api/early-userspace/buffer-format.rst. */
static void add_entry(struct buf *b, const char *name, unsigned ino, unsigned mode,
                      const struct buf *data)
{
    size_t len = data ? data->len : 0;

    buf_printf(b, "070701%08X%08X%08X%08X%08X%08X%08zX%08X%08X%08X%08X%08zX%08X", ino, mode, 0u, 0u,
               1u, 0u, len, 0u, 0u, 0u, 0u, strlen(name) + 1, 0u);
    buf_append(b, name, strlen(name) + 1);
    pad(b, CPIO_ALIGN);
    if (data)
        buf_append(b, data->data, data->len);
    pad(b, CPIO_ALIGN);
}

int initrd_write(const char *base, const char *guestd, const char *out, struct err *e)
{
    auto_buf struct buf image = BUF_INIT;
    auto_buf struct buf binary = BUF_INIT;

    if (file_read_at(AT_FDCWD, base, INITRD_MAX, &image, e) != 0 ||
        file_read_at(AT_FDCWD, guestd, INITRD_MAX, &binary, e) != 0)
        return e->msg ? -1 : err_set(e, "no initrd %s or no guest daemon %s", base, guestd);
    pad(&image, CPIO_ALIGN);
    add_entry(&image, GUESTD_NAME, 1, S_IFREG | 0755, &binary);
    add_entry(&image, "TRAILER!!!", 0, 0, NULL);
    return file_write_at(AT_FDCWD, out, image.data, image.len, 0600, e);
}

char *initrd_path(const struct paths *p, const struct layer *base, struct err *e)
{
    char key[DIGEST_HEX + 1];
    struct stat st;
    struct digest *d;

    if (stat(p->guestd, &st) < 0) {
        err_errno(e, errno, "cannot find the guest daemon %s", p->guestd);
        err_advise(e, "reinstall agentvm; its parts belong together");
        return NULL;
    }
    d = digest_new();
    digest_field(d, "size", &st.st_size, sizeof(st.st_size));
    digest_field(d, "time", &st.st_mtim, sizeof(st.st_mtim));
    digest_field(d, "inode", &st.st_ino, sizeof(st.st_ino));
    digest_final(d, key);
    return mem_printf("%s/" PATHS_INITRD, p->cache, base->key, key);
}

int initrd_cached(const struct paths *p, const struct layer *base, char **out, struct err *e)
{
    const struct timespec used[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_OMIT}};
    auto_free char *initrd = layer_file(base, BASE_INITRD);
    auto_free char *path = initrd_path(p, base, e);

    if (!path || (access(path, R_OK) < 0 && initrd_write(initrd, p->guestd, path, e) < 0))
        return -1;
    utimensat(AT_FDCWD, path, used, 0);
    *out = steal_ptr(&path);
    return 0;
}

bool initrd_base(const char *name, char key[DIGEST_HEX + 1])
{
    const char *digits = name + strlen(PATHS_INITRD_PREFIX);

    if (!str_starts(name, PATHS_INITRD_PREFIX) ||
        strspn(digits, "0123456789abcdef") != DIGEST_HEX || digits[DIGEST_HEX] != '-')
        return false;
    memcpy(key, digits, DIGEST_HEX);
    key[DIGEST_HEX] = '\0';
    return true;
}
