/* Before the machine is saved: nothing but guestd runs, so that nothing runs in a clone before it
 * is made itself.  After that: what a boot would have renewed.
 *
 * Every control group is frozen, process 1's included; guestd moves to the root group, which cannot
 * be, and back. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <net/if_arp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "guestd/server.h"
#include "proc/spawn.h"

#define CGROUPS "/sys/fs/cgroup"
#define OWN_GROUP CGROUPS "/system.slice/agentvm-guestd.service"
#define BOOT_ID "/proc/sys/kernel/random/boot_id"
#define BOOT_ID_FILE "/run/agentvm/boot_id"
#define HOST_KEYS "/etc/ssh/ssh_host_*"
#define SSHD_RAN "/run/agentvm/sshd" /* exists where an sshd was stopped */

enum {
    ARP_MAX = 65536,
    /* systemd looks at the new mounts and the new time when it goes on: measured under emulation,
     * 0.3 s that the session's first program would lose.  What waits for systemd waits so long. */
    WAKE_MS = 1000,
    FREEZE_MS = 10000,
    EVENTS_MAX = 4096,
    PROCS_MAX = 1 << 20,
    PID_MAX_BYTES = 64,
};

static int write_value(const char *path, const char *value, struct err *e)
{
    auto_close int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, value, strlen(value)) < 0)
        return err_errno(e, errno, "cannot write %s", path);
    return 0;
}

/* Moves guestd between control groups. */
static int enter_group(const char *group, struct err *e)
{
    auto_free char *path = mem_printf("%s/cgroup.procs", group);

    return write_value(path, "0", e);
}

/* Waits until no process of a group can run any more. */
static int wait_frozen(const char *group, struct err *e)
{
    auto_free char *path = mem_printf(CGROUPS "/%s/cgroup.events", group);
    int64_t deadline = clock_ms() + FREEZE_MS;

    for (;;) {
        auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
        struct pollfd changed = {.fd = fd, .events = POLLPRI};
        auto_buf struct buf events = BUF_INIT;

        if (fd < 0)
            return err_errno(e, errno, "cannot open %s", path);
        if (file_read_fd(fd, EVENTS_MAX, &events, e) < 0)
            return err_prefix(e, "%s", path);
        if (strstr(events.data ? events.data : "", "frozen 1"))
            return 0;
        if (clock_ms() >= deadline)
            return err_set(e, "control group %s does not freeze", group);
        poll(&changed, 1, clock_left(deadline));
    }
}

static int freeze_groups(const char *value, struct err *e)
{
    DIR *dir = opendir(CGROUPS);
    struct dirent *entry;
    int rc = 0;

    if (!dir)
        return err_errno(e, errno, "cannot list " CGROUPS);
    while (rc == 0 && (entry = readdir(dir))) {
        auto_free char *path = mem_printf(CGROUPS "/%s/cgroup.freeze", entry->d_name);

        if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
            continue;
        rc = write_value(path, value, e);
        if (rc == 0 && *value == '1')
            rc = wait_frozen(entry->d_name, e);
    }
    closedir(dir);
    return rc;
}

/* What the guest learned of its network belongs to this machine. */
static void forget_neighbours(void)
{
    auto_buf struct buf table = BUF_INIT;
    auto_close int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    char *save = NULL;

    if (sock < 0 || file_read_at(AT_FDCWD, "/proc/net/arp", ARP_MAX, &table, NULL) != 0)
        return;
    for (char *line = strtok_r(table.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        struct arpreq request = {0};
        struct sockaddr_in *address = (struct sockaddr_in *)&request.arp_pa;
        char ip[64], device[16];

        if (sscanf(line, "%63s %*s %*s %*s %*s %15s", ip, device) != 2 ||
            inet_pton(AF_INET, ip, &address->sin_addr) != 1)
            continue;
        address->sin_family = AF_INET;
        memcpy(request.arp_dev, device, sizeof(device));
        ioctl(sock, SIOCDARP, &request);
    }
}

/* No sshd goes on with the keys that it knows; SSHD_RAN tells to start it again. */
static void stop_sshd(void)
{
    auto_buf struct buf text = BUF_INIT;
    long pid = 0;

    if (file_read_at(AT_FDCWD, "/run/sshd.pid", PID_MAX_BYTES, &text, NULL) == 0 && text.data)
        pid = strtol(text.data, NULL, 10);
    if (pid > 1 && kill((pid_t)pid, SIGTERM) == 0)
        write_in_place(SSHD_RAN, "", NULL);
}

static void forget_host_keys(void)
{
    glob_t found = {0};

    if (glob(HOST_KEYS, 0, NULL, &found) == 0)
        for (size_t i = 0; i < found.gl_pathc; i++)
            unlink(found.gl_pathv[i]);
    globfree(&found);
}

/* With the folders that were made for them. */
static int give_up_shares(struct server *srv, struct err *e)
{
    auto_strv struct strv folders = STRV_INIT;

    strv_push_all(&folders, srv->mounts.v);
    if (shutdown_mounts(srv, e) < 0)
        return -1;
    for (size_t i = 0; i < folders.n; i++)
        rmdir(folders.v[i]);
    return 0;
}

/* The kernel's boot id would be the same in every clone: a file stands in its place. */
static int replace_boot_id(struct err *e)
{
    if (write_in_place(BOOT_ID_FILE, "", e) < 0)
        return -1;
    if (mount(BOOT_ID_FILE, BOOT_ID, NULL, MS_BIND, NULL) < 0)
        return err_errno(e, errno, "cannot replace " BOOT_ID);
    return 0;
}

void suspend_open(struct stream *s, struct field_reader r)
{
    auto_err struct err e = ERR_INIT;

    (void)r;
    if (s->server->in_guest) {
        stop_sshd();
        forget_host_keys();
        forget_neighbours();
        sync();
        if (give_up_shares(s->server, &e) == 0 && replace_boot_id(&e) == 0 &&
            enter_group(CGROUPS, &e) == 0)
            freeze_groups("1", &e);
    }
    if (e.msg) {
        stream_error(s, &e);
        return;
    }
    s->server->suspended = true;
    stream_ok(s);
}

int suspend_renew(const char *boot_id, struct err *e)
{
    auto_free char *line = mem_printf("%s\n", boot_id);

    return write_in_place(BOOT_ID_FILE, line, e);
}

/* ---- ssh's host keys ---- */

struct keygen {
    struct server *server;
    struct child child;
    struct loop_watch *watch;
};

static void on_keys_made(void *arg, short events);

/* Runs the program in the background; its end comes to on_keys_made. */
static void run_for_keys(struct keygen *k, char *const *argv)
{
    struct spawn_request r = {.argv = argv, .new_session = true};
    auto_err struct err e = ERR_INIT;

    if (spawn_start(&r, &k->child, &e) < 0) {
        log_warn("%s", err_msg(&e));
        free(k);
        return;
    }
    k->watch = loop_watch(k->server->loop, k->child.pidfd, POLLIN, on_keys_made, k);
}

static void on_keys_made(void *arg, short events)
{
    struct keygen *k = arg;
    char *const start[] = {(char[]){"systemctl"}, (char[]){"start"}, (char[]){"ssh.service"}, NULL};

    (void)events;
    loop_unwatch(k->watch);
    spawn_reap(&k->child, NULL, NULL);
    if (unlink(SSHD_RAN) == 0)
        run_for_keys(k, start);
    else
        free(k);
}

/* New ones, which take RSA a while: until then nobody answers ssh. */
static void make_host_keys(struct server *srv)
{
    char *const argv[] = {(char[]){"ssh-keygen"}, (char[]){"-A"}, NULL};
    struct keygen *k;

    if (access("/usr/sbin/sshd", X_OK) < 0)
        return;
    k = mem_zalloc(1, sizeof(*k));
    *k = (struct keygen){.server = srv, .child = CHILD_INIT};
    run_for_keys(k, argv);
}

/* Moves guestd, and what it started meanwhile, to where they would be after a boot.  The root group
 * has kernel threads, too, which stay. */
static int leave_root_group(struct err *e)
{
    auto_buf struct buf pids = BUF_INIT;
    char *save = NULL;

    if (enter_group(OWN_GROUP, e) < 0 ||
        file_read_at(AT_FDCWD, CGROUPS "/cgroup.procs", PROCS_MAX, &pids, e) != 0)
        return -1;
    for (char *pid = strtok_r(pids.data, "\n", &save); pid; pid = strtok_r(NULL, "\n", &save))
        write_value(OWN_GROUP "/cgroup.procs", pid, NULL);
    return 0;
}

/* A guest that cannot wake up is no good. */
static void wake(void *arg)
{
    struct server *srv = arg;
    auto_err struct err e = ERR_INIT;

    srv->wake = NULL;
    if (freeze_groups("0", &e) < 0 || leave_root_group(&e) < 0)
        server_give_up(srv, &e);
    else
        make_host_keys(srv);
}

void suspend_wake_later(struct server *srv)
{
    srv->wake = loop_timer(srv->loop, WAKE_MS, wake, srv);
}
