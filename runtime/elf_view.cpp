// Reading an ELF object with every offset checked.
#include "elf_view.h"
#include <cstdarg>
#include <cstdio>
#include <cstring>

namespace pith {

void fail(const char *format, ...) {
  char text[512];
  va_list list;
  va_start(list, format);
  std::vsnprintf(text, sizeof text, format, list);
  va_end(list);
  throw LoadError(text);
}

ElfView::ElfView(const char *bytes, std::size_t size) : bytes_(bytes), size_(size) {
  readHeader();
  for (const Elf64_Shdr &section : sections)
    if (section.sh_type == SHT_SYMTAB && symbols.empty())
      readSymbols(section);
}

void ElfView::readHeader() {
  Elf64_Ehdr header;
  if (size_ < sizeof header)
    fail("%zu bytes are too few for an ELF header", size_);
  std::memcpy(&header, bytes_, sizeof header);
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
    fail("not an ELF object");
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB)
    fail("not a 64-bit little-endian ELF object");
  if (header.e_machine != EM_X86_64)
    fail("the object is for ELF machine %u, this loader is for x86-64 (%u)", header.e_machine, EM_X86_64);
  if (header.e_type != ET_REL)
    fail("ELF type %u is not a relocatable object", header.e_type);
  if (header.e_shentsize != sizeof(Elf64_Shdr) || header.e_shnum == 0)
    fail("the object has no section headers");
  readSections(header.e_shoff, header.e_shnum);
}

void ElfView::readSections(std::uint64_t offset, std::size_t count) {
  if (!contains(offset, count * sizeof(Elf64_Shdr)))
    fail("section headers lie outside of the object (truncated?)");
  sections.resize(count);
  std::memcpy(sections.data(), bytes_ + offset, count * sizeof(Elf64_Shdr));
  for (std::size_t i = 1; i < count; ++i)
    checkSection(sections[i]);
}

void ElfView::checkSection(const Elf64_Shdr &section) const {
  bool inFile = section.sh_type != SHT_NOBITS && section.sh_type != SHT_NULL;
  if (inFile && !contains(section.sh_offset, section.sh_size))
    fail("a section lies outside of the object (truncated?)");
  if (!(section.sh_flags & SHF_ALLOC))
    return;
  if ((section.sh_flags & SHF_WRITE) && (section.sh_flags & SHF_EXECINSTR))
    fail("a section is both writable and executable");
  if (section.sh_flags & SHF_TLS)
    fail("thread-local storage is not supported");
  if (section.sh_type == SHT_INIT_ARRAY || section.sh_type == SHT_FINI_ARRAY || section.sh_type == SHT_PREINIT_ARRAY)
    fail("constructors and destructors of a module are not supported");
}

bool ElfView::isLoaded(std::size_t index) const {
  const Elf64_Shdr &section = sections[index];
  return (section.sh_flags & SHF_ALLOC) && (section.sh_type == SHT_PROGBITS || section.sh_type == SHT_NOBITS);
}

void ElfView::readSymbols(const Elf64_Shdr &table) {
  if (table.sh_entsize != sizeof(Elf64_Sym) || table.sh_link >= sections.size())
    fail("the symbol table is malformed");
  const Elf64_Shdr &names = sections[table.sh_link];
  if (names.sh_type != SHT_STRTAB || names.sh_size == 0 || contents(names)[names.sh_size - 1] != '\0')
    fail("the symbol names are malformed");
  names_ = contents(names);
  symbols.resize(table.sh_size / sizeof(Elf64_Sym));
  if (!symbols.empty())
    std::memcpy(symbols.data(), contents(table), symbols.size() * sizeof(Elf64_Sym));
  for (const Elf64_Sym &symbol : symbols)
    checkSymbol(symbol, names.sh_size);
}

void ElfView::checkSymbol(const Elf64_Sym &symbol, std::uint64_t namesSize) const {
  if (symbol.st_name >= namesSize)
    fail("the name of a symbol lies outside of the name table");
  bool special = symbol.st_shndx == SHN_ABS || isCommon(symbol);
  if (!special && symbol.st_shndx >= sections.size())
    fail("symbol '%s' is in section %u, which does not exist", nameOf(symbol), symbol.st_shndx);
}

} // namespace pith
