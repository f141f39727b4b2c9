/* Amounts as tables show them. */
#include "base/mem.h"
#include "cli/cli.h"

enum { MINUTE_S = 60, HOUR_S = 60 * MINUTE_S, DAY_S = 24 * HOUR_S };

char *cli_size(uint64_t bytes)
{
    if (bytes >= (uint64_t)1 << 30)
        return mem_printf("%.1fG", (double)bytes / (1 << 30));
    if (bytes >= 1 << 20)
        return mem_printf("%.1fM", (double)bytes / (1 << 20));
    return mem_printf("%.1fK", (double)bytes / (1 << 10));
}

char *cli_age(int64_t since, int64_t now)
{
    long age = since < now ? (long)(now - since) : 0;

    if (age >= DAY_S)
        return mem_printf("%ldd", age / DAY_S);
    return age >= HOUR_S ? mem_printf("%ldh", age / HOUR_S) : mem_printf("%ldm", age / MINUTE_S);
}
