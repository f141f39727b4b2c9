/* The receiver of `agentvm cp`: any bytes as a sender's.  Nothing is made outside of the target,
 * nothing half done stays, and no link leads out. */
#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "channel/copy.h"
#include "fuzz.h"

static char folder[] = "/tmp/agentvm-fuzz.XXXXXX";
static char target[sizeof(folder) + sizeof("/target")];

static void remove_all(void)
{
    file_remove_tree_at(AT_FDCWD, folder, NULL);
}

static void make_folders(void)
{
    FUZZ_HOLDS(mkdtemp(folder) != NULL);
    snprintf(target, sizeof(target), "%s/target", folder);
    atexit(remove_all);
}

static int check_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    char link[COPY_TARGET_MAX + 1];

    (void)ftw;
    FUZZ_HOLDS(!strstr(path, "/.agentvm-cp-"));
    FUZZ_HOLDS((st->st_mode & 07000) == 0 || type != FTW_F);
    if (type == FTW_SL || type == FTW_SLN) {
        FUZZ_HOLDS(readlink(path, link, sizeof(link)) > 0);
        FUZZ_HOLDS(link[0] != '/');
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *const names[] = {"one", "two", NULL};
    struct copy_target t = {
        .path = target, .names = names, .stream = -1, .who = "it", .keep_links_in = true};
    auto_err struct err e = ERR_INIT;
    auto_close int in = file_memfd("fuzz", data, size, NULL);

    if (!target[0])
        make_folders();
    FUZZ_HOLDS(in >= 0 && mkdir(target, 0700) == 0);
    FUZZ_HOLDS((copy_receive(in, &t, &e) == 0) == (e.msg == NULL));
    FUZZ_HOLDS(nftw(target, check_entry, 20, FTW_PHYS) == 0);
    FUZZ_HOLDS(file_remove_tree_at(AT_FDCWD, target, NULL) == 0);
    FUZZ_HOLDS(rmdir(folder) == 0 && mkdir(folder, 0700) == 0); /* nothing else was in it */
    return 0;
}
