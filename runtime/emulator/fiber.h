// Fibers: the threads of an emulated block. One runs at a time on the operating system's thread that runs the block.
#pragma once
#include <cstddef>
#include <cstdint>

namespace pith::emulator {

/// Stack memory of the fibers of a block, kept for the next block.
class Stacks {
public:
  /// LLVM's frames for the largest tiles take some 10 KiB; pages that are not touched cost nothing.
  static constexpr std::size_t kBytes = 256 << 10;

  Stacks() = default;
  ~Stacks() { release(); }
  Stacks(const Stacks &) = delete;
  Stacks &operator=(const Stacks &) = delete;

  /// Makes sure of `count` stacks; false when the system has no memory for them.
  bool reserve(std::size_t count);
  /// A stack pointer from which `switchStack` enters `run`, which must not return.
  void *prepare(std::size_t number, void (*run)());
  /// True while the lowest words of a stack are as `prepare` left them.
  bool intact(std::size_t number) const;
  bool contains(std::uintptr_t address) const {
    return address - reinterpret_cast<std::uintptr_t>(base_) < count_ * kBytes;
  }

private:
  void release();
  std::uint64_t *bottom(std::size_t number) const { return reinterpret_cast<std::uint64_t *>(base_ + number * kBytes); }
  char *base_ = nullptr;
  std::size_t count_ = 0;
};

} // namespace pith::emulator

/// Saves the registers a call preserves and the stack pointer in `*save`, and goes on where `resume` was saved.
extern "C" void pith_emulator_switch(void **save, void *resume) __attribute__((visibility("hidden")));
