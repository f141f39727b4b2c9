#include "model/show.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"

char *show_text(const char *text, size_t max)
{
    size_t len = strlen(text), keep = max && len > max ? max : len;
    auto_free char *printable = NULL;
    struct buf out = BUF_INIT;

    /* Not through the middle of a UTF-8 sequence, which has at most 3 continuation bytes. */
    for (int i = 0; i < 3 && keep < len && keep > 0 && (text[keep] & 0xc0) == 0x80; i++)
        keep--;
    printable = str_printable(text, keep);
    for (const char *p = printable; *p; p++) {
        if (*p == '\n')
            buf_puts(&out, "\\n");
        else
            buf_append(&out, *p == '\t' ? " " : p, 1);
    }
    if (keep < len)
        buf_puts(&out, "...");
    return buf_steal(&out);
}
