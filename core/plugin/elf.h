/* What a shared object exports, read from its file without loading it. */
#ifndef AGENTVM_PLUGIN_ELF_H
#define AGENTVM_PLUGIN_ELF_H

#include <stddef.h>

#include "base/str.h"

/* Appends the names of the dynamic symbols that a 64-bit ELF image defines for others, without
 * those that linkers and sanitizers add.  A file that is cut or of another kind gives none: the
 * dynamic linker tells what is wrong with it. */
void elf_exports(const void *data, size_t len, struct strv *out);

#endif
