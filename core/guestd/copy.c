/* The guest's end of `agentvm cp`: the host runs this program as the guest user, whose rights it
 * has. */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "channel/copy.h"
#include "guestd/server.h"

int copy_out(char *const *sources)
{
    auto_err struct err e = ERR_INIT;

    signal(SIGPIPE, SIG_IGN);
    return copy_send(STDOUT_FILENO, sources, NULL, NULL, NULL, &e) == 0 ? EXIT_SUCCESS
                                                                        : EXIT_FAILURE;
}

/* Whoever waits for input finds that there is none, and cleans up. */
static void end_input(int signo)
{
    (void)signo;
    close(STDIN_FILENO);
}

/* The host gave up, or somebody there pressed Ctrl-C. */
static void end_on_signals(void)
{
    static const int signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    struct sigaction action = {.sa_handler = end_input}; /* without SA_RESTART: read returns */

    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        sigaction(signals[i], &action, NULL);
}

int copy_in(char *const *words)
{
    struct copy_target t = {.path = words[0], .names = words + 1, .stream = -1, .who = "the host"};
    auto_err struct err e = ERR_INIT;

    signal(SIGPIPE, SIG_IGN);
    end_on_signals();
    copy_receive(STDIN_FILENO, &t, &e);
    return copy_answer(STDOUT_FILENO, &e, NULL) == 0 && !e.msg ? EXIT_SUCCESS : EXIT_FAILURE;
}
