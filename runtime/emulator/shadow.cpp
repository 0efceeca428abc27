#include "shadow.h"
#include <algorithm>

namespace pith::emulator {
namespace {

constexpr int kWarp = 32;

int warpOf(Actor actor) { return actor >= kOfWarp ? actor - kOfWarp : (actor - 1) / kWarp; }

/// What stands for two readers or two atomic writers.
Actor joined(Actor a, Actor b) {
  if (a == b)
    return a;
  return a == kMany || b == kMany || warpOf(a) != warpOf(b) ? kMany : static_cast<Actor>(kOfWarp + warpOf(a));
}

} // namespace

void Shadow::start(std::int64_t bytes, int warps) {
  std::uint32_t last = epoch_;
  for (std::uint32_t time : warpTime_)
    last = std::max(last, time);
  if (last > 1u << 31) { // times are about to run out: forget all of them
    words_.clear();
    bytes_.clear();
    splitAt_.clear();
    last = 0;
  }
  auto words = static_cast<std::size_t>((bytes + kWord - 1) / kWord);
  if (words_.size() < words) {
    words_.resize(words);
    bytes_.resize(words * kWord);
    splitAt_.resize(words);
  }
  born_ = epoch_ = last + 1;
  warpTime_.assign(static_cast<std::size_t>(warps), epoch_);
  fences_.assign(static_cast<std::size_t>(warps * kWarp), 0);
}

void Shadow::blockBarrier() {
  for (std::uint32_t time : warpTime_)
    epoch_ = std::max(epoch_, time);
  ++epoch_;
  std::fill(warpTime_.begin(), warpTime_.end(), epoch_);
}

bool Shadow::ordered(std::uint32_t time, Actor other, Actor me) const {
  if (time < epoch_ || other == me || other == kEngine)
    return true;
  return other != kMany && warpOf(other) == warpOf(me) && time < warpTime_[static_cast<std::size_t>(warpOf(me))];
}

Finding Shadow::touch(Access access, int thread, std::int64_t first, std::int64_t count, std::int64_t site) {
  auto me = static_cast<Actor>(thread + 1);
  auto at = static_cast<std::uint16_t>(site <= 0xffff ? site : 0);
  for (std::int64_t i = first, end = first + count; i < end;) {
    Finding found = touchCell(cellAt(i, end), access, me, at);
    if (found.conflict != Conflict::kNone)
      return found;
  }
  return {};
}

Cell &Shadow::cellAt(std::int64_t &at, std::int64_t end) {
  auto word = static_cast<std::size_t>(at / kWord);
  bool split = splitAt_[word] >= born_;
  if (!split && at % kWord == 0 && end - at >= kWord) {
    at += kWord;
    return words_[word];
  }
  if (!split) {
    std::fill_n(&bytes_[word * kWord], kWord, words_[word]);
    splitAt_[word] = epoch_;
  }
  return bytes_[static_cast<std::size_t>(at++)];
}

Finding Shadow::touchCell(Cell &cell, Access access, Actor me, std::uint16_t site) {
  bool written = cell.writeTime >= born_, onlyReads = access == Access::kRead || access == Access::kProxyRead;
  bool reads = onlyReads || access == Access::kAtomic;
  Actor writer = cell.writer & kActor;
  if (access == Access::kProxyWrite) { // what raced with it was noticed when it was issued, or since
    remember(cell, access, me, site);
    return {};
  }
  if (written && access != Access::kAsyncLand && (cell.writer & kInFlight))
    return {Conflict::kInFlight, writer, cell.writeSite, true};
  if (reads && !written)
    return {Conflict::kUninitialised, 0, 0, false};
  bool bothAtomic = access == Access::kAtomic && (cell.writer & kAtomic);
  if (written && !bothAtomic && !ordered(cell.writeTime, writer, me))
    return {Conflict::kRace, writer, cell.writeSite, true};
  bool alone = writer >= 1 && writer < kOfWarp;
  if (access == Access::kProxyRead && alone && cell.fence == fences_[static_cast<std::size_t>(writer - 1)])
    return {Conflict::kUnfenced, writer, cell.writeSite, true};
  bool read = cell.readTime >= born_ && cell.reader;
  if (!onlyReads && read && !ordered(cell.readTime, cell.reader, me))
    return {Conflict::kRace, cell.reader, cell.readSite, false};
  remember(cell, access, me, site);
  return {};
}

void Shadow::remember(Cell &cell, Access access, Actor me, std::uint16_t site) {
  std::uint32_t now = warpTime_[static_cast<std::size_t>(warpOf(me))];
  if (access == Access::kRead || access == Access::kProxyRead) {
    bool alone = cell.readTime < epoch_ || !cell.reader;
    cell.reader = alone ? me : joined(cell.reader, me);
    cell.readTime = now;
    cell.readSite = site;
    return;
  }
  Actor flags = access == Access::kAtomic ? kAtomic : access == Access::kAsyncIssue ? kInFlight : 0;
  bool joins = access == Access::kAtomic && (cell.writer & kAtomic) && cell.writeTime >= epoch_;
  if (access == Access::kProxyWrite)
    me = kEngine;
  cell.writer = static_cast<Actor>((joins ? joined(cell.writer & kActor, me) : me) | flags);
  cell.writeTime = now;
  cell.writeSite = site;
  cell.fence = me < kOfWarp ? fences_[static_cast<std::size_t>(me - 1)] : 0;
}

} // namespace pith::emulator
