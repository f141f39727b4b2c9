/* All that is wrong with a plugin.
 *
 * First what can be told without running it: where the file lies, what it exports.  A file that
 * others could have written is not loaded.  Then its table; if that is sound, each hook is called
 * in several situations, and again for each service that it calls, with that call failing.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "model/show.h"
#include "plugin/call.h"
#include "plugin/elf.h"
#include "plugin/host.h"
#include "plugin/load.h"

enum {
    FILE_MAX = 256 << 20, /* bytes of a shared object whose symbols are looked at */
    SHOWN_MAX = 80,
    MANY = 300, /* arguments, more than a fixed array is likely to hold */
};

/* Situations in which launch is tried. */
struct situation {
    const char *name; /* for messages; "" is the plain one */
    bool tty;
    char *const *args;
    const struct plan *offers;
};

static void add_fault(struct plugin_report *r, const struct err *why, const char *when)
{
    strv_pushf(&r->faults, "%s%s%s%s", err_msg(why), when, why->advice ? "; " : "",
               why->advice ? why->advice : "");
}

/* ---- without running it --------------------------------------------------------------------- */

static void check_exports(const char *path, struct plugin_report *r)
{
    auto_strv struct strv names = STRV_INIT;
    auto_buf struct buf bytes = BUF_INIT;
    auto_close int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0 || file_read_fd(fd, FILE_MAX, &bytes, NULL) < 0)
        return;
    elf_exports(bytes.data, bytes.len, &names);
    for (size_t i = 0; i < names.n; i++) {
        auto_free char *shown = show_text(names.v[i], SHOWN_MAX);

        if (strcmp(names.v[i], "agentvm_plugin") != 0)
            strv_pushf(
                &r->faults,
                "exports the symbol %s besides agentvm_plugin; make it static, or build with "
                "-fvisibility=hidden",
                shown);
    }
}

static void check_file_name(const char *path, struct plugin_report *r)
{
    const char *slash = strrchr(path, '/');
    auto_free char *wanted = mem_printf("%s.so", r->plugin.name);
    auto_free char *shown = show_text(slash ? slash + 1 : path, SHOWN_MAX);

    if (strcmp(slash ? slash + 1 : path, wanted) != 0)
        strv_pushf(&r->faults, "is called %s, but --agent and agent.ini will look for %s", shown,
                   wanted);
}

/* NAME.ini beside it: its owner, and whether it is a profile that this plugin understands. */
static void check_ini(struct plugin_report *r)
{
    auto_buf struct buf text = BUF_INIT;
    auto_err struct err e = ERR_INIT;
    auto_free char *name = mem_printf("%s.ini", r->plugin.name);
    struct profile profile;
    auto_strv struct strv widens = STRV_INIT;
    int rc = plugin_ini(&r->plugin, &text, &e);

    if (rc > 0)
        return;
    profile_defaults(&profile);
    if (rc == 0)
        rc = profile_apply(&profile, PROFILE_PLUGIN, name, text.data, text.len, &e);
    if (rc == 0)
        rc = plugin_check_settings(&r->plugin, &profile, &widens, &e);
    if (rc < 0)
        add_fault(r, &e, "");
    profile_free(&profile);
}

/* ---- its hooks ------------------------------------------------------------------------------ */

static struct plugin_context make_context(const struct situation *s)
{
    static char *const nothing[] = {NULL};

    return (struct plugin_context){
        .user = "user",
        .uid = 1000,
        .home = "/home/user",
        .workspace = "/home/user/project",
        .guest_host = "host.agentvm.internal",
        .tty = s->tty,
        .args = s->args,
        .host_env = nothing,
        .offers = s->offers,
    };
}

/* What the hook printed: into nowhere, when agentvm calls it. */
static void judge_printed(struct plugin_report *r, enum plan_phase phase, const struct buf *printed)
{
    auto_free char *shown = NULL;

    if (printed->len == 0)
        return;
    shown = show_text(printed->data, SHOWN_MAX);
    strv_pushf(&r->faults, "hook %s prints \"%s\", which nobody would see; use agentvm_fail",
               plan_phase_name(phase), shown);
}

/* Calls the hook once.  Returns 0 with its plan; 1 if it refused; -1 after adding a fault. */
static int try_once(struct plugin_report *r, enum plan_phase phase, const struct situation *s,
                    struct plan *out)
{
    bool plain = !*s->name;
    auto_buf struct buf printed = BUF_INIT;
    auto_err struct err e = ERR_INIT;
    struct plugin_context ctx = make_context(s);
    struct plugin_trial trial = {.deadline_ms = CALL_DEADLINE_MS, .printed = &printed};
    int rc = plugin_try(&r->plugin, phase, &ctx, &trial, out, &e);

    if (plain)
        judge_printed(r, phase, &printed);
    if (rc == 0)
        return 0;
    if (!trial.refused)
        add_fault(r, &e, s->name);
    else if (plain)
        strv_pushf(&r->notes, "%s (with nothing set; agentvm-fakehost tries it with more)",
                   err_msg(&e));
    return trial.refused ? 1 : -1;
}

/* Calls the hook in the situation, and with each of its service calls failing.  What is wrong with
 * it already as it is would only be repeated. */
static int try_all(struct plugin_report *r, enum plan_phase phase, const struct situation *s,
                   struct plan *out)
{
    struct plugin_context ctx = make_context(s);
    auto_err struct err e = ERR_INIT;
    unsigned calls;
    int rc = try_once(r, phase, s, out);

    if (rc >= 0 && plugin_try_each(&r->plugin, phase, &ctx, &calls, &e) < 0) {
        add_fault(r, &e, s->name);
        return -1;
    }
    return rc;
}

static void check_provision(struct plugin_report *r, const struct situation *s)
{
    struct plugin_context ctx = make_context(s);
    auto_plan struct plan p = PLAN_INIT;
    auto_err struct err e = ERR_INIT;

    if (try_all(r, PLAN_PROVISION, s, &p) == 0 &&
        plugin_try_again(&r->plugin, PLAN_PROVISION, &ctx, &p, &e) < 0)
        add_fault(r, &e, "");
}

static void add_offer(struct plan *offers, const char *name, const char *arg, const char *env)
{
    struct plan_step *s = plan_add(offers, PLAN_OFFER_MCP, "tool");

    s->name = mem_strdup(name);
    strv_push(&s->argv, name);
    if (arg)
        strv_push(&s->argv, arg);
    if (env)
        strv_push(&s->env, env);
}

static void check_launch(struct plugin_report *r)
{
    static char word[] = "-p", text[] = "say \"hi\"\n", *two[] = {word, text, NULL};
    char *many[MANY + 1] = {NULL};
    auto_plan struct plan offers = PLAN_INIT;
    const struct situation all[] = {
        {"", false, NULL, NULL},
        {" (with arguments, a terminal and MCP servers on offer)", true, two, &offers},
        {" (with 300 arguments)", false, many, NULL},
    };

    add_offer(&offers, "server", "\"quoted\"\n", "KEY=a=b");
    add_offer(&offers, "bare", NULL, NULL);
    for (int i = 0; i < MANY; i++)
        many[i] = word;
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        auto_plan struct plan p = PLAN_INIT;

        if (try_all(r, PLAN_LAUNCH, &all[i], &p) < 0)
            return;
    }
}

static void check_hooks(struct plugin_report *r)
{
    static const struct situation plain = {"", false, NULL, NULL};
    auto_plan struct plan auth = PLAN_INIT, login = PLAN_INIT;

    check_provision(r, &plain);
    try_all(r, PLAN_AUTH, &plain, &auth);
    check_launch(r);
    try_all(r, PLAN_LOGIN, &plain, &login);
}

/* ---- all of it ------------------------------------------------------------------------------ */

static void check_table(const char *path, struct plugin_report *r)
{
    auto_err struct err e = ERR_INIT;
    auto_strv struct strv faults = STRV_INIT;

    if (call_faults(path, &faults, &e) < 0 ||
        (faults.n == 0 && plugin_inspect(path, &r->plugin, &e) < 0))
        add_fault(r, &e, "");
    strv_push_all(&r->faults, faults.v);
}

void plugin_check(const char *path, struct plugin_report *out)
{
    size_t misplaced;

    *out = (struct plugin_report){0};
    load_list_faults(path, &out->faults);
    misplaced = out->faults.n;
    check_exports(path, out);
    if (misplaced > 0)
        strv_pushf(&out->notes,
                   "it was not loaded, so there may be more: agentvm runs no code that "
                   "others could have written");
    else
        check_table(path, out);
    if (!out->plugin.name)
        return;
    check_file_name(path, out);
    check_ini(out);
    check_hooks(out);
}

void plugin_report_free(struct plugin_report *r)
{
    strv_free(&r->faults);
    strv_free(&r->notes);
    plugin_free(&r->plugin);
}
