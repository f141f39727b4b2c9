#include "guest/request.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/mem.h"
#include "channel/fields.h"
#include "channel/proto.h"

/* Where the folders lie in the guest that are on its own disk. */
#define GUEST_LOCALS "/var/lib/agentvm/local"
#define GUEST_KEPT "/run/agentvm/kept"

enum {
    ENTROPY_BYTES = 64, /* twice the kernel's 256-bit generator key */
    MACHINE_ID_BYTES = 16,
    BOOT_ID_BYTES = 16,
    TIMEZONE_MAX = 256,
    ERROR_TEXT_MAX = 200,
};

static void put_optional(struct buf *body, uint16_t tag, const char *s)
{
    if (s)
        field_put_str(body, tag, s);
}

static void put_all(struct buf *body, uint16_t tag, char *const *v)
{
    for (; v && *v; v++)
        field_put_str(body, tag, *v);
}

void guest_exec_body(struct buf *body, const struct guest_program *p, bool tty, uint16_t rows,
                     uint16_t columns)
{
    field_put_u32(body, TAG_KIND, OPEN_EXEC);
    put_all(body, TAG_ARG, p->argv);
    put_all(body, TAG_ENV, p->env);
    put_optional(body, TAG_ENV_FILE, p->env_file);
    put_optional(body, TAG_CWD, p->cwd);
    put_optional(body, TAG_USER, p->user);
    if (tty)
        field_put_u32(body, TAG_TTY, (uint32_t)rows << 16 | columns);
}

void guest_put_body(struct buf *body, const char *path, uint32_t mode, const char *user)
{
    field_put_u32(body, TAG_KIND, OPEN_PUT);
    field_put_str(body, TAG_PATH, path);
    field_put_u32(body, TAG_MODE, mode);
    put_optional(body, TAG_USER, user);
}

/* The host's zone, as "Europe/Berlin"; NULL where it cannot be told. */
static char *host_timezone(void)
{
    static const char zoneinfo[] = "/zoneinfo/";
    char target[TIMEZONE_MAX] = {0};
    char *name;

    if (readlink("/etc/localtime", target, sizeof(target) - 1) < 0)
        return NULL;
    name = strstr(target, zoneinfo);
    return name ? mem_strdup(name + sizeof(zoneinfo) - 1) : NULL;
}

static int put_random(struct buf *body, struct err *e)
{
    unsigned char random[ENTROPY_BYTES + MACHINE_ID_BYTES];
    char id[2 * MACHINE_ID_BYTES + 1];

    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return err_errno(e, errno, "cannot get random bytes");
    field_put(body, TAG_ENTROPY, random, ENTROPY_BYTES);
    str_hex(id, random + ENTROPY_BYTES, MACHINE_ID_BYTES);
    field_put_str(body, TAG_MACHINE_ID, id);
    return 0;
}

/* The kernel makes its boot id once, before it is saved; a version 4 UUID. */
static int put_boot_id(struct buf *body, struct err *e)
{
    unsigned char b[BOOT_ID_BYTES];
    char hex[2 * BOOT_ID_BYTES + 1];
    auto_free char *id = NULL;

    if (getrandom(b, sizeof(b), 0) != (ssize_t)sizeof(b))
        return err_errno(e, errno, "cannot get random bytes");
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    str_hex(hex, b, sizeof(b));
    id = mem_printf("%.8s-%.4s-%.4s-%.4s-%s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
    field_put_str(body, TAG_BOOT_ID, id);
    return 0;
}

static void put_mount(struct buf *body, const char *type, const char *source, const char *path,
                      const char *user)
{
    auto_buf struct buf mount = BUF_INIT;

    field_put_str(&mount, TAG_MOUNT_TYPE, type);
    field_put_str(&mount, TAG_MOUNT_SOURCE, source);
    field_put_str(&mount, TAG_PATH, path);
    field_put_str(&mount, TAG_USER, user);
    field_put(body, TAG_MOUNT, mount.data, mount.len);
}

static void put_locals(struct buf *body, const struct guest_identity *id)
{
    for (size_t i = 0; id->locals && id->locals[i]; i++) {
        auto_free char *source = mem_printf(GUEST_LOCALS "/%s", id->locals[i]);
        auto_free char *path = mem_printf("%s/%s", id->share_path, id->locals[i]);

        put_mount(body, "local", source, path, id->user);
    }
}

static void put_kept(struct buf *body, const struct guest_identity *id)
{
    put_mount(body, "9p", id->kept_tag, GUEST_KEPT, id->user);
    for (size_t i = 0; i < id->nkept; i++) {
        const struct guest_keep *k = &id->kept[i];
        auto_free char *source = mem_printf(GUEST_KEPT "/%s", k->source);

        put_mount(body, k->file ? "link" : "bind", source, k->path, id->user);
    }
}

static void put_mounts(struct buf *body, const struct guest_identity *id)
{
    if (id->share_tag)
        put_mount(body, "9p", id->share_tag, id->share_path, id->user);
    if (id->kept_tag)
        put_kept(body, id);
    if (id->image) {
        auto_free char *source = mem_printf(GUEST_KEPT "/%s", id->image);

        put_mount(body, "image", source, GUEST_LOCALS, id->user);
    }
    put_locals(body, id);
}

static void put_time(struct buf *body)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    field_put_u64(body, TAG_TIME, (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec);
}

int guest_personalize_body(struct buf *body, const struct guest_identity *id, bool resumed,
                           struct err *e)
{
    auto_free char *zone = host_timezone();
    auto_free char *alias = mem_printf("%s %s", id->host_address, GUEST_HOST_NAME);

    field_put_u32(body, TAG_KIND, OPEN_PERSONALIZE);
    put_time(body);
    if (put_random(body, e) < 0 || (resumed && put_boot_id(body, e) < 0))
        return -1;
    field_put_str(body, TAG_HOSTNAME, id->hostname);
    field_put_str(body, TAG_HOST_ALIAS, alias); /* after the host name, which writes the file */
    put_optional(body, TAG_TIMEZONE, zone);
    put_mounts(body, id);
    return 0;
}

void guest_clock_body(struct buf *body)
{
    field_put_u32(body, TAG_KIND, OPEN_CLOCK);
    put_time(body);
}

void guest_shutdown_body(struct buf *body, enum guest_end end)
{
    field_put_u32(body, TAG_KIND, OPEN_SHUTDOWN);
    field_put_u32(body, TAG_FREEZE, end);
}

void guest_suspend_body(struct buf *body)
{
    field_put_u32(body, TAG_KIND, OPEN_SUSPEND);
}

void guest_ports_body(struct buf *body)
{
    field_put_u32(body, TAG_KIND, OPEN_PORTS);
}

void guest_connect_body(struct buf *body, unsigned port)
{
    field_put_u32(body, TAG_KIND, OPEN_CONNECT);
    field_put_u32(body, TAG_PORT, port);
}

void guest_ssh_agent_body(struct buf *body, const char *path, const char *user)
{
    field_put_u32(body, TAG_KIND, OPEN_SSH_AGENT);
    field_put_str(body, TAG_PATH, path);
    field_put_str(body, TAG_USER, user);
}

char *guest_error_text(const struct frame *f)
{
    size_t len = f->len > 4 ? f->len - 4 : 0;
    char *text;

    if (len == 0)
        return NULL;
    text = str_printable((const char *)f->payload + 4, len < ERROR_TEXT_MAX ? len : ERROR_TEXT_MAX);
    for (char *c = text; (c = strpbrk(c, "\n\t"));)
        *c = ' ';
    return text;
}
