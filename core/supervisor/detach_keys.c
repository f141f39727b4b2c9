/* Terminals send Ctrl-] as a byte, or as a sequence once a program has switched on kitty's keyboard
 * protocol or xterm's modifyOtherKeys.  A sequence is taken to come in one piece, as it does where
 * the terminal is read in raw mode: an Escape must not wait for what may follow it. */
#include "supervisor/detach_keys.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

static const char *const prefixes[] = {"\035", "\033[93;5u", "\033[27;5;93~"};
static const char *const letters[] = {"d", "\033[100u"};

/* Length of the one of these that the input begins with; 0: none. */
static size_t match(const char *const *keys, size_t n, const char *in, size_t len)
{
    for (size_t i = 0; i < n; i++)
        if (strlen(keys[i]) <= len && memcmp(in, keys[i], strlen(keys[i])) == 0)
            return strlen(keys[i]);
    return 0;
}

bool detach_keys_take(struct detach_keys *k, const char *in, size_t len, struct buf *out)
{
    while (len > 0) {
        size_t n = 1;

        if (k->held[0]) {
            if (match(letters, ARRAY_LEN(letters), in, len))
                return true;
            buf_puts(out, k->held);
            k->held[0] = '\0';
        }
        n = match(prefixes, ARRAY_LEN(prefixes), in, len);
        if (n > 0) {
            snprintf(k->held, sizeof(k->held), "%.*s", (int)n, in);
        } else {
            n = 1;
            buf_append(out, in, n);
        }
        in += n;
        len -= n;
    }
    return false;
}
