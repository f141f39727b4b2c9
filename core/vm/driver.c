#include <string.h>

#include "base/mem.h"
#include "vm/qemu.h"
#include "vm/vm.h"

static const struct vm_driver *const drivers[] = {
    &qemu_driver,
};

const struct vm_driver *vm_driver_find(const char *name, struct err *e)
{
    auto_buf struct buf names = BUF_INIT;

    for (size_t i = 0; i < ARRAY_LEN(drivers); i++) {
        if (strcmp(drivers[i]->name, name) == 0)
            return drivers[i];
        buf_printf(&names, "%s%s", i > 0 ? ", " : "", drivers[i]->name);
    }
    err_set(e, "there is no backend \"%s\"", name);
    err_advise(e, "the backends are: %s", names.data);
    return NULL;
}
