/* The QEMU driver. */
#ifndef AGENTVM_VM_QEMU_H
#define AGENTVM_VM_QEMU_H

#include "vm/vm.h"

extern const struct vm_driver qemu_driver;

#endif
