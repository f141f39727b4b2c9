#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "guestd/server.h"

#define PORT_NAME "org.agentvm.0"           /* VM_CHANNEL_PORT of the host's side */
#define PROBE_ARGUMENT "agentvm.probe"      /* on the kernel's command line */
#define PROBE_ANSWER "\nagentvm-probe-ok\n" /* what the accelerator probe waits for */

/* Finds the device of the port named PORT_NAME; returns its open descriptor or -1. */
static int open_port(void)
{
    static const char class[] = "/sys/class/virtio-ports";
    DIR *dir = opendir(class);
    struct dirent *entry;
    int fd = -1;

    while (dir && fd < 0 && (entry = readdir(dir))) {
        auto_free char *name_file = mem_printf("%s/%s/name", class, entry->d_name);
        auto_free char *device = mem_printf("/dev/%s", entry->d_name);
        auto_buf struct buf name = BUF_INIT;

        if (file_read_at(AT_FDCWD, name_file, 256, &name, NULL) == 0 &&
            str_starts(name.data, PORT_NAME "\n"))
            fd = open(device, O_RDWR | O_CLOEXEC);
    }
    if (dir)
        closedir(dir);
    return fd;
}

static void write_line(const char *path, const char *text)
{
    auto_close int fd = open(path, O_WRONLY | O_NOCTTY | O_CLOEXEC);

    if (fd < 0 || file_write_all(fd, text, strlen(text), NULL) < 0)
        return;
    tcdrain(fd);
}

/* As the probe's init: proves that kernel and user space run under this accelerator. */
static int answer_probe(void)
{
    auto_buf struct buf cmdline = BUF_INIT;

    mkdir("/proc", 0755);
    mkdir("/dev", 0755);
    mount("proc", "/proc", "proc", 0, NULL);
    mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
    if (file_read_at(AT_FDCWD, "/proc/cmdline", 65536, &cmdline, NULL) == 0 &&
        strstr(cmdline.data, PROBE_ARGUMENT))
        write_line("/dev/ttyS0", PROBE_ANSWER);
    reboot(RB_POWER_OFF);
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    int fd;

    log_set_name("agentvm-guestd");
    if (getpid() == 1)
        return answer_probe();
    if (argc == 3 && strcmp(argv[1], "--fd") == 0)
        return server_run((int)strtol(argv[2], NULL, 10), false);
    if (argc > 2 && strcmp(argv[1], "--send") == 0)
        return copy_out(argv + 2);
    if (argc > 3 && strcmp(argv[1], "--receive") == 0)
        return copy_in(argv + 2);
    if (argc != 1) {
        log_error(
            "usage: agentvm-guestd [--fd NUMBER | --send SOURCE... | --receive TARGET NAME...]");
        return EXIT_AGENTVM;
    }
    fd = open_port();
    if (fd < 0) {
        log_error("no virtio port named " PORT_NAME);
        return EXIT_AGENTVM;
    }
    return server_run(fd, true);
}
