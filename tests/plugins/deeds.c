/* An agent whose hooks do what the option "deed" says. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "agentvm/plugin.h"

static void crash(struct agentvm_host *h)
{
    (void)h;
    raise(SIGSEGV);
}

static void hang(struct agentvm_host *h)
{
    (void)h;
    for (;;)
        pause();
}

static void exit_0(struct agentvm_host *h)
{
    (void)h;
    exit(0);
}

static void exit_3(struct agentvm_host *h)
{
    (void)h;
    exit(3);
}

static void print(struct agentvm_host *h)
{
    (void)h;
    puts("stray");
    fflush(stdout);
    fputs("stray", stderr);
}

static void close_all(struct agentvm_host *h)
{
    (void)h;
    for (int fd = 0; fd < 1024; fd++)
        close(fd);
}

static void write_all(struct agentvm_host *h)
{
    (void)h;
    for (int fd = 3; fd < 64; fd++)
        if (write(fd, "stray", 5) < 0)
            continue;
}

/* An answer as agentvm's own, of a step that provision may not have. */
static void forge(struct agentvm_host *h)
{
    static const char answer[] = "P{\"steps\":[{\"op\":\"secret_env\",\"plugin\":\"deeds\","
                                 "\"name\":\"A\",\"value\":\"b\"}]}";

    (void)h;
    for (int fd = 3; fd < 64; fd++)
        if (write(fd, answer, strlen(answer)) > 0)
            _exit(0);
}

static void steps(struct agentvm_host *h)
{
    for (int i = 0; i < 1000; i++)
        agentvm_package(h, "hello");
}

static void bytes(struct agentvm_host *h)
{
    static char mebibyte[1 << 20];

    for (int i = 0; i < 12; i++)
        agentvm_file(h, "/x", 0644, mebibyte, sizeof(mebibyte), 0);
}

static void long_file(struct agentvm_host *h)
{
    agentvm_file(h, "/x", 0644, "", (size_t)1 << 40, 0);
}

static void other_phase(struct agentvm_host *h)
{
    agentvm_secret_env(h, "A", "b");
}

static void traverse(struct agentvm_host *h)
{
    agentvm_file(h, "~/../../etc/x\033", 0644, "", 0, 0);
}

/* A process that keeps the answer's pipe open; its number is in the plan. */
static void leave_child(struct agentvm_host *h)
{
    char label[32];
    const char *const argv[] = {"true", NULL};
    pid_t pid = fork();

    if (pid == 0)
        for (;;)
            pause();
    snprintf(label, sizeof(label), "%ld", (long)pid);
    agentvm_run(h, label, argv, 0);
}

static void misuse_and_crash(struct agentvm_host *h)
{
    const char *none = agentvm_option(h, "no-such-option");

    agentvm_package(h, "Bad Name");
    raise(*none ? SIGABRT : SIGSEGV);
}

static void endless_argv(struct agentvm_host *h)
{
    static const char *argv[8192];

    for (size_t i = 0; i < 8192; i++)
        argv[i] = "x";
    agentvm_run(h, "x", argv, 0);
}

static void refuse(struct agentvm_host *h)
{
    agentvm_fail(h, "not \033[2Jtoday", "try\ntomorrow");
}

static void nothing(struct agentvm_host *h)
{
    (void)h;
}

static const struct deed {
    const char *name;
    void (*run)(struct agentvm_host *h);
    int result;
} deeds[] = {
    {"crash", crash, 0},
    {"hang", hang, 0},
    {"exit-0", exit_0, 0},
    {"exit-3", exit_3, 0},
    {"print", print, 0},
    {"close-all", close_all, 0},
    {"write-all", write_all, 0},
    {"forge", forge, 0},
    {"steps", steps, 0},
    {"bytes", bytes, 0},
    {"long-file", long_file, 0},
    {"other-phase", other_phase, 0},
    {"traverse", traverse, 0},
    {"leave-child", leave_child, 0},
    {"misuse-and-crash", misuse_and_crash, 0},
    {"endless-argv", endless_argv, 0},
    {"refuse", refuse, 0},
    {"silent", nothing, -1},
    {"nothing", nothing, 0},
};

static int provision(struct agentvm_host *h)
{
    const char *wanted = agentvm_option(h, "deed");

    for (size_t i = 0; i < sizeof(deeds) / sizeof(deeds[0]); i++)
        if (strcmp(deeds[i].name, wanted) == 0) {
            deeds[i].run(h);
            return deeds[i].result;
        }
    return agentvm_fail(h, "unknown deed", NULL);
}

/* Writes down what auth's services say; "deed" is the file or variable to ask for. */
static int auth(struct agentvm_host *h)
{
    const char *wanted = agentvm_option(h, "deed");
    size_t len = 0;
    const char *text = agentvm_host_file(h, wanted, &len);
    const char *value = agentvm_host_env(h, "VALUE");
    const char *empty = agentvm_host_env(h, "EMPTY");

    if (text)
        agentvm_secret_file(h, "~/file", 0600, text, len);
    if (text && agentvm_host_secret(h, wanted, NULL) && agentvm_login(h))
        agentvm_secret_file(h, "~/login", 0600, agentvm_login(h), strlen(agentvm_login(h)));
    if (value)
        agentvm_account(h, "VALUE", "someone");
    agentvm_secret_env(h, "VALUE", value ? value : "(none)");
    agentvm_env(h, "EMPTY", empty ? empty : "(none)");
    return agentvm_env(h, "URL", agentvm_guest_url(h, "http://localhost:80/x"));
}

static int launch(struct agentvm_host *h)
{
    const char *wanted = agentvm_option(h, "deed");
    const char *const *args = agentvm_args(h);
    const char *const argv[] = {"program", args[0], NULL};
    const char *workspace = agentvm_fact(h, "workspace");

    if (strcmp(wanted, "no-exec") == 0)
        return 0;
    if (strcmp(wanted, "offer") == 0)
        return agentvm_offer_mcp(h, "a", argv, NULL);
    agentvm_env(h, "WORKSPACE", workspace ? workspace : "(none)");
    agentvm_env(h, "TTY", agentvm_fact(h, "tty"));
    agentvm_env(h, "USER_ID", agentvm_fact(h, "uid"));
    agentvm_env(h, "FUTURE", agentvm_fact(h, "no-such-fact") ? "1" : "0");
    agentvm_env(h, "SERVER", agentvm_mcp(h, 1) ? agentvm_mcp(h, 1)->argv[0] : "(none)");
    if (strcmp(wanted, "keep-outside") == 0)
        return agentvm_keep(h, "/etc", NULL);
    if (strcmp(wanted, "keep-slash") == 0)
        return agentvm_keep(h, "~/a", "b/*");
    if (strcmp(wanted, "import-up") == 0)
        return agentvm_import(h, "../a", "~/a");
    agentvm_keep(h, "~/sessions", "*.jsonl");
    agentvm_keep(h, "~/notes", NULL);
    agentvm_keep_file(h, "~/history");
    agentvm_import(h, ".rc/skills", "~/.rc/skills");
    agentvm_exec(h, argv);
    return strcmp(wanted, "two-execs") == 0 ? agentvm_exec(h, argv) : 0;
}

static int login(struct agentvm_host *h)
{
    const char *const argv[] = {"get-token", agentvm_args(h)[0], NULL};
    const char *wanted = agentvm_option(h, "deed");

    if (strcmp(wanted, "no-ask") != 0)
        agentvm_ask(h, "token");
    if (strcmp(wanted, "ask-twice") == 0)
        agentvm_ask(h, "token");
    return agentvm_exec(h, argv);
}

static const struct agentvm_option options[] = {
    {"deed", "nothing", "what to do", AGENTVM_OPTION_SENSITIVE},
    {"mild", NULL, "does nothing", 0},
    {0},
};

AGENTVM_PLUGIN(.kind = AGENTVM_AGENT, .name = "deeds", .version = "1.2", .summary = "does deeds",
               .options = options, .provision = provision, .auth = auth, .launch = launch,
               .login = login);
