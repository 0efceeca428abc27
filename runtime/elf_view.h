// A checked view of an ELF64 x86-64 relocatable object in memory.
#pragma once
#include <cstddef>
#include <cstdint>
#include <elf.h>
#include <stdexcept>
#include <vector>

namespace pith {

/// The object cannot be loaded; what() says why.
class LoadError : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

[[noreturn]] void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/// Section headers and symbols, copied out of the object; all offsets in them are inside of it.
class ElfView {
public:
  ElfView(const char *bytes, std::size_t size);

  std::vector<Elf64_Shdr> sections;
  std::vector<Elf64_Sym> symbols;

  /// True for sections that take part in execution.
  bool isLoaded(std::size_t index) const;
  /// The bytes of a section that has bytes in the file.
  const char *contents(const Elf64_Shdr &section) const { return bytes_ + section.sh_offset; }
  const char *nameOf(const Elf64_Sym &symbol) const { return names_ + symbol.st_name; }
  /// Zero-initialised storage the linker is to place (the large code model has its own kind).
  static bool isCommon(const Elf64_Sym &symbol) {
    constexpr unsigned kLargeCommon = 0xff02;
    return symbol.st_shndx == SHN_COMMON || symbol.st_shndx == kLargeCommon;
  }

private:
  void readHeader();
  void readSections(std::uint64_t offset, std::size_t count);
  void checkSection(const Elf64_Shdr &section) const;
  void readSymbols(const Elf64_Shdr &table);
  void checkSymbol(const Elf64_Sym &symbol, std::uint64_t namesSize) const;
  bool contains(std::uint64_t offset, std::uint64_t length) const { return offset <= size_ && length <= size_ - offset; }

  const char *bytes_;
  std::size_t size_;
  const char *names_ = "";
};

} // namespace pith
