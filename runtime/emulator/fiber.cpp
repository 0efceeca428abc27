#include "fiber.h"
#include <sys/mman.h>

// System V ABI: what a call preserves, beside the stack pointer. Kernels do not change the floating-point modes.
asm(R"(
.text
.hidden pith_emulator_switch
.globl pith_emulator_switch
.type pith_emulator_switch,@function
pith_emulator_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size pith_emulator_switch,.-pith_emulator_switch
)");

namespace pith::emulator {
namespace {
constexpr std::uint64_t kCanary = 0x5ca1ab1e5ca1ab1e;
constexpr int kCanaryWords = 8, kSavedRegisters = 6;
} // namespace

bool Stacks::reserve(std::size_t count) {
  if (count <= count_)
    return true;
  release();
  // One more, below all others: a fiber that overflows writes there and is found out instead of crashing.
  constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  void *base = mmap(nullptr, (count + 1) * kBytes, PROT_READ | PROT_WRITE, kFlags, -1, 0);
  if (base == MAP_FAILED)
    return false;
  base_ = static_cast<char *>(base) + kBytes;
  count_ = count;
  return true;
}

void *Stacks::prepare(std::size_t number, void (*run)()) {
  for (int word = 0; word < kCanaryWords; ++word)
    bottom(number)[word] = kCanary;
  // From the top: a return address nobody returns to, so that the stack is aligned as after a call; where the
  // switch returns to; the registers it pops.
  auto *top = reinterpret_cast<std::uint64_t *>(base_ + (number + 1) * kBytes);
  *--top = 0;
  *--top = reinterpret_cast<std::uint64_t>(run);
  for (int i = 0; i < kSavedRegisters; ++i)
    *--top = 0;
  return top;
}

bool Stacks::intact(std::size_t number) const {
  for (int word = 0; word < kCanaryWords; ++word)
    if (bottom(number)[word] != kCanary)
      return false;
  return true;
}

void Stacks::release() {
  if (base_)
    munmap(base_ - kBytes, (count_ + 1) * kBytes);
  base_ = nullptr;
  count_ = 0;
}

} // namespace pith::emulator
