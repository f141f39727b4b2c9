#include "plugin/elf.h"

#include <elf.h>
#include <string.h>

#include "base/mem.h"

enum { EXPORTS_MAX = 100 };

struct image {
    const unsigned char *data;
    size_t len;
};

/* Copies bytes out of the image; false if they do not lie in it. */
static bool copy_at(const struct image *im, uint64_t offset, void *out, size_t size)
{
    if (offset > im->len || size > im->len - offset)
        return false;
    memcpy(out, im->data + offset, size);
    return true;
}

static bool read_section(const struct image *im, const Elf64_Ehdr *head, unsigned index,
                         Elf64_Shdr *out)
{
    if (index >= head->e_shnum || head->e_shentsize != sizeof(*out))
        return false;
    return head->e_shoff <= im->len &&
           copy_at(im, head->e_shoff + (uint64_t)index * sizeof(*out), out, sizeof(*out));
}

static bool is_exported(const Elf64_Sym *s)
{
    unsigned bind = ELF64_ST_BIND(s->st_info), visibility = ELF64_ST_VISIBILITY(s->st_other);

    return s->st_shndx != SHN_UNDEF && (bind == STB_GLOBAL || bind == STB_WEAK) &&
           (visibility == STV_DEFAULT || visibility == STV_PROTECTED);
}

/* The name in a string table, or NULL if it does not end within it. */
static const char *find_name(const struct image *im, const Elf64_Shdr *strings, uint32_t offset)
{
    uint64_t left;

    if (strings->sh_offset > im->len || strings->sh_size > im->len - strings->sh_offset ||
        offset >= strings->sh_size)
        return NULL;
    left = strings->sh_size - offset;
    return memchr(im->data + strings->sh_offset + offset, 0, left)
               ? (const char *)im->data + strings->sh_offset + offset
               : NULL;
}

static void add_export(const char *name, struct strv *out)
{
    static const char *const linkers[] = {"_init", "_fini", "__bss_start", "_edata", "_end"};

    for (size_t i = 0; i < ARRAY_LEN(linkers); i++)
        if (strcmp(name, linkers[i]) == 0)
            return;
    if (out->n < EXPORTS_MAX && !str_starts(name, "__odr_asan.")) /* a sanitizer's */
        strv_push(out, name);
}

static void list_symbols(const struct image *im, const Elf64_Shdr *symbols,
                         const Elf64_Shdr *strings, struct strv *out)
{
    Elf64_Sym s;

    for (uint64_t at = 0; at < symbols->sh_size; at += sizeof(s)) {
        const char *name;

        if (symbols->sh_offset > im->len || !copy_at(im, symbols->sh_offset + at, &s, sizeof(s)))
            return;
        name = is_exported(&s) ? find_name(im, strings, s.st_name) : NULL;
        if (name)
            add_export(name, out);
    }
}

void elf_exports(const void *data, size_t len, struct strv *out)
{
    struct image im = {data, len};
    Elf64_Ehdr head;
    Elf64_Shdr section, strings;

    if (!copy_at(&im, 0, &head, sizeof(head)) || memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 ||
        head.e_ident[EI_CLASS] != ELFCLASS64)
        return;
    for (unsigned i = 0; read_section(&im, &head, i, &section); i++)
        if (section.sh_type == SHT_DYNSYM && read_section(&im, &head, section.sh_link, &strings))
            list_symbols(&im, &section, &strings, out);
}
