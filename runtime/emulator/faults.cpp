// How a block reports what its threads did.
#include "block.h"
#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>

namespace pith::emulator {

void Block::report(int thread, Other other, FaultKind kind, std::int64_t site, const char *format, std::va_list rest) {
  failed_ = true;
  std::lock_guard<std::mutex> lock(running_.reporting);
  if (running_.failed.exchange(true))
    return;
  Fault &fault = *running_.fault;
  fault.kind = kind;
  fault.site = site;
  fault.otherSite = other.site;
  std::memcpy(fault.block, id_, sizeof id_);
  std::memcpy(fault.thread, threads_[static_cast<std::size_t>(thread)].id, sizeof fault.thread);
  fault.otherThread[0] = -1;
  if (other.thread >= 0 && other.thread < size_)
    std::memcpy(fault.otherThread, threads_[static_cast<std::size_t>(other.thread)].id, sizeof fault.otherThread);
  std::vsnprintf(fault.text, sizeof fault.text, format, rest);
}

void Block::reportAs(int thread, Other other, FaultKind kind, std::int64_t site, const char *format, ...) {
  std::va_list rest;
  va_start(rest, format);
  report(thread, other, kind, site, format, rest);
  va_end(rest);
}

void Block::fail(FaultKind kind, std::int64_t site, const char *format, ...) {
  std::va_list rest;
  va_start(rest, format);
  report(now_, {}, kind, site, format, rest);
  va_end(rest);
  yield(); // the scheduler never comes back to a block that failed
  __builtin_unreachable();
}

void Block::failWith(Other other, FaultKind kind, std::int64_t site, const char *format, ...) {
  std::va_list rest;
  va_start(rest, format);
  report(now_, other, kind, site, format, rest);
  va_end(rest);
  yield();
  __builtin_unreachable();
}

/// Lane `thread` waits at a warp-wide op: name the first lane it waits for in vain.
void Block::reportWarp(int thread) {
  const Thread &me = threads_[static_cast<std::size_t>(thread)];
  for (int lane = 0; lane < kWarp; ++lane) {
    int t = thread / kWarp * kWarp + lane;
    if (!(me.mask >> lane & 1) || meet(me, threads_[static_cast<std::size_t>(t)]))
      continue;
    const Thread &missing = threads_[static_cast<std::size_t>(t)];
    bool ended = missing.state == Thread::kDone;
    return reportAs(thread, {t, ended ? 0 : missing.site}, FaultKind::kDivergence, me.site,
                    "waits at a warp-wide op for lane %d, which %s", lane, ended ? "has returned" : "waits elsewhere");
  }
}

/// Every thread waits or is done, and the barrier cannot open: say who waits where.
void Block::reportStuck() {
  auto first = [&](auto is) {
    return static_cast<int>(std::find_if(threads_.begin(), threads_.end(), is) - threads_.begin());
  };
  auto in = [&](Thread::State state) { return first([=](const Thread &t) { return t.state == state; }); };
  if (int waits = in(Thread::kAtWarp); waits < size_)
    return reportWarp(waits);
  if (int waits = in(Thread::kAtMbarrier); waits < size_)
    return reportPhase(waits);
  int waits = in(Thread::kAtBarrier), ended = in(Thread::kDone);
  std::int64_t site = threads_[static_cast<std::size_t>(waits)].site;
  if (ended < size_)
    return reportAs(waits, {ended, 0}, FaultKind::kDivergence, site,
                    "waits at a barrier for threads that have returned (%d of %d)", done_, size_);
  int elsewhere = first([=](const Thread &t) { return t.site != site; });
  reportAs(waits, {elsewhere, threads_[static_cast<std::size_t>(elsewhere)].site}, FaultKind::kDivergence, site,
           "waits at a barrier while another thread of its block waits at a different one");
}

} // namespace pith::emulator
