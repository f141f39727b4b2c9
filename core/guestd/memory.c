#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "guestd/server.h"

enum { VMSTAT_MAX = 65536 };

uint64_t memory_oom_kills(void)
{
    static const char name[] = "\noom_kill ";
    auto_buf struct buf text = BUF_INIT;
    const char *found;

    if (file_read_at(AT_FDCWD, "/proc/vmstat", VMSTAT_MAX, &text, NULL) != 0)
        return 0;
    found = strstr(text.data, name);
    return found ? strtoull(found + strlen(name), NULL, 10) : 0;
}
