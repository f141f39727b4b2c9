/* agentvm-fakehost: calls one hook of a plugin the way agentvm does and prints its plan.
 *
 * The plugin host is agentvm's own, so what it refuses here is what it refuses there; only what a
 * hook is told about user, session and host comes from the command line.
 */
#include <cjson/cJSON.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "fakehost/fakehost.h"
#include "model/show.h"

/* Exit codes, as agentvm-fakehost(1) has them. */
enum {
    CODE_REFUSED = 1, /* the hook refused: agentvm_fail */
    CODE_USAGE = 2,
    CODE_FAULT = 3, /* the plugin is wrong */
};

static int print(const char *text, struct err *e)
{
    if (file_write_stream(STDOUT_FILENO, text, strlen(text)) < 0)
        return err_errno(e, errno, "cannot write to stdout");
    return 0;
}

static int print_plan(const struct plan *p, bool secrets, struct err *e)
{
    auto_free char *json = secrets ? plan_to_private_json(p) : plan_to_json(p);
    cJSON *document = cJSON_Parse(json);
    auto_free char *text = cJSON_Print(document);

    cJSON_Delete(document);
    return print(text, e) < 0 || print("\n", e) < 0 ? -1 : 0;
}

/* What the hook prints goes nowhere under agentvm; here it helps to find a mistake. */
static void show_printed(const struct buf *printed)
{
    auto_free char *text = printed->len ? str_printable(printed->data, printed->len) : NULL;

    if (text) {
        log_raw(text);
        log_raw(str_ends(text, "\n") ? "" : "\n");
    }
}

static int call_once(const struct fakehost *f, const struct plugin *pl,
                     const struct plugin_context *ctx, struct err *e)
{
    auto_plan struct plan p = PLAN_INIT;
    auto_buf struct buf printed = BUF_INIT;
    struct plugin_trial trial = {
        .deadline_ms = PLUGIN_DEADLINE_MS, .fail_nth = f->fail_nth, .printed = &printed};
    int rc = plugin_try(pl, f->phase, ctx, &trial, &p, e);

    show_printed(&printed);
    if (rc < 0)
        return err_exit(e, trial.refused ? CODE_REFUSED : CODE_FAULT);
    if (f->fail_nth > 0)
        return print(trial.reached ? "returned after that call failed\n"
                                   : "returned without making that many calls\n",
                     e);
    if (f->phase == PLAN_PROVISION && plugin_try_again(pl, f->phase, ctx, &p, e) < 0)
        return err_exit(e, CODE_FAULT);
    return print_plan(&p, f->secrets, e);
}

static int call_each(const struct fakehost *f, const struct plugin *pl,
                     const struct plugin_context *ctx, struct err *e)
{
    auto_free char *line = NULL;
    unsigned calls;

    if (plugin_try_each(pl, f->phase, ctx, &calls, e) < 0)
        return err_exit(e, CODE_FAULT);
    line = mem_printf("service calls: %u; the hook returned whichever failed\n", calls);
    return print(line, e);
}

static int call(const struct fakehost *f, struct err *e)
{
    struct plugin_context ctx = fakehost_context(f);
    struct plugin pl = {0};
    struct profile profile;
    int rc;

    if (plugin_inspect(f->file, &pl, e) < 0)
        return err_exit(e, CODE_FAULT);
    profile_defaults(&profile);
    ctx.profile = &profile;
    rc = fakehost_set_options(f, &pl, &profile, e);
    if (rc < 0)
        err_exit(e, CODE_USAGE);
    else
        rc = f->fail_each ? call_each(f, &pl, &ctx, e) : call_once(f, &pl, &ctx, e);
    profile_free(&profile);
    plugin_free(&pl);
    return rc;
}

int main(int argc, char **argv)
{
    __attribute__((cleanup(fakehost_free))) struct fakehost f = {0};
    auto_err struct err e = ERR_INIT;
    int rc;

    log_set_name("agentvm-fakehost");
    rc = fakehost_parse(argv + (argc > 0), &f, &e);
    if (rc < 0)
        err_exit(&e, CODE_USAGE);
    else if (f.help)
        rc = print(fakehost_help, &e);
    else
        rc = call(&f, &e);
    if (rc == 0)
        return 0;
    log_error("%s", err_msg(&e));
    if (e.advice)
        log_error("%s", e.advice);
    return err_exit_code(&e);
}
