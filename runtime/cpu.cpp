// The instruction set of this processor as text, from the words that also decide LLVM's choice of instructions.
#include "export.h"
#include <cpuid.h>
#include <cstdint>
#include <cstdio>
#include <string>

namespace {

struct Registers {
  unsigned a = 0, b = 0, c = 0, d = 0;
};

Registers query(unsigned leaf, unsigned part) {
  Registers r;
  __get_cpuid_count(leaf, part, &r.a, &r.b, &r.c, &r.d);
  return r;
}

/// Register states the operating system saves: without them AVX or AMX must not be used.
std::uint64_t enabledStates(const Registers &basic) {
  if (!(basic.c & bit_OSXSAVE))
    return 0;
  std::uint32_t low, high;
  asm("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return std::uint64_t{high} << 32 | low;
}

} // namespace

/// Writes a text that differs whenever the processor's model or usable features differ.
PITH_EXPORT void pith_cpu_identity(char *text, std::size_t size) {
  Registers vendor = query(0, 0), basic = query(1, 0), extended = query(0x80000001u, 0);
  std::string out;
  auto add = [&out](unsigned word) {
    char digits[16];
    std::snprintf(digits, sizeof digits, "%x.", word);
    out += digits;
  };
  for (unsigned word : {vendor.b, vendor.c, vendor.d, basic.a, basic.c, basic.d, extended.c, extended.d})
    add(word); // not basic.b: it holds the number of the core
  for (unsigned part : {0u, 1u}) {
    Registers features = query(7, part);
    for (unsigned word : {features.a, features.b, features.c, features.d})
      add(word);
  }
  std::uint64_t states = enabledStates(basic);
  add(static_cast<unsigned>(states));
  add(static_cast<unsigned>(states >> 32));
  std::snprintf(text, size, "%s", out.c_str());
}
