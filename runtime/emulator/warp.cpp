// Warp-wide ops on registers: shuffles, votes, reductions. Values travel as the low bits of 64-bit words.
#include "../export.h"
#include "block.h"
#include "numbers.h"

using namespace pith::emulator;
using Int = std::int64_t;

namespace {

Block &block() { return Block::current(); }

struct Word {
  std::uint64_t value;
  Int argument;
  std::uint64_t result;
  bool valid;
};

/// Runs `act(lane, mine, wordOf)` for every lane of the mask once all are here; returns this lane's word.
template <class Act> Word meet(Int site, Mask mask, std::uint64_t value, Int argument, Act act) {
  Word mine{value, argument, value, true};
  Block &here = block();
  if (here.gather(site, mask, &mine)) {
    Mask there = mask & here.lanes();
    auto wordOf = [&](int lane) -> Word & { return *static_cast<Word *>(here.payload(lane)); };
    for (int lane = 0; lane < kWarp; ++lane)
      if (there >> lane & 1)
        act(lane, there, wordOf);
    here.dismiss(mask);
  }
  return mine;
}

enum Mode { kXor, kUp, kDown, kIndex };

/// PTX ISA, shfl.sync: the source lane, and whether it is within the segment the clamp describes.
int sourceLane(int lane, Int mode, Int offset, Int clamp, bool &valid) {
  int segment = static_cast<int>(clamp >> 8 & 31), end = static_cast<int>(clamp & 31);
  int by = static_cast<int>(offset & 31);
  int last = (lane & segment) | (end & ~segment), first = lane & segment;
  int source = mode == kXor ? lane ^ by : mode == kUp ? lane - by : mode == kDown ? lane + by : first | (by & ~segment);
  valid = mode == kUp ? source >= last : source <= last;
  return valid ? source : lane;
}

} // namespace

/// LLVM returns both in registers.
struct Shuffled {
  Int value, valid;
};

PITH_EXPORT Shuffled pith_emulator_shuffle(Int site, Int value, Int mode, Int offset, Int mask, Int clamp) {
  auto lanes = static_cast<Mask>(mask);
  Word out = meet(site, lanes, static_cast<std::uint64_t>(value), offset, [&](int lane, Mask there, auto &wordOf) {
    Word &mine = wordOf(lane);
    int source = sourceLane(lane, mode, mine.argument, clamp, mine.valid);
    if (!(there >> source & 1))
      block().fail(FaultKind::kDivergence, site, "lane %d shuffles from lane %d, which does not take part", lane,
                   source);
    mine.result = wordOf(source).value;
  });
  return {static_cast<Int>(out.result), out.valid};
}

enum Vote { kAll, kAny, kBallot, kUniform };

PITH_EXPORT Int pith_emulator_vote(Int site, Int predicate, Int kind, Int mask) {
  auto lanes = static_cast<Mask>(mask);
  Word out = meet(site, lanes, predicate != 0, 0, [&](int lane, Mask there, auto &wordOf) {
    Mask votes = 0;
    for (int other = 0; other < kWarp; ++other)
      if (there >> other & 1)
        votes |= static_cast<Mask>(wordOf(other).value) << other;
    bool all = votes == there, none = votes == 0;
    wordOf(lane).result = kind == kBallot ? votes : kind == kAll ? all : kind == kAny ? !none : all || none;
  });
  return static_cast<Int>(out.result);
}

/// Lanes whose value is the same as mine (match.any), or all lanes if all values are equal (match.all).
PITH_EXPORT Int pith_emulator_match(Int site, Int value, Int all, Int mask) {
  auto lanes = static_cast<Mask>(mask);
  Word out = meet(site, lanes, static_cast<std::uint64_t>(value), 0, [&](int lane, Mask there, auto &wordOf) {
    Mask same = 0;
    for (int other = 0; other < kWarp; ++other)
      if ((there >> other & 1) && wordOf(other).value == wordOf(lane).value)
        same |= Mask{1} << other;
    wordOf(lane).result = !all || same == there ? same : 0;
  });
  return static_cast<Int>(out.result);
}

PITH_EXPORT void pith_emulator_warp_barrier(Int site, Int mask) {
  auto lanes = static_cast<Mask>(mask);
  Block &here = block();
  if (!here.gather(site, lanes, nullptr))
    return;
  if (here.watched() && (lanes & here.lanes()) == here.lanes())
    here.shadow().warpBarrier(here.warp());
  here.dismiss(lanes);
}

/// Reduces over clusters of `size` lanes that are `stride` apart.
PITH_EXPORT Int pith_emulator_reduce(Int site, Int value, Int op, Int type, Int size, Int stride, Int mask) {
  auto lanes = static_cast<Mask>(mask);
  Word out = meet(site, lanes, static_cast<std::uint64_t>(value), 0, [&](int lane, Mask there, auto &wordOf) {
    auto by = static_cast<int>(stride), count = static_cast<int>(size);
    int first = lane / (by * count) * (by * count) + lane % by;
    bool started = false;
    for (int other = first; other < kWarp && other < first + by * count; other += by) {
      if (!(there >> other & 1))
        continue;
      std::uint64_t &total = wordOf(lane).result, next = wordOf(other).value;
      total = started ? combined(static_cast<Reduction>(op), static_cast<Number>(type), total, next) : next;
      started = true;
    }
  });
  return static_cast<Int>(out.result);
}

namespace {
struct BlockWord {
  std::uint64_t value, result;
  Reduction op;
  Number type;
};

void reduceBlock(Block &block) {
  auto wordOf = [&](int t) -> BlockWord & { return *static_cast<BlockWord *>(block.payloadOf(t)); };
  int threads = static_cast<int>(block.running().threads());
  std::uint64_t total = wordOf(0).value;
  for (int t = 1; t < threads; ++t)
    total = combined(wordOf(0).op, wordOf(0).type, total, wordOf(t).value);
  for (int t = 0; t < threads; ++t)
    wordOf(t).result = total;
}
} // namespace

/// Reduces over all threads of the block, which meet as at a barrier.
PITH_EXPORT Int pith_emulator_block_reduce(Int site, Int value, Int op, Int type) {
  BlockWord mine{static_cast<std::uint64_t>(value), 0, static_cast<Reduction>(op), static_cast<Number>(type)};
  block().barrier(site, &mine, reduceBlock);
  return static_cast<Int>(mine.result);
}
