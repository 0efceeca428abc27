// Barriers in shared memory that count arrivals and bytes (mbarrier), and copies of boxes that land on them (TMA).
#pragma once
#include <cstdint>

namespace pith::emulator {

/// The 64 bits of a barrier. A phase is complete when no arrival and no byte is missing; the next one begins at once.
/// Source: PTX ISA, "Parallel Synchronization and Communication Instructions: mbarrier".
class Mbarrier {
public:
  static constexpr std::int64_t kMaxCount = (1 << 20) - 1, kMaxBytes = (1 << 20) - 1;

  static std::uint64_t first(std::int64_t count) { return pack(0, count, count, 0); }
  explicit Mbarrier(std::uint64_t bits) : bits_(bits) {}
  std::uint64_t bits() const { return bits_; }

  int phase() const { return static_cast<int>(bits_ >> 63); }
  std::int64_t expected() const { return static_cast<std::int64_t>(bits_ >> 20 & kMaxCount); }
  std::int64_t missing() const { return static_cast<std::int64_t>(bits_ & kMaxCount); }
  /// Bytes expected that have not arrived; below 0 where more have arrived.
  std::int64_t bytes() const { return static_cast<std::int64_t>(bits_ >> 40 & 0x7fffff) - kBias; }
  /// The same after `arrivals` and `bytes` more are expected.
  Mbarrier after(std::int64_t arrivals, std::int64_t bytes) const {
    std::int64_t left = missing() - arrivals, open = this->bytes() + bytes;
    bool complete = left == 0 && open == 0;
    return Mbarrier(pack(phase() ^ complete, expected(), complete ? expected() : left, open));
  }

private:
  static constexpr std::int64_t kBias = 1 << 22;
  static std::uint64_t pack(int phase, std::int64_t expected, std::int64_t missing, std::int64_t bytes) {
    return static_cast<std::uint64_t>(phase) << 63 | static_cast<std::uint64_t>(bytes + kBias) << 40 |
           static_cast<std::uint64_t>(expected) << 20 | static_cast<std::uint64_t>(missing);
  }

  std::uint64_t bits_;
};

/// What a launch passes by value for an array that is copied in boxes. Mirrored by runtime/emulated_maps.py; dimensions
/// count from the fastest.
struct TensorMap {
  static constexpr std::uint64_t kMagic = 0x3170616d68746970; // "pithmap1"
  static constexpr int kMaxRank = 5;

  std::uint64_t magic;
  const char *base;
  std::uint32_t rank, elementBytes;
  std::uint64_t swizzle; // bytes of the rows in which chunks of 16 bytes are permuted; 0: in order
  std::uint64_t sizes[kMaxRank];
  std::uint64_t strides[kMaxRank - 1]; // bytes
  std::uint32_t box[kMaxRank];

  std::int64_t rowBytes() const { return static_cast<std::int64_t>(box[0]) * elementBytes; }
  std::int64_t bytes() const {
    std::int64_t count = rowBytes();
    for (std::uint32_t d = 1; d < rank; ++d)
      count *= box[d];
    return count;
  }
};

/// A copy of a box that has been issued and has not landed.
struct BoxCopy {
  std::int64_t site;
  int thread; // which issued it
  TensorMap map;
  std::int64_t at[TensorMap::kMaxRank];
  char *to;
  std::uintptr_t barrier;
};

} // namespace pith::emulator
