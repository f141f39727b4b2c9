/* The file of a plugin that is not loaded: names lie within it, whatever its tables say. */
#include <string.h>

#include "fuzz.h"
#include "plugin/elf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_strv struct strv names = STRV_INIT;
    size_t total = 0;

    elf_exports(data, size, &names);
    for (size_t i = 0; i < names.n; i++)
        total = strlen(names.v[i]) > total ? strlen(names.v[i]) : total;
    FUZZ_HOLDS(total < size || names.n == 0);
    return 0;
}
