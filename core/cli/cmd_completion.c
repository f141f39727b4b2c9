#include <string.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/complete.h"

/* The scripts, compiled in: what is printed is what this program's answers are made for. */
#define SCRIPT(shell)                                     \
    __asm__(".section .rodata\n"                          \
            "completion_" shell ":\n"                     \
            ".incbin \"core/cli/completion." shell "\"\n" \
            ".byte 0\n"                                   \
            ".previous\n")
SCRIPT("bash");
SCRIPT("zsh");
SCRIPT("fish");
extern const char completion_bash[], completion_zsh[], completion_fish[];

static const struct {
    const char *shell, *script;
} scripts[] = {
    {"bash", completion_bash},
    {"zsh", completion_zsh},
    {"fish", completion_fish},
};

/* words [--] WORD... CURRENT: what a script asks at each press of the key. */
static int print_candidates(char *const *words, struct err *e)
{
    auto_buf struct buf out = BUF_INIT;

    if (words[0] && strcmp(words[0], "--") == 0)
        words++;
    complete_words(words, &out);
    return out.len > 0 ? cli_print(out.data, e) : 0;
}

int cmd_completion(struct cli *cli, struct err *e)
{
    const char *word = cli->words[0] ? cli->words[0] : "";

    if (strcmp(word, "words") == 0)
        return print_candidates(cli->words + 1, e);
    for (size_t i = 0; i < ARRAY_LEN(scripts); i++)
        if (strcmp(scripts[i].shell, word) == 0 && !cli->words[1])
            return cli_print(scripts[i].script, e);
    err_set(e, "completion needs the name of a shell: bash, zsh or fish");
    return err_advise(e, "in bash: source <(agentvm completion bash)");
}
