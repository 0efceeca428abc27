// mbarrier: who waits stops until the phase is complete; when nothing else moves, that is a dead-lock.
#include "mbarrier.h"
#include "../export.h"
#include "block.h"
#include <algorithm>
#include <cstring>

namespace pith::emulator {
namespace {

Mbarrier load(std::uintptr_t address) {
  std::uint64_t bits;
  std::memcpy(&bits, reinterpret_cast<const void *>(address), sizeof bits);
  return Mbarrier(bits);
}

void store(std::uintptr_t address, Mbarrier barrier) {
  std::uint64_t bits = barrier.bits();
  std::memcpy(reinterpret_cast<void *>(address), &bits, sizeof bits);
}

} // namespace

void Block::initBarrier(std::int64_t site, std::uintptr_t address, std::int64_t count) {
  if (address % sizeof(std::uint64_t) != 0)
    fail(FaultKind::kMisaligned, site, "address of a barrier is no multiple of 8");
  if (count < 1 || count > Mbarrier::kMaxCount)
    fail(FaultKind::kInvalid, site, "a barrier of %lld arrivals; 1 to %lld are possible", static_cast<long long>(count),
         static_cast<long long>(Mbarrier::kMaxCount));
  touch(Access::kWrite, site, address, sizeof(std::uint64_t));
  store(address, Mbarrier(Mbarrier::first(count)));
  unfenced_.push_back(address);
}

void Block::changeBarrier(std::int64_t site, std::uintptr_t address, std::int64_t arrivals, std::int64_t bytes) {
  touch(Access::kAtomic, site, address, sizeof(std::uint64_t));
  Mbarrier barrier = load(address);
  if (arrivals > barrier.missing())
    fail(FaultKind::kInvalid, site, "arrives at a barrier that expects no arrival in this phase");
  if (std::int64_t open = barrier.bytes() + bytes; open > Mbarrier::kMaxBytes || open < -Mbarrier::kMaxBytes)
    fail(FaultKind::kInvalid, site, "a barrier cannot count %lld bytes", static_cast<long long>(open));
  Mbarrier changed = barrier.after(arrivals, bytes);
  store(address, changed);
  if (changed.missing() == 0 && changed.bytes() < 0)
    fail(FaultKind::kInvalid, site, "%lld bytes more land on a barrier than its phase expects",
         static_cast<long long>(-changed.bytes()));
}

bool Block::changedSince(const Thread &thread) const { return load(thread.barrier).bits() != thread.seen; }

void Block::awaitPhase(std::int64_t site, std::uintptr_t address, int parity) {
  for (;;) {
    touch(Access::kAtomic, site, address, sizeof(std::uint64_t));
    if (load(address).phase() != parity)
      return;
    if (load(address).missing() == 0 && landBoxes(address))
      continue;
    Thread &me = thread();
    me.site = site;
    me.barrier = address;
    me.seen = load(address).bits();
    me.state = Thread::kAtMbarrier;
    yield();
  }
}

void Block::reportPhase(int thread) {
  const Thread &me = threads_[static_cast<std::size_t>(thread)];
  Mbarrier barrier = load(me.barrier);
  reportAs(thread, {}, FaultKind::kDeadlock, me.site,
           "waits for phase parity %d of the barrier at byte %lld of shared memory, where %lld arrivals and %lld bytes "
           "are missing and nothing moves",
           barrier.phase(), static_cast<long long>(me.barrier - reinterpret_cast<std::uintptr_t>(shared())),
           static_cast<long long>(barrier.missing()), static_cast<long long>(barrier.bytes()));
}

} // namespace pith::emulator

using namespace pith::emulator;
using Int = std::int64_t;

PITH_EXPORT void pith_emulator_mbarrier_init(Int site, Int address, Int count) {
  Block::current().initBarrier(site, static_cast<std::uintptr_t>(address), count);
}
/// Makes the initialisation of barriers visible to copies.
PITH_EXPORT void pith_emulator_mbarrier_fence() { Block::current().fenceBarriers(); }
PITH_EXPORT void pith_emulator_mbarrier_arrive(Int site, Int address, Int bytes) {
  Block::current().changeBarrier(site, static_cast<std::uintptr_t>(address), 1, bytes);
}
PITH_EXPORT void pith_emulator_mbarrier_wait(Int site, Int address, Int parity) {
  Block::current().awaitPhase(site, static_cast<std::uintptr_t>(address), static_cast<int>(parity & 1));
}
