// Memory a loaded object lives in.
#pragma once
#include "elf_view.h"
#include <sys/mman.h>

namespace pith {

enum Part { kCode, kConstants, kData, kParts };

/// One per symbol, at the end of the code: `jmp *2(%rip)` and, at +8, the address it jumps to. Calls that
/// cannot reach the symbol go to the jump; GOT references read the address.
struct Stub {
  unsigned char jump[8] = {0xff, 0x25, 0x02, 0, 0, 0, 0x0f, 0x0b};
  std::uint64_t address = 0;
};
static_assert(sizeof(Stub) == 16);

/// A private anonymous mapping.
class Mapping {
public:
  explicit Mapping(std::size_t bytes) : bytes_(bytes) {
    void *base = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED)
      fail("cannot map %zu bytes for the object", bytes);
    base_ = static_cast<char *>(base);
  }
  ~Mapping() { munmap(base_, bytes_); }
  Mapping(const Mapping &) = delete;
  Mapping &operator=(const Mapping &) = delete;
  char *base() const { return base_; }
  void protect(std::size_t begin, std::size_t end, int protection) const {
    if (begin != end && mprotect(base_ + begin, end - begin, protection) != 0)
      fail("cannot make the code of the object executable: the system forbids it");
  }

private:
  char *base_;
  std::size_t bytes_;
};

} // namespace pith
