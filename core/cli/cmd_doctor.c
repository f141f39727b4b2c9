#include <string.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "session/doctor.h"

/* The exit code where there is a problem; those from 125 on are agentvm's own failures. */
enum { EXIT_PROBLEM = 1 };

static const char *const levels[] = {
    [FINDING_OK] = "ok", [FINDING_WARNING] = "warning", [FINDING_PROBLEM] = "problem"};

static cJSON *as_json(const struct findings *f)
{
    cJSON *root = cJSON_CreateObject();
    cJSON *list;

    cJSON_AddStringToObject(root, "version", AGENTVM_VERSION);
    cJSON_AddNumberToObject(root, "problems", (double)findings_count(f, FINDING_PROBLEM));
    cJSON_AddNumberToObject(root, "warnings", (double)findings_count(f, FINDING_WARNING));
    list = cJSON_AddArrayToObject(root, "findings");
    for (size_t i = 0; i < f->n; i++) {
        cJSON *o = cJSON_CreateObject();

        cJSON_AddStringToObject(o, "check", f->v[i].check);
        cJSON_AddStringToObject(o, "level", levels[f->v[i].level]);
        cJSON_AddStringToObject(o, "text", f->v[i].text);
        if (f->v[i].fix)
            cJSON_AddStringToObject(o, "fix", f->v[i].fix);
        cJSON_AddItemToArray(list, o);
    }
    return root;
}

static char *as_text(const struct findings *f)
{
    size_t problems = findings_count(f, FINDING_PROBLEM);
    size_t warnings = findings_count(f, FINDING_WARNING);
    struct buf out = BUF_INIT;

    for (size_t i = 0; i < f->n; i++) {
        const struct finding *it = &f->v[i];

        buf_printf(&out, "%-7s  %-12s  %s\n", levels[it->level], it->check, it->text);
        if (it->fix)
            buf_printf(&out, "%-7s  %-12s  run: %s\n", "", "", it->fix);
    }
    buf_printf(&out, "%zu problem%s, %zu warning%s\n", problems, problems == 1 ? "" : "s", warnings,
               warnings == 1 ? "" : "s");
    return buf_steal(&out);
}

int cmd_doctor(struct cli *cli, struct err *e)
{
    auto_findings struct findings found = {0};
    auto_free char *text = NULL;
    int rc;

    doctor_examine(&cli->session, &found);
    text = as_text(&found);
    rc = cli->json ? cli_print_json(as_json(&found), e) : cli_print(text, e);
    return rc < 0 ? -1 : findings_count(&found, FINDING_PROBLEM) ? EXIT_PROBLEM : 0;
}
