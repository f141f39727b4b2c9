/* Yesterday's tool: its struct ends before the member launch, and what lies there is no hook. */
#include "agentvm/plugin.h"

static int provision(struct agentvm_host *h)
{
    return agentvm_package(h, "hello");
}

__attribute__((visibility("default"))) extern const struct agentvm_plugin agentvm_plugin;
const struct agentvm_plugin agentvm_plugin = {
    .magic = AGENTVM_PLUGIN_MAGIC,
    .size = offsetof(struct agentvm_plugin, launch),
    .abi_major = AGENTVM_ABI_MAJOR,
    .abi_minor = 0,
    .kind = AGENTVM_TOOL,
    .name = "older-size",
    .version = "1",
    .summary = "a plugin of an older interface",
    .provision = provision,
    .launch = (agentvm_hook *)1,
};
