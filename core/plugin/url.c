#include "plugin/url.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/str.h"

static bool is_loopback(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;

    if (*host == '[') {
        auto_free char *bare = mem_dup(host + 1, strcspn(host + 1, "]"));

        return str_ends(host, "]") && inet_pton(AF_INET6, bare, &v6) == 1 &&
               IN6_IS_ADDR_LOOPBACK(&v6);
    }
    if (strcasecmp(host, "localhost") == 0 || strcasecmp(host, "localhost.") == 0)
        return true;
    /* inet_aton: programs take 127.1 too */
    return strspn(host, "0123456789.") == strlen(host) && inet_aton(host, &v4) &&
           ntohl(v4.s_addr) >> 24 == IN_LOOPBACKNET;
}

char *url_for_guest(const char *url, const char *guest_host)
{
    const char *authority = strstr(url, "://"), *end, *host;
    auto_free char *name = NULL;

    if (!authority || !guest_host)
        return mem_strdup(url);
    authority += 3;
    end = authority + strcspn(authority, "/?#\\");
    /* What stands before the last '@' is a user's name and password. */
    host = memrchr(authority, '@', (size_t)(end - authority));
    host = host ? host + 1 : authority;
    name = mem_dup(host, *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/?#\\"));
    if (host + strlen(name) > end || !is_loopback(name))
        return mem_strdup(url);
    return mem_printf("%.*s%s%s", (int)(host - url), url, guest_host, host + strlen(name));
}
