/* Texts that would play with the terminal, or fill it. */
#include "agentvm/plugin.h"

#define TEN "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

AGENTVM_PLUGIN(.kind = AGENTVM_TOOL, .name = "hostile-texts", .version = "1\033[2J",
               .summary = HUNDRED HUNDRED "x");
