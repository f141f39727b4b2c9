/* Makes a clone itself, before anything else runs in it: clock, random numbers, names, mounts. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/sysmacros.h>
#include <linux/random.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "guestd/mounts.h"

/* From the kernel's fs/ext4/ext4.h: grows a mounted file system to a number of blocks. */
#define EXT4_IOC_RESIZE_FS _IOW('f', 16, uint64_t)

enum {
    SECTOR = 512, /* unit of sysfs, whatever the device's own */
    ENTROPY_MAX = 512,
    HOSTS_MAX = 65536,
    MACHINE_ID_LEN = 32,
    GROW_SLACK = 64 << 20, /* what a file system may be smaller than its disk: not worth growing */
    MSIZE_9P = 512 * 1024, /* measured: smaller ones cost throughput, see the README's figures */
};

/* Feeds and credits random bytes and makes the kernel's generator use them at once. */
static int add_entropy(const struct field *f, struct err *e)
{
    auto_close int fd = open("/dev/urandom", O_WRONLY | O_CLOEXEC);
    struct {
        struct rand_pool_info info;
        char bytes[ENTROPY_MAX];
    } pool = {0};

    if (fd < 0 || f->len == 0 || f->len > ENTROPY_MAX)
        return err_set(e, "cannot add entropy");
    memcpy(pool.info.buf, f->data, f->len);
    pool.info.buf_size = (int)f->len;
    pool.info.entropy_count = (int)f->len * 8;
    if (ioctl(fd, RNDADDENTROPY, &pool) < 0 || ioctl(fd, RNDRESEEDCRNG) < 0)
        return err_errno(e, errno, "cannot add entropy");
    return 0;
}

/* In place: nothing else runs yet, no crash is survived, and under emulation a start has no time
 * for fsync(2), nor for O_TRUNC, behind which ext4 writes a file out when it is closed. */
int write_in_place(const char *path, const char *text, struct err *e)
{
    auto_close int fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
    size_t len = strlen(text);
    struct stat st;

    if (fd < 0)
        return err_errno(e, errno, "cannot write %s", path);
    if (file_write_all(fd, text, len, e) < 0)
        return err_prefix(e, "%s", path);
    if (fstat(fd, &st) < 0 || (st.st_size > (off_t)len && ftruncate(fd, (off_t)len) < 0))
        return err_errno(e, errno, "cannot write %s", path);
    return 0;
}

static int set_hostname(const char *name, struct err *e)
{
    auto_free char *line = mem_printf("%s\n", name);
    auto_free char *hosts =
        mem_printf("127.0.0.1 localhost\n::1 localhost ip6-localhost\n127.0.1.1 %s\n", name);

    if (sethostname(name, strlen(name)) < 0)
        return err_errno(e, errno, "cannot set the host name");
    if (write_in_place("/etc/hostname", line, e) < 0)
        return -1;
    return write_in_place("/etc/hosts", hosts, e);
}

static int set_machine_id(const char *id, struct err *e)
{
    auto_free char *line = mem_printf("%s\n", id);

    if (strlen(id) != MACHINE_ID_LEN)
        return err_set(e, "malformed machine id");
    return write_in_place("/etc/machine-id", line, e);
}

/* "address name": one more line of /etc/hosts. */
static int add_host_alias(const char *alias, struct err *e)
{
    auto_buf struct buf hosts = BUF_INIT;

    if (file_read_at(AT_FDCWD, "/etc/hosts", HOSTS_MAX, &hosts, e) < 0)
        return -1;
    buf_printf(&hosts, "%s\n", alias);
    return write_in_place("/etc/hosts", hosts.data, e);
}

static int set_timezone(const char *name, struct err *e)
{
    auto_free char *target = mem_printf("/usr/share/zoneinfo/%s", name);
    char now[PATH_MAX] = {0};

    if (readlink("/etc/localtime", now, sizeof(now) - 1) > 0 && strcmp(now, target) == 0)
        return 0; /* as it was when the machine was saved */
    if (strstr(name, "..") || access(target, R_OK) < 0)
        return 0; /* a zone that the guest does not know leaves it on UTC */
    unlink("/etc/localtime");
    if (symlink(target, "/etc/localtime") < 0)
        return err_errno(e, errno, "cannot set the time zone");
    return 0;
}

static void mount_request_free(struct mount_request *m)
{
    free(m->type);
    free(m->source);
    free(m->path);
    free(m->user);
}

/* Writes go through to the host before write(2) returns: with cache=mmap, whose pages are written
 * back later, a file once came out empty.  The price is that a writable shared mapping of a file in
 * the share is refused (ENODEV). */
static int mount_9p(struct server *srv, const struct mount_request *m, struct err *e)
{
    auto_user struct user u = {0};
    auto_free char *options = mem_printf(
        "trans=virtio,version=9p2000.L,msize=%d,cache=readahead,access=client", MSIZE_9P);

    if (user_find(m->user, &u, e) < 0 || user_make_parents(&u, m->path, e) < 0)
        return -1;
    if (mkdir(m->path, 0755) < 0 && errno != EEXIST)
        return err_errno(e, errno, "cannot create folder %s", m->path);
    if (mount(m->source, m->path, "9p", MS_NODEV | MS_NOSUID, options) < 0)
        return err_errno(e, errno, "cannot mount the folder %s", m->path);
    strv_push(&srv->mounts, m->path);
    return 0;
}

/* Makes what something is mounted on, if it is missing: a folder, or a file for a file. */
static int make_mount_point(const struct user *u, const char *source, const char *path,
                            struct err *e)
{
    auto_close int fd = -1;
    struct stat st;

    if (stat(source, &st) < 0)
        return err_errno(e, errno, "cannot examine %s", source);
    if (S_ISDIR(st.st_mode)) {
        if (mkdir(path, 0700) == 0 ? chown(path, u->uid, u->gid) < 0 : errno != EEXIST)
            return err_errno(e, errno, "cannot create folder %s", path);
        return 0;
    }
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 ? errno != EEXIST : fchown(fd, u->uid, u->gid) < 0)
        return err_errno(e, errno, "cannot create file %s", path);
    return 0;
}

/* What lies at a path of the share takes the place of a file or folder of the guest. */
static int mount_bind(struct server *srv, const struct mount_request *m, struct err *e)
{
    auto_user struct user u = {0};
    auto_free char *path = NULL;

    if (user_find(m->user, &u, e) < 0)
        return -1;
    path = user_path(&u, m->path);
    if (user_make_parents(&u, path, e) < 0)
        return -1;
    if (make_mount_point(&u, m->source, path, e) < 0)
        return -1;
    if (mount(m->source, path, NULL, MS_BIND, NULL) < 0)
        return err_errno(e, errno, "cannot bind %s to %s", m->source, path);
    strv_push(&srv->mounts, path);
    return 0;
}

static int make_link(struct server *srv, const struct mount_request *m, struct err *e)
{
    auto_user struct user u = {0};
    auto_free char *path = NULL;

    (void)srv;
    if (user_find(m->user, &u, e) < 0)
        return -1;
    path = user_path(&u, m->path);
    if (user_make_parents(&u, path, e) < 0)
        return -1;
    unlink(path);
    if (symlink(m->source, path) < 0 || lchown(path, u.uid, u.gid) < 0)
        return err_errno(e, errno, "cannot link %s to %s", path, m->source);
    return 0;
}

static int add_mount(struct server *srv, const struct field *body, struct err *e)
{
    static const struct {
        const char *type;
        int (*add)(struct server *srv, const struct mount_request *m, struct err *e);
    } types[] = {{"9p", mount_9p},
                 {"bind", mount_bind},
                 {"link", make_link},
                 {"local", mount_local},
                 {"image", mount_image}};
    __attribute__((cleanup(mount_request_free))) struct mount_request m = {0};
    struct field_reader r = field_reader(body->data, body->len);
    struct field f;

    while (field_next(&r, &f)) {
        char **slot = f.tag == TAG_MOUNT_TYPE     ? &m.type
                      : f.tag == TAG_MOUNT_SOURCE ? &m.source
                      : f.tag == TAG_PATH         ? &m.path
                      : f.tag == TAG_USER         ? &m.user
                                                  : NULL;
        if (slot && !*slot)
            *slot = field_str(&f);
    }
    if (!m.type || !m.source || !m.path || !m.user)
        return err_set(e, "malformed mount request");
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (strcmp(m.type, types[i].type) == 0)
            return types[i].add(srv, &m, e);
    return err_set(e, "unknown type of mount: %s", m.type);
}

/* Size of a block device in bytes, from sysfs: it needs no device node. */
static int device_size(dev_t device, uint64_t *size, struct err *e)
{
    auto_free char *path = mem_printf("/sys/dev/block/%u:%u/size", major(device), minor(device));
    auto_buf struct buf text = BUF_INIT;

    *size = 0;
    if (file_read_at(AT_FDCWD, path, 64, &text, e) != 0)
        return e->msg ? -1 : err_set(e, "no device behind the root file system");
    *size = strtoull(text.data, NULL, 10) * SECTOR;
    return 0;
}

/* Grows the root file system where its disk is larger; the kernel does it online. */
static int grow_root(struct err *e)
{
    auto_close int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct statvfs fs;
    struct stat st;
    uint64_t size, blocks;

    if (root < 0 || fstat(root, &st) < 0 || fstatvfs(root, &fs) < 0)
        return err_errno(e, errno, "cannot examine the root file system");
    if (device_size(st.st_dev, &size, e) < 0)
        return -1;
    blocks = size / fs.f_frsize;
    /* f_blocks leaves the file system's own tables out: compare with what they can be at most. */
    if (size < (uint64_t)fs.f_blocks * fs.f_frsize / 100 * 104 + GROW_SLACK)
        return 0;
    if (ioctl(root, EXT4_IOC_RESIZE_FS, &blocks) < 0)
        return err_errno(e, errno, "cannot grow the root file system");
    return 0;
}

static int apply(struct server *srv, const struct field *f, struct err *e)
{
    auto_free char *text = NULL;

    switch (f->tag) {
    case TAG_TIME:
        return clock_set(f, e);
    case TAG_ENTROPY:
        return add_entropy(f, e);
    case TAG_MOUNT:
        return add_mount(srv, f, e);
    default:
        break;
    }
    text = field_str(f);
    if (!text)
        return err_set(e, "malformed personalize request");
    switch (f->tag) {
    case TAG_HOSTNAME:
        return set_hostname(text, e);
    case TAG_MACHINE_ID:
        return set_machine_id(text, e);
    case TAG_HOST_ALIAS:
        return add_host_alias(text, e);
    case TAG_TIMEZONE:
        return set_timezone(text, e);
    case TAG_BOOT_ID:
        return suspend_renew(text, e);
    default:
        return 0;
    }
}

void personalize_open(struct stream *s, struct field_reader r)
{
    auto_err struct err e = ERR_INIT;
    struct server *srv = s->server;
    bool in_guest = srv->in_guest, resumed = false;
    struct field f;

    while (!e.msg && field_next(&r, &f)) {
        resumed = resumed || f.tag == TAG_BOOT_ID;
        if (in_guest)
            apply(srv, &f, &e);
    }
    if (!e.msg && r.malformed)
        err_set(&e, "malformed personalize request");
    if (!e.msg && in_guest && !resumed) /* one that was saved grew before */
        grow_root(&e);
    if (e.msg) {
        stream_error(s, &e);
        return;
    }
    if (srv->unkept.len > 0)
        conn_send(srv->conn, FRAME_DATA, LANE_OUT, s->id, srv->unkept.data, srv->unkept.len);
    stream_exit(s, 0, srv->image_error);
    if (resumed && in_guest)
        suspend_wake_later(srv);
}
