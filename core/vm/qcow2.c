#include "vm/qcow2.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

/* Layout (docs/interop/qcow2.txt of QEMU), in clusters of 64 KiB, QEMU's own default:
 *
 *     0  header   1  refcount table   2  refcount block   3...  L1 table, all zero
 *
 * An all-zero L1 table means that every cluster is unallocated, so the file is a hole but for the
 * three pages written here.
 */
enum {
    CLUSTER_BITS = 16,
    CLUSTER = 1 << CLUSTER_BITS,
    REFTABLE_CLUSTER = 1,
    REFBLOCK_CLUSTER = 2,
    L1_CLUSTER = 3,
    L1_COVERS_BITS = CLUSTER_BITS + CLUSTER_BITS - 3, /* one L2 table of 8-byte entries */
    REFCOUNT_ORDER = 4,                               /* 16-bit reference counts */
    HEADER_LENGTH = 112,
    SECTOR = 512,
};

struct header {
    uint8_t magic[4];
    uint32_t version;
    uint64_t backing_file_offset;
    uint32_t backing_file_size;
    uint32_t cluster_bits;
    uint64_t size;
    uint32_t crypt_method;
    uint32_t l1_size;
    uint64_t l1_table_offset;
    uint64_t refcount_table_offset;
    uint32_t refcount_table_clusters;
    uint32_t nb_snapshots;
    uint64_t snapshots_offset;
    uint64_t incompatible_features;
    uint64_t compatible_features;
    uint64_t autoclear_features;
    uint32_t refcount_order;
    uint32_t header_length;
    uint8_t compression_type;
    uint8_t padding[7];
    uint8_t no_extensions[8]; /* type 0 ends the list of header extensions */
} __attribute__((packed));

_Static_assert(sizeof(struct header) == HEADER_LENGTH + 8, "qcow2 header");

/* The part of the header that growing changes: written at once, so that a crash leaves the old or
 * the new one. */
struct extent {
    uint64_t size;
    uint32_t crypt_method;
    uint32_t l1_size;
} __attribute__((packed));

static int write_at(int fd, const void *data, size_t len, uint64_t offset, struct err *e)
{
    if (lseek(fd, (off_t)offset, SEEK_SET) < 0)
        return err_errno(e, errno, "cannot seek");
    return file_write_all(fd, data, len, e);
}

static uint64_t l1_entries(uint64_t size)
{
    return (size + (UINT64_C(1) << L1_COVERS_BITS) - 1) >> L1_COVERS_BITS;
}

static uint64_t l1_clusters(uint64_t entries)
{
    return (entries * 8 + CLUSTER - 1) / CLUSTER;
}

static int write_image(int fd, uint64_t size, struct err *e)
{
    uint64_t l1_size = l1_entries(size);
    uint64_t clusters = L1_CLUSTER + l1_clusters(l1_size);
    uint16_t refcounts[CLUSTER / 2] = {0}; /* of a whole block: fits QCOW2_SIZE_MAX's L1 */
    uint64_t block = htobe64((uint64_t)REFBLOCK_CLUSTER * CLUSTER);
    struct header h = {
        .magic = {'Q', 'F', 'I', 0xfb},
        .version = htobe32(3),
        .cluster_bits = htobe32(CLUSTER_BITS),
        .size = htobe64(size),
        .l1_size = htobe32((uint32_t)l1_size),
        .l1_table_offset = htobe64((uint64_t)L1_CLUSTER * CLUSTER),
        .refcount_table_offset = htobe64((uint64_t)REFTABLE_CLUSTER * CLUSTER),
        .refcount_table_clusters = htobe32(1),
        .refcount_order = htobe32(REFCOUNT_ORDER),
        .header_length = htobe32(HEADER_LENGTH),
    };

    for (uint64_t i = 0; i < clusters; i++)
        refcounts[i] = htobe16(1);
    if (ftruncate(fd, (off_t)(clusters * CLUSTER)) < 0)
        return err_errno(e, errno, "cannot set its size");
    if (write_at(fd, &h, sizeof(h), 0, e) < 0 ||
        write_at(fd, &block, sizeof(block), (uint64_t)REFTABLE_CLUSTER * CLUSTER, e) < 0)
        return -1;
    return write_at(fd, refcounts, clusters * 2, (uint64_t)REFBLOCK_CLUSTER * CLUSTER, e);
}

int qcow2_create(int dirfd, const char *name, uint64_t size, struct err *e)
{
    auto_close int fd = -1;

    if (size == 0 || size > QCOW2_SIZE_MAX)
        return err_set(e, "%s: a disk of %llu bytes is not possible (1 byte to 64 TiB)", name,
                       (unsigned long long)size);
    size = (size + SECTOR - 1) / SECTOR * SECTOR;
    fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_errno(e, errno, "cannot create disk %s", name);
    if (write_image(fd, size, e) < 0) {
        unlinkat(dirfd, name, 0);
        return err_prefix(e, "disk %s", name);
    }
    return 0;
}

static bool is_plain(const struct header *h)
{
    static const uint8_t magic[] = {'Q', 'F', 'I', 0xfb};

    return memcmp(h->magic, magic, sizeof(magic)) == 0 && h->version == htobe32(3) &&
           h->cluster_bits == htobe32(CLUSTER_BITS) && h->incompatible_features == 0 &&
           h->nb_snapshots == 0 && h->crypt_method == 0 && h->backing_file_offset == 0;
}

/* QEMU keeps zeros behind the table's end up to the end of its last cluster. */
static int grow(int fd, uint64_t size, struct err *e)
{
    struct extent x;
    struct header h;
    uint64_t before;

    if (pread(fd, &h, sizeof(h), 0) != (ssize_t)sizeof(h) || !is_plain(&h))
        return err_set(e, "it is no image that can be grown");
    before = be64toh(h.size);
    if (size < before)
        return err_set(e, "it has %llu bytes already", (unsigned long long)before);
    if (l1_clusters(l1_entries(size)) > l1_clusters(be32toh(h.l1_size)))
        return err_set(e, "an image that was made so small cannot grow beyond %llu GiB",
                       (unsigned long long)(l1_clusters(be32toh(h.l1_size)) * (CLUSTER / 8)
                                                << L1_COVERS_BITS >>
                                            30));
    x = (struct extent){htobe64(size), h.crypt_method, htobe32((uint32_t)l1_entries(size))};
    if (write_at(fd, &x, sizeof(x), offsetof(struct header, size), e) < 0)
        return -1;
    return fdatasync(fd) < 0 ? err_errno(e, errno, "cannot flush it") : 0;
}

int qcow2_grow(const char *path, uint64_t size, struct err *e)
{
    auto_close int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0)
        return err_errno(e, errno, "cannot open disk %s", path);
    if (size > QCOW2_SIZE_MAX)
        return err_set(e, "disk %s: more than 64 TiB are not possible", path);
    size = (size + SECTOR - 1) / SECTOR * SECTOR;
    return grow(fd, size, e) < 0 ? err_prefix(e, "disk %s", path) : 0;
}
