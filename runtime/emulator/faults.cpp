// How a block reports what its threads did.
#include "block.h"
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

/// Every thread waits or is done, and the barrier cannot open: say who waits where.
void Block::reportStuck() {
  int atBarrier = -1, atWarp = -1, done = -1;
  for (int t = size_ - 1; t >= 0; --t) {
    switch (threads_[static_cast<std::size_t>(t)].state) {
    case Thread::kAtBarrier:
      atBarrier = t;
      break;
    case Thread::kAtWarp:
      atWarp = t;
      break;
    default:
      done = t;
    }
  }
  auto siteOf = [&](int t) { return threads_[static_cast<std::size_t>(t)].site; };
  if (atWarp >= 0) {
    const Thread &thread = threads_[static_cast<std::size_t>(atWarp)];
    int first = atWarp / kWarp * kWarp;
    for (int lane = 0; lane < kWarp; ++lane) {
      int t = first + lane;
      if (!(thread.mask >> lane & 1) || (threads_[static_cast<std::size_t>(t)].state == Thread::kAtWarp &&
                                         siteOf(t) == thread.site && threads_[static_cast<std::size_t>(t)].mask == thread.mask))
        continue;
      bool ended = threads_[static_cast<std::size_t>(t)].state == Thread::kDone;
      return reportAs(atWarp, {t, ended ? 0 : siteOf(t)}, FaultKind::kDivergence, thread.site,
                      "waits at a warp-wide op for lane %d, which %s", lane, ended ? "has returned" : "waits elsewhere");
    }
  }
  if (done >= 0)
    return reportAs(atBarrier, {done, 0}, FaultKind::kDivergence, siteOf(atBarrier),
                    "waits at a barrier for threads that have returned (%d of %d)", done_, size_);
  for (int t = 0; t < size_; ++t)
    if (siteOf(t) != siteOf(atBarrier))
      return reportAs(atBarrier, {t, siteOf(t)}, FaultKind::kDivergence, siteOf(atBarrier),
                      "waits at a barrier while another thread of its block waits at a different one");
}

} // namespace pith::emulator
