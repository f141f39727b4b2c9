/* agentvm plugin interface, ABI 0.3
 *
 * A plugin is a shared object that teaches agentvm one agent (Claude Code, Codex, yours) or one
 * tool that agents use (an MCP server).  It includes this header only, links against nothing of
 * agentvm, exports one symbol and contains up to four hooks:
 *
 *     setup / first run                  every run
 *     -----------------                  ------------------------------------------
 *     provision(host)                    auth(host)  ->  launch(host)
 *        what the image needs               which           what to start;
 *        (packages, files, commands,        credentials     ends in one exec
 *        what is to be warm)                it needs
 *        | hashed: the template's key       | never stored, never hashed
 *        v                                  v
 *     built once, in a VM                fresh clone of the template
 *
 *     `agentvm login NAME`: login(host) says which credential to ask for, and which program, run
 *     in a VM on the user's terminal, helps to get one; auth(host) finds it as agentvm_login().
 *
 * A hook *says* what it wants through the services of struct agentvm_host; the core validates that
 * (see `agentvm plan`) and does it.  A hook starts no process, opens no socket and prints nothing.
 *
 * How a hook is run
 *   - In a process of its own, forked for this one call, with stdin, stdout and stderr on
 *     /dev/null and a deadline of 10 s.  A crash, an exit() or a hang becomes an error that names
 *     plugin, hook and cause.  Nothing that a hook leaves in memory survives the call.
 *   - Hooks may be called any number of times and in any order (`agentvm plan` calls three), so
 *     they must depend on what `host` tells them only.
 *   - provision must be deterministic: same options, same plan.  It sees no credentials.
 *   - Return 0 if all is well.  To refuse, `return agentvm_fail(host, "why")`.
 *   - Services remember the first misuse (a bad name, a service of another hook) and the call
 *     fails in the end, so their return values need not be checked.  One that fails returns -1 or
 *     NULL, except agentvm_args and, for an option with a default, agentvm_option: these never
 *     return NULL.
 *   - Strings passed in are copied.  Strings handed out stay valid until the hook returns.
 *
 * That protects agentvm from a plugin's faults, not from its malice: a plugin has your rights, as
 * any program you install.  agentvm loads plugins only from its own folder and yours, never from
 * a project.
 *
 * `agentvm plugin new NAME` writes a plugin to start from, `agentvm plugin check FILE` tells all
 * that is wrong with one, and agentvm-fakehost(1) calls its hooks without a VM.  The manual is
 * agentvm-plugin(3).
 * Compile with: cc -std=c11 -shared -fPIC -fvisibility=hidden -Wl,-z,defs -o NAME.so NAME.c
 *
 * Compatibility: members are only ever appended, and the sizes in the structs' heads tell which
 * ones exist.  agentvm refuses a plugin of another major number, or of a newer minor number than
 * its own.  While the major number is 0 a minor number may also change what exists, and then
 * agentvm refuses plugins of the minor numbers before it; from 1.0 on that may not happen.
 */
#ifndef AGENTVM_PLUGIN_H
#define AGENTVM_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#define AGENTVM_ABI_MAJOR 0
#define AGENTVM_ABI_MINOR 3

/* "agentvm\0" read as a little-endian number: tells a plugin from any other shared object. */
#define AGENTVM_PLUGIN_MAGIC UINT64_C(0x006d76746e656761)

enum agentvm_kind {
    AGENTVM_AGENT = 1, /* launch ends in exactly one agentvm_exec */
    AGENTVM_TOOL = 2,  /* launch may offer MCP servers; runs before the agent's hooks */
};

/* Flags of agentvm_run and agentvm_file. */
#define AGENTVM_AS_USER \
    0u /* the guest user that mirrors the host user; has sudo without password */
#define AGENTVM_AS_ROOT 1u

/* Flags of an option. */
#define AGENTVM_OPTION_SENSITIVE 1u /* a project's agent.ini may set it only with approval */

/* One setting, [plugin.NAME] key = value in agent.ini.  Values are text; the plugin reads them. */
struct agentvm_option {
    const char *name;          /* lower-case words joined by '-' */
    const char *default_value; /* what agentvm_option returns when nothing is set; may be NULL */
    const char *help;          /* one line */
    uint32_t flags;
};

/* An MCP server that a tool offers; every agent writes it down in its own configuration. */
struct agentvm_mcp {
    uint32_t size; /* of this struct, set by agentvm */
    const char *name;
    const char *const *argv; /* NULL-terminated */
    const char *const *env;  /* NULL-terminated NAME=value, may be empty */
};

/* What agentvm offers a hook.  Call it through the inline functions below, which also document it.
 */
struct agentvm_host {
    uint32_t size;      /* of this struct as the running agentvm has it */
    uint32_t abi_minor; /* of the running agentvm */
    int (*package)(struct agentvm_host *h, const char *name);
    int (*file)(struct agentvm_host *h, const char *path, unsigned mode, const void *data,
                size_t len, unsigned flags);
    int (*run)(struct agentvm_host *h, const char *label, const char *const *argv, unsigned flags);
    int (*env)(struct agentvm_host *h, const char *name, const char *value);
    int (*secret_env)(struct agentvm_host *h, const char *name, const char *value);
    int (*secret_file)(struct agentvm_host *h, const char *path, unsigned mode, const void *data,
                       size_t len);
    int (*offer_mcp)(struct agentvm_host *h, const char *name, const char *const *argv,
                     const char *const *env);
    int (*exec)(struct agentvm_host *h, const char *const *argv);
    const char *(*option)(struct agentvm_host *h, const char *name);
    const char *(*host_env)(struct agentvm_host *h, const char *name);
    const char *(*host_file)(struct agentvm_host *h, const char *path, size_t *len);
    const char *(*guest_url)(struct agentvm_host *h, const char *url);
    const char *(*fact)(struct agentvm_host *h, const char *name);
    const char *const *(*args)(struct agentvm_host *h);
    const struct agentvm_mcp *(*mcp)(struct agentvm_host *h, size_t index);
    int (*fail)(struct agentvm_host *h, const char *message, const char *advice);
    int (*warm)(struct agentvm_host *h, const char *const *argv); /* 0.2 */
    /* 0.3 */
    int (*keep)(struct agentvm_host *h, const char *path, const char *transcripts);
    int (*keep_file)(struct agentvm_host *h, const char *path);
    int (*import)(struct agentvm_host *h, const char *source, const char *path);
    int (*account)(struct agentvm_host *h, const char *name, const char *billing);
    int (*ask)(struct agentvm_host *h, const char *what);
    const char *(*login)(struct agentvm_host *h);
    const char *(*host_secret)(struct agentvm_host *h, const char *path, size_t *len);
};

/* Returns 0, or -1 after agentvm_fail. */
typedef int agentvm_hook(struct agentvm_host *host);

struct agentvm_plugin {
    uint64_t magic;
    uint32_t size; /* of this struct as the plugin was compiled */
    uint16_t abi_major;
    uint16_t abi_minor;
    uint32_t kind; /* enum agentvm_kind */
    uint32_t reserved;
    const char *name;    /* what --agent says; lower-case letters, digits and '-' */
    const char *version; /* of the plugin */
    const char *summary; /* one line for `agentvm plugin list` */
    const struct agentvm_option *options; /* ends with a zeroed entry; may be NULL */
    agentvm_hook *provision;              /* may be NULL */
    agentvm_hook *auth;                   /* may be NULL */
    agentvm_hook *launch;                 /* agents must have one */
    agentvm_hook *login;                  /* 0.3; agents, may be NULL */
};

/* Defines the plugin's one exported symbol:
 *
 *     AGENTVM_PLUGIN(.kind = AGENTVM_AGENT, .name = "hello", .version = "1", .summary = "...",
 *                    .launch = launch);
 */
#define AGENTVM_PLUGIN(...)                                                                   \
    __attribute__((visibility("default"))) extern const struct agentvm_plugin agentvm_plugin; \
    const struct agentvm_plugin agentvm_plugin = {.magic = AGENTVM_PLUGIN_MAGIC,              \
                                                  .size = sizeof(struct agentvm_plugin),      \
                                                  .abi_major = AGENTVM_ABI_MAJOR,             \
                                                  .abi_minor = AGENTVM_ABI_MINOR,             \
                                                  __VA_ARGS__}

/* ---- provision ------------------------------------------------------------------------------ */

/* A Debian package that the image must contain. */
static inline int agentvm_package(struct agentvm_host *h, const char *name)
{
    return h->package(h, name);
}

/* A command to run in the VM while the template is made, after all packages are in; the network is
 * there, the project is not.  label names it in progress lines and logs.  argv ends with NULL and
 * is no shell string.  A command that fails stops the setup and shows the end of its output. */
static inline int agentvm_run(struct agentvm_host *h, const char *label, const char *const *argv,
                              unsigned flags)
{
    return h->run(h, label, argv, flags);
}

/* A command to run once, as the guest user, in the booted VM before it is saved as the template
 * that every start resumes: what it read from the disk is then in memory already.  It should do
 * what the agent does first (such as printing its version), end by itself and leave nothing behind.
 * Since 0.2. */
static inline int agentvm_warm(struct agentvm_host *h, const char *const *argv)
{
    return h->warm(h, argv);
}

/* ---- provision and launch ------------------------------------------------------------------- */

/* A file to write, before any agentvm_run of the same hook.  path is absolute, or starts with "~/":
 * below the guest user's home.  Missing folders are made; an existing file is replaced. */
static inline int agentvm_file(struct agentvm_host *h, const char *path, unsigned mode,
                               const void *data, size_t len, unsigned flags)
{
    return h->file(h, path, mode, data, len, flags);
}

/* ---- auth ------------------------------------------------------------------------------------ */

/* A variable of the user's environment on the host, or NULL; an empty one counts as unset. */
static inline const char *agentvm_host_env(struct agentvm_host *h, const char *name)
{
    return h->host_env(h, name);
}

/* The content of a file below the user's home on the host ("relative/path", no ".."),
 * NUL-terminated, its length in *len (which may be NULL); NULL if there is none.  At most 1 MiB.
 * A symlink is followed as long as it stays below the home; one that leads out fails the call.
 * Since 0.3 in launch, too: a configuration that the session is to share, never a credential. */
static inline const char *agentvm_host_file(struct agentvm_host *h, const char *path, size_t *len)
{
    return h->host_file(h, path, len);
}

/* The same for a file that holds a credential: one that others can read fails the call.
 * Since 0.3. */
static inline const char *agentvm_host_secret(struct agentvm_host *h, const char *path, size_t *len)
{
    return h->host_secret(h, path, len);
}

/* What the user gave at `agentvm login`, NUL-terminated, or NULL if nothing is kept.  Since 0.3. */
static inline const char *agentvm_login(struct agentvm_host *h)
{
    return h->login(h);
}

/* Names a credential that the host has, and which sort of account it bills ("subscription",
 * "metered API").  Call it for each one, the one that the session gets first: where there are more,
 * the user is told which is used and which are not, by these names.  Since 0.3. */
static inline int agentvm_account(struct agentvm_host *h, const char *name, const char *billing)
{
    return h->account(h, name, billing);
}

/* A secret for the session's environment: never in argv, logs, templates or `agentvm plan`. */
static inline int agentvm_secret_env(struct agentvm_host *h, const char *name, const char *value)
{
    return h->secret_env(h, name, value);
}

/* A secret file in the guest for this session; path as in agentvm_file. */
static inline int agentvm_secret_file(struct agentvm_host *h, const char *path, unsigned mode,
                                      const void *data, size_t len)
{
    return h->secret_file(h, path, mode, data, len);
}

/* The URL as the guest must spell it: one that points at the host's loopback (localhost, 127.x.x.x,
 * [::1]) gets the name under which the guest reaches it; any other is returned as it is. */
static inline const char *agentvm_guest_url(struct agentvm_host *h, const char *url)
{
    return h->guest_url(h, url);
}

/* ---- auth and launch ------------------------------------------------------------------------- */

/* A variable for the session's environment. */
static inline int agentvm_env(struct agentvm_host *h, const char *name, const char *value)
{
    return h->env(h, name, value);
}

/* ---- launch ---------------------------------------------------------------------------------- */

/* The user's own arguments for the agent, NULL-terminated, possibly empty; pass them on. */
static inline const char *const *agentvm_args(struct agentvm_host *h)
{
    return h->args(h);
}

/* Agents: the index-th MCP server that the session's tools and the profile offer, or NULL past the
 * last. */
static inline const struct agentvm_mcp *agentvm_mcp(struct agentvm_host *h, size_t index)
{
    return h->mcp(h, index);
}

/* Tools: offer an MCP server to the agent. */
static inline int agentvm_offer_mcp(struct agentvm_host *h, const char *name,
                                    const char *const *argv, const char *const *env)
{
    return h->offer_mcp(h, name, argv, env);
}

/* Agents: a folder of the guest, path starting with "~/", that outlives the VM.  It lies on the
 * host, one for each project and agent; so does everything that the agent puts there, which must
 * not be a credential.  transcripts says which files in it are sessions, for `agentvm sessions`: a
 * pattern for their names, as fnmatch(3) has it ("*.jsonl"); NULL if none is.  Since 0.3. */
static inline int agentvm_keep(struct agentvm_host *h, const char *path, const char *transcripts)
{
    return h->keep(h, path, transcripts);
}

/* Agents: the same for one file.  The guest has a symlink in its place, so the agent must write
 * into the file rather than replace it; at first it is empty.  Since 0.3. */
static inline int agentvm_keep_file(struct agentvm_host *h, const char *path)
{
    return h->keep_file(h, path);
}

/* Copies a file or a folder with all that is in it into the guest at start: source is below the
 * user's home on the host ("relative/path"), path is where, starting with "~/".  Nothing happens if
 * there is no such source.  What the guest changes stays in the guest.  Since 0.3. */
static inline int agentvm_import(struct agentvm_host *h, const char *source, const char *path)
{
    return h->import(h, source, path);
}

/* Agents, exactly once: the program to start, in the project's folder, as the guest user.  In
 * login, at most once: the program by which the user gets what agentvm_ask asks for. */
static inline int agentvm_exec(struct agentvm_host *h, const char *const *argv)
{
    return h->exec(h, argv);
}

/* ---- login ----------------------------------------------------------------------------------- */

/* Agents, exactly once: the credential that the user is asked for, in a few words ("OAuth token").
 * It is kept in a file that only the user can read, until `agentvm logout`.  Since 0.3. */
static inline int agentvm_ask(struct agentvm_host *h, const char *what)
{
    return h->ask(h, what);
}

/* ---- any hook -------------------------------------------------------------------------------- */

/* The value of one of the plugin's own options. */
static inline const char *agentvm_option(struct agentvm_host *h, const char *name)
{
    return h->option(h, name);
}

/* A fact about guest or session, or NULL if this agentvm does not know it:
 *   arch       0.1  the guest's machine, as uname -m prints it: "x86_64", "aarch64"
 *   user       0.1  the guest user's name
 *   uid        0.1  its number, in decimal; "0" where the host user is root
 *   home       0.1  its home folder
 *   workspace  0.1  absolute path of the project folder, the same on host and guest; auth, launch
 *   tty        0.1  "1" if the session has a terminal, "0" if it has pipes; launch, login
 */
static inline const char *agentvm_fact(struct agentvm_host *h, const char *name)
{
    return h->fact(h, name);
}

/* Refuses: message is one line that says what is wrong, advice (may be NULL) what to do.
 * Returns -1, for `return agentvm_fail(...)`. */
static inline int agentvm_fail(struct agentvm_host *h, const char *message, const char *advice)
{
    return h->fail(h, message, advice);
}

#endif
