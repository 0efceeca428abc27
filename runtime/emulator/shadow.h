// Who touched each byte of a block's shared memory last, and when.
#pragma once
#include <cstdint>
#include <vector>

namespace pith::emulator {

/// A thread of the block as stored in a cell: its number + 1; 0 is nobody.
using Actor = std::uint16_t;

/// Bytes of shared memory with one history: a word, or a byte of a word that was touched in parts.
struct Cell {
  std::uint32_t writeTime, readTime;
  Actor writer, reader; // writers carry the flags below
  std::uint16_t writeSite, readSite;
  std::uint16_t fence; // how many proxy fences the writer had passed
};

constexpr Actor kActor = 0x7ff, kAtomic = 0x4000, kInFlight = 0x8000;
/// Several threads of one warp: kOfWarp + warp; of several warps: kMany.
/// The copy engine, whose writes are ordered by the wait for their barrier: they land at no other time.
constexpr Actor kOfWarp = 1025, kEngine = 2046, kMany = 2047;

enum class Access { kRead, kWrite, kAtomic, kAsyncIssue, kAsyncLand, kProxyWrite, kProxyRead };
enum class Conflict { kNone, kUninitialised, kInFlight, kRace, kUnfenced };

/// What an access ran into.
struct Finding {
  Conflict conflict = Conflict::kNone;
  Actor other = 0;
  std::uint16_t otherSite = 0;
  bool otherWrote = false;
};

/// Time orders accesses: a barrier starts a new epoch for the block, a warp synchronisation one for the warp. Two
/// accesses of different threads, one of them a write, without a barrier between them are a race.
class Shadow {
public:
  /// Nothing is initialised any more; `bytes` of memory, `warps` of the block.
  void start(std::int64_t bytes, int warps);
  void blockBarrier();
  void warpBarrier(int warp) { ++warpTime_[warp]; }
  /// What this thread wrote may be read through the asynchronous proxy.
  void fenceProxy(int thread) { ++fences_[static_cast<std::size_t>(thread)]; }
  /// One access of thread `thread` to bytes [first, first + count), checked and remembered.
  Finding touch(Access access, int thread, std::int64_t first, std::int64_t count, std::int64_t site);

private:
  static constexpr std::int64_t kWord = 4;
  bool ordered(std::uint32_t time, Actor other, Actor me) const;
  /// The cell of byte `at` in an access that goes on to `end`; moves `at` behind what the cell covers.
  Cell &cellAt(std::int64_t &at, std::int64_t end);
  Finding touchCell(Cell &cell, Access access, Actor me, std::uint16_t site);
  void remember(Cell &cell, Access access, Actor me, std::uint16_t site);

  std::vector<Cell> words_, bytes_;
  std::vector<std::uint32_t> splitAt_; // per word: when its bytes got histories of their own
  std::vector<std::uint32_t> warpTime_;
  std::vector<std::uint16_t> fences_; // proxy fences per thread, modulo 2^16
  std::uint32_t born_ = 0;  // cells older than this belong to an earlier block
  std::uint32_t epoch_ = 0; // of the last barrier of the block
};

} // namespace pith::emulator
