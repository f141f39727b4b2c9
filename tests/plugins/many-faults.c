/* Wrong in many members at once. */
#include "agentvm/plugin.h"

static const struct agentvm_option options[] = {
    {"Bad Name", NULL, "help", 0},
    {"no-help", NULL, NULL, 0},
    {"twice", NULL, "a", 0},
    {"twice", NULL, "two\nlines", 8},
    {0},
};

__attribute__((visibility("default"))) extern const struct agentvm_plugin agentvm_plugin;
const struct agentvm_plugin agentvm_plugin = {
    .magic = AGENTVM_PLUGIN_MAGIC,
    .size = sizeof(struct agentvm_plugin),
    .abi_major = AGENTVM_ABI_MAJOR,
    .abi_minor = AGENTVM_ABI_MINOR,
    .kind = 9,
    .reserved = 1,
    .name = "Many Faults",
    .summary = "",
    .options = options,
};
