// What warps have asked of wgmma and not waited for.
#pragma once
#include <cstdint>
#include <vector>

namespace pith::emulator {

/// Shared memory that an instruction may still read.
struct Span {
  std::uintptr_t first, end;
  std::int64_t site;
};

/// The instructions of one warp that are under way.
struct MatrixQueue {
  bool fenced = false;                   // its registers may be used by the next instruction
  std::vector<Span> open;                // not committed to a group
  std::vector<std::vector<Span>> groups; // committed, oldest first

  bool idle() const { return open.empty() && groups.empty(); }
};

} // namespace pith::emulator
