/* Chrome DevTools MCP: a browser for agents, from the npm package chrome-devtools-mcp. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agentvm/npm.h"
#include "agentvm/plugin.h"
#include "agentvm/text.h"

#define PACKAGE "chrome-devtools-mcp"
#define SERVER "chrome-devtools" /* what agents call it */

enum { WIDTH_MAX = 3840, HEIGHT_MAX = 2160 }; /* the server's screen in headless mode */

static const struct agentvm_option options[] = {
    {"version", "1.11.0", "version of chrome-devtools-mcp in the image", AGENTVM_OPTION_SENSITIVE},
    {"browser", "headless-shell", "headless-shell, or chromium: the full browser, a larger image",
     AGENTVM_OPTION_SENSITIVE},
    {"viewport", "1280x800", "WIDTHxHEIGHT of a page in pixels", 0},
    {"arguments", NULL, "further arguments of chrome-devtools-mcp, separated by blanks",
     AGENTVM_OPTION_SENSITIVE},
    {0},
};

/* The browser's Debian package, after which its program is called, too; NULL after a refusal. */
static const char *choose_browser(struct agentvm_host *h)
{
    const char *browser = agentvm_option(h, "browser");

    if (strcmp(browser, "headless-shell") == 0)
        return "chromium-headless-shell";
    if (strcmp(browser, "chromium") == 0)
        return "chromium";
    agentvm_fail(h, "option browser is neither headless-shell nor chromium",
                 "correct [plugin.chrome-mcp] browser in agent.ini");
    return NULL;
}

/* Reads a number of pixels and moves *s behind it; 0 if there is none in 1 to max. */
static long take_pixels(const char **s, long max)
{
    size_t digits = strspn(*s, "0123456789");
    long n = **s != '0' && digits > 0 && digits < 6 ? strtol(*s, NULL, 10) : 0;

    *s += digits;
    return n <= max ? n : 0;
}

static int read_viewport(const char *s, long *width, long *height)
{
    *width = take_pixels(&s, WIDTH_MAX);
    if (*width == 0 || *s++ != 'x')
        return 0;
    *height = take_pixels(&s, HEIGHT_MAX);
    return *height > 0 && *s == '\0';
}

static int provision(struct agentvm_host *h)
{
    static const char *const check[] = {PACKAGE, "--version", NULL};
    const char *version = agentvm_option(h, "version");
    const char *browser = choose_browser(h);
    char package[96];

    if (!browser)
        return -1;
    if (!agentvm_npm_is_version(version))
        return agentvm_fail(h, "option version is not a version number such as 1.11.0",
                            "set [plugin.chrome-mcp] version in agent.ini, or leave it out");
    snprintf(package, sizeof(package), PACKAGE "@%s", version);
    agentvm_package(h, "nodejs");
    agentvm_package(h, "npm");
    agentvm_package(h, browser);
    agentvm_npm_install(h, "install Chrome DevTools MCP", package);
    agentvm_npm_clean(h);
    agentvm_run(h, "try " PACKAGE, check, AGENTVM_AS_USER);
    return agentvm_warm(h, check);
}

/* An argument of the form NAME=VALUE. */
static void add_setting(struct agentvm_list *argv, const char *name, const char *value)
{
    struct agentvm_text t = {0};

    agentvm_text_add(&t, name);
    agentvm_text_add(&t, "=");
    agentvm_text_add(&t, value);
    agentvm_list_add(argv, t.s);
}

/* It asks nobody but the pages' servers, and writes where the agent works. */
static int add_fixed(struct agentvm_host *h, const char *browser, struct agentvm_list *argv)
{
    static const char *const fixed[] = {
        PACKAGE, "--headless", "--isolated", "--no-usage-statistics", "--no-performance-crux",
        NULL};
    const char *uid = agentvm_fact(h, "uid");
    const char *workspace = agentvm_fact(h, "workspace");
    struct agentvm_text program = {0};

    if (!workspace)
        return -1;
    agentvm_text_add(&program, "/usr/bin/");
    agentvm_text_add(&program, browser);
    agentvm_list_add_all(argv, fixed);
    add_setting(argv, "--executablePath", program.s);
    add_setting(argv, "--workspace", workspace);
    if (uid && strcmp(uid, "0") == 0) /* Chromium does not start as root with its sandbox */
        agentvm_list_add(argv, "--chromeArg=--no-sandbox");
    return 0;
}

/* The server's own option sizes the browser's first page only, the window's size those that are
 * opened later. */
static int add_viewport(struct agentvm_host *h, struct agentvm_list *argv)
{
    const char *viewport = agentvm_option(h, "viewport");
    char window[32];
    long width, height;

    if (!read_viewport(viewport, &width, &height))
        return agentvm_fail(h, "option viewport is not WIDTHxHEIGHT in pixels, such as 1280x800",
                            "correct [plugin.chrome-mcp] viewport; 3840x2160 is the largest");
    snprintf(window, sizeof(window), "%ld,%ld", width, height);
    add_setting(argv, "--viewport", viewport);
    add_setting(argv, "--chromeArg=--window-size", window);
    return 0;
}

static int launch(struct agentvm_host *h)
{
    static const char *const env[] = {"CHROME_DEVTOOLS_MCP_NO_UPDATE_CHECKS=1", NULL};
    const char *browser = choose_browser(h);
    struct agentvm_list argv = {0};

    if (!browser)
        return -1;
    if (add_fixed(h, browser, &argv) < 0 || add_viewport(h, &argv) < 0)
        return -1;
    agentvm_list_add_words(&argv, agentvm_option(h, "arguments"));
    return agentvm_offer_mcp(h, SERVER, argv.v, env);
}

AGENTVM_PLUGIN(.kind = AGENTVM_TOOL, .name = "chrome-mcp", .version = "0.1",
               .summary = "a browser for agents: Chrome DevTools MCP", .options = options,
               .provision = provision, .launch = launch);
