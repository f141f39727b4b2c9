/* Whether this host can make a base image. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "image/base_image.h"
#include "proc/spawn.h"

#define ID_RANGE "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 \"$USER\""
#define KEYRINGS "/usr/share/keyrings"
#define KEYRING_PACKAGE "debian-archive-keyring"
#define CERTIFICATE_MARK "-----BEGIN CERTIFICATE-----"

enum {
    CERTIFICATE_MAX = 1 << 20,
    UNSHARE_MS = 10000,
    OUTPUT_MAX = 4096,
    SETTING_MAX = 64,
};

/* Programs of the host that make the image; newuidmap and newgidmap stand in for root's rights. */
static const struct program {
    const char *name, *package;
    bool as_root, as_user; /* who needs it */
} programs[] = {
    {"mmdebstrap", "mmdebstrap", true, true}, {"mke2fs", "e2fsprogs", true, true},
    {"unshare", "util-linux", true, false},   {"newuidmap", "uidmap", false, true},
    {"newgidmap", "uidmap", false, true},
};

static bool is_needed(const struct program *p)
{
    return geteuid() == 0 ? p->as_root : p->as_user;
}

static bool is_missing(const struct program *p)
{
    auto_free char *path = is_needed(p) ? spawn_find(p->name) : NULL;

    return is_needed(p) && !path;
}

static int missing(const struct program *p, struct err *e)
{
    err_set(e, "%s is not installed; it is needed to make the VM's image", p->name);
    return err_advise(e, "run: sudo apt install %s", p->package);
}

/* Whether /etc/subuid or /etc/subgid gives this user a range. */
static bool has_range(const char *file, const char *user)
{
    auto_buf struct buf text = BUF_INIT;
    auto_free char *by_uid = mem_printf("%u:", getuid());
    auto_free char *by_name = mem_printf("%s:", user);
    char *save = NULL;

    if (file_read_at(AT_FDCWD, file, 1 << 20, &text, NULL) != 0)
        return false;
    for (char *l = strtok_r(text.data, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
        if (str_starts(l, by_name) || str_starts(l, by_uid))
            return true;
    return false;
}

static int check_ids(struct err *e)
{
    const struct passwd *user = getpwuid(getuid());
    const char *name = user ? user->pw_name : "";

    if (geteuid() == 0 || (has_range("/etc/subuid", name) && has_range("/etc/subgid", name)))
        return 0;
    err_set(e, "this user has no range of ids in /etc/subuid and /etc/subgid; it is needed to make "
               "the VM's image without root");
    return err_advise(e, "run: " ID_RANGE);
}

int base_image_check(struct err *e)
{
    for (size_t i = 0; i < ARRAY_LEN(programs); i++)
        if (is_missing(&programs[i]))
            return missing(&programs[i], e);
    return check_ids(e);
}

/* ---- for agentvm doctor --------------------------------------------------------------------- */

static bool has_keyring(void)
{
    return access(KEYRINGS "/" KEYRING_PACKAGE ".gpg", R_OK) == 0 ||
           access(KEYRINGS "/" KEYRING_PACKAGE ".pgp", R_OK) == 0;
}

void base_examine_programs(struct findings *f)
{
    auto_buf struct buf found = BUF_INIT;

    for (size_t i = 0; i < ARRAY_LEN(programs); i++) {
        const struct program *p = &programs[i];
        auto_err struct err e = ERR_INIT;

        if (is_missing(p)) {
            missing(p, &e);
            finding_error(f, FINDING_PROBLEM, NULL, &e);
        } else if (is_needed(p)) {
            buf_printf(&found, "%s%s", found.len ? ", " : "", p->name);
        }
    }
    if (found.len)
        finding_ok(f, "for making images: %s", found.data);
    if (!has_keyring())
        finding_add(f, FINDING_PROBLEM, "sudo apt install " KEYRING_PACKAGE,
                    "Debian's keys are not in %s; packages of the image cannot be verified",
                    KEYRINGS);
}

/* Whether a setting of the kernel has that value. */
static bool is_set(const char *name, const char *value)
{
    auto_free char *path = mem_printf("/proc/sys/%s", name);
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    auto_buf struct buf text = BUF_INIT;

    if (fd < 0 || file_read_fd(fd, SETTING_MAX, &text, NULL) < 0)
        return false;
    text.data[strcspn(text.data, "\n")] = '\0';
    return strcmp(text.data, value) == 0;
}

/* The setting that forbids user namespaces to ordinary users, as a command that allows them. */
static const char *find_setting(void)
{
    static const char *const settings[][3] = {
        {"kernel/unprivileged_userns_clone", "0", "sudo sysctl kernel.unprivileged_userns_clone=1"},
        {"kernel/apparmor_restrict_unprivileged_userns", "1",
         "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0"},
        {"user/max_user_namespaces", "0", "sudo sysctl user.max_user_namespaces=15000"},
    };

    for (size_t i = 0; i < ARRAY_LEN(settings); i++)
        if (is_set(settings[i][0], settings[i][1]))
            return settings[i][2];
    return NULL;
}

/* Runs `unshare OPTIONS true`, as the making of an image would. */
static int try_unshare(char *const *argv, struct err *e)
{
    auto_buf struct buf complaint = BUF_INIT;
    auto_free char *last = NULL;
    struct exit_status status = {0};

    if (spawn_capture(argv, OUTPUT_MAX, UNSHARE_MS, NULL, &complaint, &status, e) < 0)
        return -1;
    if (exit_status_code(status) == 0)
        return 0;
    last = str_tail(complaint.data ? complaint.data : "", complaint.len, 1);
    last[strcspn(last, "\n")] = '\0';
    return err_set(e, "%s", *last ? last : "unshare failed");
}

void base_examine_namespaces(struct findings *f)
{
    static char *const as_root[] = {"unshare", "--mount", "--pid", "--fork", "/bin/true", NULL};
    static char *const as_user[] = {"unshare", "--user", "--map-root-user", "/bin/true", NULL};
    bool is_root = geteuid() == 0;
    auto_free char *program = spawn_find("unshare");
    auto_err struct err e = ERR_INIT;

    if (!program)
        finding_add(f, FINDING_PROBLEM, "sudo apt install util-linux",
                    "not tried: there is no unshare in PATH");
    else if (try_unshare(is_root ? as_root : as_user, &e) == 0)
        finding_ok(f, "%s namespaces can be made", is_root ? "mount and process" : "user");
    else
        finding_add(f, FINDING_PROBLEM, is_root ? NULL : find_setting(),
                    "no %s namespaces, which the VM's image is made in: %s",
                    is_root ? "mount and process" : "user", err_msg(&e));
}

void base_examine_ids(struct findings *f)
{
    auto_err struct err e = ERR_INIT;

    if (check_ids(&e) < 0)
        finding_error(f, FINDING_PROBLEM, NULL, &e);
    else
        finding_ok(f, geteuid() == 0 ? "root needs no range of ids"
                                     : "this user has ranges in /etc/subuid and /etc/subgid");
}

static bool examine_certificate(const char *folder, const char *name, struct findings *f)
{
    auto_free char *path = mem_printf("%s/%s", folder, name);
    auto_free char *quoted = str_quote(path);
    auto_free char *readable = mem_printf("sudo chmod a+r %s", quoted);
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    auto_buf struct buf text = BUF_INIT;
    auto_err struct err e = ERR_INIT;

    if (fd < 0)
        finding_add(f, FINDING_PROBLEM, errno == EACCES ? readable : NULL,
                    "cannot read %s, which belongs into the image: %s", path, strerror(errno));
    else if (file_read_fd(fd, CERTIFICATE_MAX, &text, &e) < 0)
        finding_add(f, FINDING_PROBLEM, NULL, "%s: %s", path, err_msg(&e));
    else if (!strstr(text.data, CERTIFICATE_MARK))
        finding_add(f, FINDING_WARNING, NULL,
                    "%s has no certificate in PEM form; the guest will not trust it", path);
    else
        return true;
    return false;
}

void base_examine_certificates(const char *folder, struct findings *f)
{
    struct dirent **names = NULL;
    int n = scandir(folder, &names, NULL, alphasort), good = 0, bad = 0;

    if (n < 0 && errno != ENOENT)
        finding_add(f, FINDING_WARNING, NULL, "cannot list %s: %s", folder, strerror(errno));
    for (int i = 0; i < n; i++) {
        bool counts = str_ends(names[i]->d_name, ".crt");
        bool is_good = counts && examine_certificate(folder, names[i]->d_name, f);

        good += is_good;
        bad += counts && !is_good;
        free(names[i]);
    }
    free(names);
    if (good || !bad)
        finding_ok(f, "%d of this host's own in %s; the guest trusts them, too", good, folder);
}
