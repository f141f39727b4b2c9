/* What the two parts of a detached agent share:
 *
 *   agent.c   its stream, its beginning and its end
 *   attach.c  its screen, and who is attached to it
 */
#ifndef AGENTVM_SUPERVISOR_AGENT_H
#define AGENTVM_SUPERVISOR_AGENT_H

#include "guest/emulator.h"
#include "proc/spawn.h"
#include "state/agent_log.h"
#include "supervisor/internal.h"
#include "supervisor/viewer.h"

struct agent {
    struct supervisor *sup;
    uint32_t stream;      /* the guest's */
    struct client *maker; /* until the agent is ours */
    uint32_t maker_stream;
    bool running, ended;
    struct exit_status status;
    char *record, *failure;
    int64_t since_us;
    struct agent_log log;
    struct terminal_filter filter;
    struct emulator *emulator; /* NULL: it has no terminal */
    uint32_t owed[LANES];      /* credit for what the emulator has not taken yet */
    struct buf answers;        /* the emulator's, which the agent has not taken yet */
    struct buf input;          /* likewise, of who is attached */
    struct viewer viewer;
    uint8_t end; /* FRAME_EXIT or FRAME_ERROR that waits for the viewer's painting; else 0 */
    struct buf end_payload;
};

void agent_tell_error(struct client *c, uint32_t stream, const char *text);

/* agent.c */
/* Sends what lies here for the agent, as far as it takes it. */
void agent_send_input(struct agent *a);
/* A line for the user in the agent's log. */
void agent_log_line(struct agent *a, const char *text);

/* attach.c */
void agent_start_emulator(struct agent *a, uint16_t rows, uint16_t columns);
/* What the agent wrote; it gets credit for it as the emulator, if there is one, takes it. */
void agent_show(struct agent *a, const struct frame *f);
void agent_attach(struct supervisor *s, struct client *c, const struct frame *f);
void agent_take_viewer_frame(struct agent *a, const struct frame *f);
/* Nobody is attached any more. */
void agent_leave(struct agent *a);
/* The same; who was attached is told first how the agent ended, if it did. */
void agent_end_viewer(struct agent *a);

#endif
