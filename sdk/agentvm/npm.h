/* Help for plugins whose program is an npm package: what provision says to install one version of
 * it.  Header-only, C11, optional.
 *
 *     agentvm_package(h, "npm");
 *     agentvm_npm_install(h, "install hello", "hello-agent@1.2.3");
 *     agentvm_npm_clean(h);
 */
#ifndef AGENTVM_NPM_H
#define AGENTVM_NPM_H

#include <string.h>

#include "agentvm/plugin.h"

/* npm's name for the guest's machine, "linux-x64" or "linux-arm64"; NULL for any other. */
static inline const char *agentvm_npm_platform(struct agentvm_host *h)
{
    const char *arch = agentvm_fact(h, "arch");

    if (arch && strcmp(arch, "x86_64") == 0)
        return "linux-x64";
    return arch && strcmp(arch, "aarch64") == 0 ? "linux-arm64" : NULL;
}

/* Whether s is one version, such as 1.2.3.  npm would take ranges, tags, URLs and paths, too, but
 * the same plan must mean the same template. */
static inline int agentvm_npm_is_version(const char *s)
{
    return s && *s >= '0' && *s <= '9' && strlen(s) < 64 &&
           strspn(s, "0123456789.-+abcdefghijklmnopqrstuvwxyz") == strlen(s) && strchr(s, '.');
}

/* Installs PACKAGE@VERSION below /usr/local, for everybody and without its install scripts.  The
 * image needs Debian's package npm. */
static inline int agentvm_npm_install(struct agentvm_host *h, const char *label,
                                      const char *package)
{
    const char *const argv[] = {
        "npm",        "install",   "--global",         "--prefix", "/usr/local", "--ignore-scripts",
        "--no-audit", "--no-fund", "--loglevel=error", package,    NULL};

    return agentvm_run(h, label, argv, AGENTVM_AS_ROOT);
}

/* Empties npm's cache, which holds every package once more.  Goes last. */
static inline int agentvm_npm_clean(struct agentvm_host *h)
{
    static const char *const argv[] = {"npm", "cache", "clean", "--force", "--loglevel=error",
                                       NULL};

    return agentvm_run(h, "empty npm's cache", argv, AGENTVM_AS_ROOT);
}

#endif
