// Loader for ELF64 x86-64 relocatable objects: what LLVM writes for a compiled module.
//
// Sections are copied into one mapping of three page-aligned parts (code, constants, data), relocated while
// the mapping is writable, then protected: no page is ever writable and executable. Undefined symbols come
// from this library, then from the C and math libraries. Input is untrusted: every offset is checked, and a
// malformed object is an error message, never a crash.
//
// Unwind tables (.eh_frame) are not registered: nothing unwinds through a kernel, and registered frames slow
// down every C++ exception of the process.
#include "export.h"
#include "image.h"
#include <cstdio>
#include <cstring>
#include <dlfcn.h>
#include <memory>
#include <string>
#include <unistd.h>
#include <unordered_map>
#include <vector>

namespace {

using namespace pith;

/// Finds what an object leaves undefined.
void *externalSymbol(const char *name) {
  static void *const library = [] {
    Dl_info info;
    bool known = dladdr(reinterpret_cast<void *>(&externalSymbol), &info) && info.dli_fname;
    return known ? dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD) : nullptr;
  }();
  void *address = library ? dlsym(library, name) : nullptr;
  return address ? address : dlsym(RTLD_DEFAULT, name);
}

constexpr std::uint64_t kMaxImage = std::uint64_t{1} << 32;

class Loader {
public:
  explicit Loader(const ElfView &elf) : elf_(elf) {}

  void load() {
    placeSections();
    placeSymbols();
    mapping = std::make_unique<Mapping>(partEnd_[kData] ? partEnd_[kData] : page_);
    copySections();
    resolveSymbols();
    for (std::size_t i = 1; i < elf_.sections.size(); ++i)
      relocateBy(elf_.sections[i]);
    mapping->protect(0, partEnd_[kCode], PROT_READ | PROT_EXEC);
    mapping->protect(partEnd_[kCode], partEnd_[kConstants], PROT_READ);
  }

  std::unique_ptr<Mapping> mapping;
  std::unordered_map<std::string, void *> exports;

private:
  static constexpr std::uint64_t kNotLoaded = ~std::uint64_t{0};

  static std::uint64_t roundUp(std::uint64_t value, std::uint64_t alignment) {
    return (value + alignment - 1) / alignment * alignment;
  }

  static Part partOf(const Elf64_Shdr &section) {
    if (section.sh_flags & SHF_EXECINSTR)
      return kCode;
    return section.sh_flags & SHF_WRITE ? kData : kConstants;
  }

  /// Reserves room in the image; sizes are bounded so that sums cannot overflow.
  std::uint64_t reserve(std::uint64_t &end, std::uint64_t size, std::uint64_t alignment) {
    alignment = alignment ? alignment : 1;
    if ((alignment & (alignment - 1)) || alignment > page_)
      fail("section alignment %llu is not a power of two up to the page size", (unsigned long long)alignment);
    if (size > kMaxImage)
      fail("a section of %llu bytes is too large", (unsigned long long)size);
    std::uint64_t begin = roundUp(end, alignment);
    end = begin + size;
    if (end > kMaxImage)
      fail("the object needs more than %llu bytes", (unsigned long long)kMaxImage);
    return begin;
  }

  void placeSections() {
    offsets_.assign(elf_.sections.size(), kNotLoaded);
    std::uint64_t end = 0;
    for (int part = 0; part < kParts; ++part) {
      for (std::size_t i = 1; i < elf_.sections.size(); ++i)
        if (elf_.isLoaded(i) && partOf(elf_.sections[i]) == part)
          offsets_[i] = reserve(end, elf_.sections[i].sh_size, elf_.sections[i].sh_addralign);
      if (part == kCode)
        stubs_ = reserve(end, sizeof(Stub) * elf_.symbols.size(), alignof(Stub));
      if (part == kData)
        placeCommons(end);
      partEnd_[part] = end = roundUp(end, page_);
    }
  }

  void placeCommons(std::uint64_t &end) {
    for (const Elf64_Sym &symbol : elf_.symbols)
      if (ElfView::isCommon(symbol)) // st_value is the alignment
        commons_.push_back(reserve(end, symbol.st_size, symbol.st_value));
  }

  /// Offsets of defined symbols, checked against their sections.
  void placeSymbols() {
    std::size_t common = 0;
    places_.assign(elf_.symbols.size(), kNotLoaded);
    for (std::size_t i = 1; i < elf_.symbols.size(); ++i) {
      const Elf64_Sym &symbol = elf_.symbols[i];
      if (ElfView::isCommon(symbol))
        places_[i] = commons_[common++];
      else if (symbol.st_shndx != SHN_UNDEF && symbol.st_shndx < elf_.sections.size()) {
        std::uint64_t limit = elf_.sections[symbol.st_shndx].sh_size;
        if (symbol.st_value > limit || symbol.st_size > limit - symbol.st_value)
          fail("symbol '%s' lies outside of its section", elf_.nameOf(symbol));
        if (offsets_[symbol.st_shndx] != kNotLoaded)
          places_[i] = offsets_[symbol.st_shndx] + symbol.st_value;
      }
    }
  }

  void copySections() {
    for (std::size_t i = 1; i < elf_.sections.size(); ++i)
      if (offsets_[i] != kNotLoaded && elf_.sections[i].sh_type != SHT_NOBITS)
        std::memcpy(mapping->base() + offsets_[i], elf_.contents(elf_.sections[i]), elf_.sections[i].sh_size);
  }

  void resolveSymbols() {
    for (std::size_t i = 1; i < elf_.symbols.size(); ++i) {
      const Elf64_Sym &symbol = elf_.symbols[i];
      int binding = ELF64_ST_BIND(symbol.st_info), type = ELF64_ST_TYPE(symbol.st_info);
      if (type == STT_TLS || type == STT_GNU_IFUNC)
        fail("symbol '%s' is thread-local or indirect, which the loader does not support", elf_.nameOf(symbol));
      if (symbol.st_shndx == SHN_UNDEF)
        bindStub(i, externalAddress(symbol, binding));
      else if (places_[i] != kNotLoaded && binding != STB_LOCAL)
        exports[elf_.nameOf(symbol)] = mapping->base() + places_[i];
    }
  }

  std::uint64_t externalAddress(const Elf64_Sym &symbol, int binding) {
    const char *name = elf_.nameOf(symbol);
    void *address = *name ? externalSymbol(name) : nullptr;
    if (!address && binding != STB_WEAK)
      fail("undefined symbol '%s'", name);
    return reinterpret_cast<std::uint64_t>(address);
  }

  void bindStub(std::size_t symbol, std::uint64_t address) {
    Stub stub;
    stub.address = address;
    std::memcpy(mapping->base() + stubs_ + symbol * sizeof(Stub), &stub, sizeof stub);
  }

  std::uint64_t stubOf(std::size_t symbol) const {
    return reinterpret_cast<std::uint64_t>(mapping->base()) + stubs_ + symbol * sizeof(Stub);
  }

  std::uint64_t addressOf(std::size_t index) const {
    const Elf64_Sym &symbol = elf_.symbols[index];
    if (symbol.st_shndx == SHN_ABS)
      return symbol.st_value;
    if (symbol.st_shndx == SHN_UNDEF) {
      Stub stub; // symbol 0 is the null symbol: its stub holds 0
      std::memcpy(&stub, mapping->base() + stubs_ + index * sizeof stub, sizeof stub);
      return stub.address;
    }
    if (places_[index] == kNotLoaded)
      fail("a relocation needs symbol '%s', which is in a section that is not loaded", elf_.nameOf(symbol));
    return reinterpret_cast<std::uint64_t>(mapping->base()) + places_[index];
  }

  void relocateBy(const Elf64_Shdr &table) {
    if (table.sh_type != SHT_RELA && table.sh_type != SHT_REL)
      return;
    if (table.sh_info >= elf_.sections.size())
      fail("a relocation table is for section %u, which does not exist", table.sh_info);
    if (offsets_[table.sh_info] == kNotLoaded)
      return;
    if (table.sh_type == SHT_REL || table.sh_entsize != sizeof(Elf64_Rela))
      fail("relocations without addends are not x86-64 ELF");
    const char *entries = elf_.contents(table);
    for (std::uint64_t i = 0; i < table.sh_size / sizeof(Elf64_Rela); ++i) {
      Elf64_Rela entry;
      std::memcpy(&entry, entries + i * sizeof entry, sizeof entry);
      relocate(entry, table.sh_info);
    }
  }

  static unsigned widthOf(unsigned type) {
    switch (type) {
    case R_X86_64_64:
    case R_X86_64_PC64:
      return 8;
    case R_X86_64_PC32:
    case R_X86_64_PLT32:
    case R_X86_64_32:
    case R_X86_64_32S:
    case R_X86_64_GOTPCREL:
    case R_X86_64_GOTPCRELX:
    case R_X86_64_REX_GOTPCRELX:
      return 4;
    default:
      fail("relocation type %u is not supported", type);
    }
  }

  void relocate(const Elf64_Rela &entry, std::size_t section) {
    unsigned type = ELF64_R_TYPE(entry.r_info);
    std::size_t symbol = ELF64_R_SYM(entry.r_info);
    if (type == R_X86_64_NONE)
      return;
    unsigned width = widthOf(type);
    std::uint64_t limit = elf_.sections[section].sh_size;
    if (limit < width || entry.r_offset > limit - width)
      fail("a relocation lies outside of its section");
    if (symbol >= elf_.symbols.size())
      fail("a relocation names symbol %zu, which does not exist", symbol);
    char *place = mapping->base() + offsets_[section] + entry.r_offset;
    std::uint64_t value = valueOf(type, symbol, static_cast<std::uint64_t>(entry.r_addend),
                                  reinterpret_cast<std::uint64_t>(place));
    std::memcpy(place, &value, width); // x86-64 is little-endian
  }

  std::uint64_t valueOf(unsigned type, std::size_t symbol, std::uint64_t addend, std::uint64_t place) const {
    switch (type) {
    case R_X86_64_64:
      return addressOf(symbol) + addend;
    case R_X86_64_PC64:
      return addressOf(symbol) + addend - place;
    case R_X86_64_32:
      return checked32(addressOf(symbol) + addend, symbol, 0, std::int64_t{1} << 32);
    case R_X86_64_32S:
      return checked32(addressOf(symbol) + addend, symbol, INT32_MIN, std::int64_t{1} << 31);
    case R_X86_64_GOTPCREL:
    case R_X86_64_GOTPCRELX:
    case R_X86_64_REX_GOTPCRELX:
      return checked32(gotOf(symbol) + addend - place, symbol, INT32_MIN, std::int64_t{1} << 31);
    default: { // PC32, PLT32: external functions are reached through their stub
      bool external = elf_.symbols[symbol].st_shndx == SHN_UNDEF;
      std::uint64_t target = external && type == R_X86_64_PLT32 ? stubOf(symbol) : addressOf(symbol);
      return checked32(target + addend - place, symbol, INT32_MIN, std::int64_t{1} << 31);
    }
    }
  }

  std::uint64_t gotOf(std::size_t symbol) const {
    if (elf_.symbols[symbol].st_shndx != SHN_UNDEF)
      fail("a GOT relocation against '%s', which the object defines, is not supported",
           elf_.nameOf(elf_.symbols[symbol]));
    return stubOf(symbol) + offsetof(Stub, address);
  }

  std::uint64_t checked32(std::uint64_t value, std::size_t symbol, std::int64_t low, std::int64_t end) const {
    auto number = static_cast<std::int64_t>(value);
    if (number < low || number >= end)
      fail("a 32-bit relocation cannot reach '%s'; compile with the large code model",
           elf_.nameOf(elf_.symbols[symbol]));
    return value;
  }

  const ElfView &elf_;
  const std::uint64_t page_ = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  std::uint64_t partEnd_[kParts] = {};
  std::uint64_t stubs_ = 0;
  std::vector<std::uint64_t> offsets_, places_, commons_;
};

struct Object {
  std::unique_ptr<Mapping> mapping;
  std::unordered_map<std::string, void *> exports;
};

} // namespace

/// Loads `size` bytes of an object. On failure returns null and writes a message to `error`.
PITH_EXPORT void *pith_object_load(const void *bytes, std::size_t size, char *error, std::size_t errorSize) {
  try {
    ElfView elf(static_cast<const char *>(bytes), size);
    Loader loader(elf);
    loader.load();
    return new Object{std::move(loader.mapping), std::move(loader.exports)};
  } catch (const std::exception &problem) {
    if (errorSize)
      std::snprintf(error, errorSize, "%s", problem.what());
    return nullptr;
  }
}

/// Address of a symbol the object exports, or null.
PITH_EXPORT void *pith_object_symbol(void *object, const char *name) {
  const auto &exports = static_cast<Object *>(object)->exports;
  auto found = exports.find(name);
  return found == exports.end() ? nullptr : found->second;
}

/// Unmaps the object; no function of it may be running.
PITH_EXPORT void pith_object_unload(void *object) { delete static_cast<Object *>(object); }
