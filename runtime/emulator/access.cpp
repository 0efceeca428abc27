// Memory accesses of kernels: bounds, alignment, and the shadow of shared memory. `pith-emulate-gpu` puts the calls in.
#include "../export.h"
#include "block.h"

namespace pith::emulator {

void Block::touch(Access access, std::int64_t site, std::uintptr_t address, std::int64_t bytes) {
  if (!watched())
    return;
  auto first = static_cast<std::int64_t>(address - reinterpret_cast<std::uintptr_t>(shared()));
  if (first < 0 || first + bytes > running_.launch.sharedBytes)
    fail(FaultKind::kOutOfBounds, site, "accesses bytes %lld to %lld of %lld bytes of shared memory",
         static_cast<long long>(first), static_cast<long long>(first + bytes),
         static_cast<long long>(running_.launch.sharedBytes));
  if (access != Access::kRead && access != Access::kProxyRead)
    checkMatrices(site, address, bytes);
  Finding found = shadow().touch(access, now_, first, bytes, site);
  Other other{found.other >= 1 && found.other <= 1024 ? found.other - 1 : -1, found.otherSite};
  switch (found.conflict) {
  case Conflict::kNone:
    return;
  case Conflict::kUninitialised:
    fail(FaultKind::kUninitialised, site, "reads shared memory that nobody has written (byte %lld)",
         static_cast<long long>(first));
  case Conflict::kInFlight:
    failWith(other, FaultKind::kRace, site,
             "touches shared memory (byte %lld) that an asynchronous copy has not filled yet: a wait is missing",
             static_cast<long long>(first));
  case Conflict::kUnfenced:
    failWith(other, FaultKind::kRace, site,
             "reads shared memory (byte %lld) through the asynchronous proxy that another thread wrote: a "
             "fence.proxy.async behind the write is missing",
             static_cast<long long>(first));
  case Conflict::kRace:
    failWith(other, FaultKind::kRace, site, "%s shared memory (byte %lld) that %s %s without a barrier between",
             access == Access::kRead ? "reads" : "writes", static_cast<long long>(first),
             other.thread < 0 ? "other threads" : "another thread", found.otherWrote ? "wrote" : "read");
  }
}

/// Stores are remembered in a table that forgets: an access that meets one of another warp in it is a race, most
/// others are noticed. Lanes of a warp may be ordered by a warp synchronisation, so they are left out.
template <class Meet> void Block::eachStore(std::uintptr_t address, std::int64_t bytes, Meet meet) {
  constexpr std::uintptr_t kGranule = 2; // no access overlaps another by less, but for single bytes
  if (!watched() || space_.stacks.contains(address))
    return;
  for (std::uintptr_t at = address; at < address + static_cast<std::uintptr_t>(bytes); at += kGranule) {
    Store &last = space_.stores[(at * 0x9e3779b97f4a7c15u >> 48) % space_.stores.size()];
    bool other = last.address == at && last.epoch == space_.epoch && last.thread / kWarp != now_ / kWarp;
    meet(at, last, other);
  }
}

void Block::storeGlobal(std::int64_t site, std::uintptr_t address, std::int64_t bytes) {
  eachStore(address, bytes, [&](std::uintptr_t at, Store &last, bool other) {
    if (other)
      failWith({last.thread, last.site}, FaultKind::kRace, site,
               "writes global memory that another thread wrote without a barrier between");
    last = {at, site, space_.epoch, now_};
  });
}

void Block::loadGlobal(std::int64_t site, std::uintptr_t address, std::int64_t bytes) {
  eachStore(address, bytes, [&](std::uintptr_t, Store &last, bool other) {
    if (other)
      failWith({last.thread, last.site}, FaultKind::kRace, site,
               "reads global memory that another thread wrote without a barrier between");
  });
}

} // namespace pith::emulator

using namespace pith::emulator;
using Int = std::int64_t;

namespace {
Block &block() { return Block::current(); }
} // namespace

/// Reports index `at`, and `count` elements from it, along dimension `dimension` of a memref.
PITH_EXPORT [[noreturn]] void pith_emulator_outside(Int site, Int dimension, Int at, Int count, Int extent) {
  auto number = [](Int value) { return static_cast<long long>(value); };
  if (count == 1)
    block().fail(FaultKind::kOutOfBounds, site, "index %lld is outside of dimension %lld of extent %lld", number(at),
                 number(dimension), number(extent));
  block().fail(FaultKind::kOutOfBounds, site, "indices %lld to %lld are outside of dimension %lld of extent %lld",
               number(at), number(at + count - 1), number(dimension), number(extent));
}

/// Checks them.
PITH_EXPORT void pith_emulator_bounds(Int site, Int dimension, Int at, Int count, Int extent) {
  if (at < 0 || count < 0 || at > extent - count)
    pith_emulator_outside(site, dimension, at, count, extent);
}

/// The same on the first `lanes` lanes of a warp only: the others' addresses are ignored.
PITH_EXPORT void pith_emulator_lane_bounds(Int site, Int dimension, Int at, Int count, Int extent, Int lanes) {
  if (block().lane() < lanes)
    pith_emulator_bounds(site, dimension, at, count, extent);
}

/// Reports a condition of the program that does not hold.
PITH_EXPORT [[noreturn]] void pith_emulator_assertion(Int site) {
  block().fail(FaultKind::kAssertion, site, "an assertion of the program does not hold");
}

PITH_EXPORT void pith_emulator_aligned(Int site, Int address, Int alignment) {
  if (address % alignment != 0)
    block().fail(FaultKind::kMisaligned, site, "address is %lld bytes past a multiple of %lld",
                 static_cast<long long>(address % alignment), static_cast<long long>(alignment));
}

PITH_EXPORT void pith_emulator_read(Int site, Int address, Int bytes) {
  block().touch(Access::kRead, site, static_cast<std::uintptr_t>(address), bytes);
}
PITH_EXPORT void pith_emulator_write(Int site, Int address, Int bytes) {
  block().touch(Access::kWrite, site, static_cast<std::uintptr_t>(address), bytes);
}
PITH_EXPORT void pith_emulator_atomic(Int site, Int address, Int bytes) {
  block().touch(Access::kAtomic, site, static_cast<std::uintptr_t>(address), bytes);
}
PITH_EXPORT void pith_emulator_global_read(Int site, Int address, Int bytes) {
  block().loadGlobal(site, static_cast<std::uintptr_t>(address), bytes);
}
PITH_EXPORT void pith_emulator_global_write(Int site, Int address, Int bytes) {
  block().storeGlobal(site, static_cast<std::uintptr_t>(address), bytes);
}

/// memref<?xi8> of shared memory: `bytes` from `offset`; negative `bytes`: the dynamic part.
struct ByteMemRef {
  char *allocated, *aligned;
  Int offset, size, stride;
};

PITH_EXPORT void _mlir_ciface_pith_emulator_shared(ByteMemRef *result, Int offset, Int bytes) {
  const Launch &launch = block().running().launch;
  Int first = bytes < 0 ? launch.staticBytes + offset : offset;
  Int size = bytes < 0 ? launch.sharedBytes - first : bytes;
  *result = {block().shared(), block().shared() + first, 0, size, 1};
}

/// thread, block, block dimensions, grid dimensions (x, y, z each); lane, warp, warps.
PITH_EXPORT Int pith_emulator_index(Int which) {
  const Launch &launch = block().running().launch;
  switch (which / 3) {
  case 0:
    return block().thread().id[which % 3];
  case 1:
    return block().id()[which % 3];
  case 2:
    return launch.block[which % 3];
  case 3:
    return launch.grid[which % 3];
  default:
    return which == 12 ? block().lane() : which == 13 ? block().warp() : block().warps();
  }
}

PITH_EXPORT void pith_emulator_spin(Int site) { block().spin(site); }
PITH_EXPORT void pith_emulator_barrier(Int site) { block().barrier(site); }
