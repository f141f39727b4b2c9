/* Needs a newer minor number of the interface. */
#include "agentvm/plugin.h"

static int launch(struct agentvm_host *h)
{
    const char *const argv[] = {"true", NULL};

    return agentvm_exec(h, argv);
}

__attribute__((visibility("default"))) extern const struct agentvm_plugin agentvm_plugin;
const struct agentvm_plugin agentvm_plugin = {
    .magic = AGENTVM_PLUGIN_MAGIC,
    .size = sizeof(struct agentvm_plugin),
    .abi_major = AGENTVM_ABI_MAJOR,
    .abi_minor = AGENTVM_ABI_MINOR + 1,
    .kind = AGENTVM_AGENT,
    .name = "newer-minor",
    .version = "1",
    .summary = "hostile",
    .launch = launch,
};
