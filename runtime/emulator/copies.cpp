// cp.async: copies from global to shared memory that land when they are waited for, and not before.
#include "../export.h"
#include "block.h"
#include <cstring>

using namespace pith::emulator;
using Int = std::int64_t;

namespace {

Block &block() { return Block::current(); }

void land(const std::vector<Copy> &copies) {
  for (const Copy &copy : copies) {
    block().touch(Access::kAsyncLand, copy.site, reinterpret_cast<std::uintptr_t>(copy.to), copy.bytes);
    std::memcpy(copy.to, copy.from, static_cast<std::size_t>(copy.given));
    std::memset(copy.to + copy.given, 0, static_cast<std::size_t>(copy.bytes - copy.given));
  }
}

} // namespace

PITH_EXPORT void pith_emulator_async_copy(Int site, Int to, Int from, Int bytes, Int given) {
  for (Int address : {to, from})
    if (auto past = static_cast<int>(address % bytes))
      block().fail(FaultKind::kMisaligned, site, "%s of an asynchronous copy is %d bytes past a multiple of %d",
                   address == to ? "destination" : "source", past, static_cast<int>(bytes));
  block().touch(Access::kAsyncIssue, site, static_cast<std::uintptr_t>(to), bytes);
  block().thread().copies.push_back(
      {site, reinterpret_cast<char *>(to), reinterpret_cast<const char *>(from), bytes, given});
}

PITH_EXPORT void pith_emulator_async_commit() {
  Thread &thread = block().thread();
  thread.groups.push_back(std::move(thread.copies));
  thread.copies.clear();
}

/// Waits until at most `pending` of this thread's latest groups have not landed.
PITH_EXPORT void pith_emulator_async_wait(Int pending) {
  auto &groups = block().thread().groups;
  auto arrived = static_cast<Int>(groups.size()) - pending;
  if (arrived <= 0)
    return;
  for (Int i = 0; i < arrived; ++i)
    land(groups[static_cast<std::size_t>(i)]);
  groups.erase(groups.begin(), groups.begin() + arrived);
}
