#include <string.h>

#include "base/mem.h"
#include "model/profile.h"
#include "model/profile_keys.h"
#include "model/show.h"

void *profile_member(const struct profile *p, const struct profile_key *k)
{
    return (char *)(uintptr_t)p + k->offset;
}

char *profile_size_text(uint64_t size)
{
    static const char *const units[] = {"", "K", "M", "G", "T"};
    size_t i = 0;

    for (; size && size % 1024 == 0 && i + 1 < ARRAY_LEN(units); i++)
        size /= 1024;
    return mem_printf("%llu%s", (unsigned long long)size, units[i]);
}

const char *profile_origin_name(enum profile_origin origin)
{
    static const char *const names[] = {"built-in", "plugin", "user", "project", "command line"};

    return names[origin];
}

static void describe_key(const struct profile *p, const struct profile_key *k, struct buf *out)
{
    const void *at = profile_member(p, k);
    const struct strv *list = at;
    auto_free char *size = NULL;

    switch (k->type) {
    case PROFILE_TEXT:
        buf_puts(out, *(char *const *)at);
        break;
    case PROFILE_NUMBER:
        buf_printf(out, "%u", *(const unsigned *)at);
        break;
    case PROFILE_SIZE:
        size = profile_size_text(*(const uint64_t *)at);
        buf_puts(out, size);
        break;
    case PROFILE_LIST:
        for (size_t i = 0; i < list->n; i++)
            buf_printf(out, "%s%s", i ? " " : "", list->v[i]);
        break;
    }
}

static void describe_origin(const struct profile *p, const char *section, const char *key,
                            struct buf *out)
{
    auto_free char *name = mem_printf("%s.%s", section, key);
    const char *origin = strv_getenv(&p->origins, name);

    buf_printf(out, "  (%s)\n", origin ? origin : profile_origin_name(PROFILE_BUILTIN));
}

static void describe_free(const struct profile *p, const char *section, const char *key,
                          const char *value, struct buf *out)
{
    auto_free char *shown = show_text(value, 0);

    buf_printf(out, "%s.%s = %s", section, key, shown);
    describe_origin(p, section, key, out);
}

char *profile_describe(const struct profile *p)
{
    struct buf out = BUF_INIT;
    size_t n;
    const struct profile_key *keys = profile_keys(&n);

    for (size_t i = 0; i < n; i++) {
        buf_printf(&out, "%s.%s = ", keys[i].section, keys[i].name);
        describe_key(p, &keys[i], &out);
        describe_origin(p, keys[i].section, keys[i].name, &out);
    }
    for (size_t i = 0; i < p->env.n; i++) {
        auto_free char *name = mem_dup(p->env.v[i], strcspn(p->env.v[i], "="));

        describe_free(p, "env", name, p->env.v[i] + strlen(name) + 1, &out);
    }
    for (size_t i = 0; i < p->nsettings; i++) {
        const struct plugin_setting *s = &p->settings[i];
        auto_free char *section = mem_printf(PROFILE_PLUGIN_SECTION "%s", s->plugin);

        describe_free(p, section, s->key, s->value, &out);
    }
    return buf_steal(&out);
}
