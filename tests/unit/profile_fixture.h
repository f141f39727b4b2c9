/* A profile that texts are applied to, and what they are refused for. */
#ifndef AGENTVM_TESTS_PROFILE_FIXTURE_H
#define AGENTVM_TESTS_PROFILE_FIXTURE_H

#include "helpers.h"

#include <string.h>

#include "model/profile.h"

/* As errors list the sections of a profile. */
#define PROFILE_SECTIONS                                                                       \
    "[agent], [vm], [image], [ports], [project], [mask], [guest-local], [mounts], [network], " \
    "[git], [ssh], [env], [mcp.NAME], "                                                        \
    "[plugin.NAME] and "                                                                       \
    "[profile.NAME]"

static struct profile profile;

static inline int profile_set_up(void **state)
{
    (void)state;
    profile_defaults(&profile);
    return 0;
}

static inline int profile_tear_down(void **state)
{
    (void)state;
    profile_free(&profile);
    return 0;
}

static inline void apply_as(enum profile_origin origin, const char *text)
{
    auto_err struct err e = ERR_INIT;

    ASSERT_OK(e, profile_apply(&profile, origin, "agent.ini", text, strlen(text), &e));
}

static inline void apply(const char *text)
{
    apply_as(PROFILE_USER, text);
}

/* By a profile that has nothing else.  The whole message: errors are part of the face. */
static inline void assert_refused_bytes(enum profile_origin origin, const char *text, size_t len,
                                        const char *message)
{
    auto_err struct err e = ERR_INIT;
    struct profile p;
    int rc;

    profile_defaults(&p);
    rc = profile_apply(&p, origin, "agent.ini", text, len, &e);
    profile_free(&p);
    assert_int_equal(rc, -1);
    assert_string_equal(err_msg(&e), message);
}

static inline void assert_refused_as(enum profile_origin origin, const char *text,
                                     const char *message)
{
    assert_refused_bytes(origin, text, strlen(text), message);
}

static inline void assert_refused(const char *text, const char *message)
{
    assert_refused_as(PROFILE_USER, text, message);
}

#endif
