// Run-time checks of compiled programs. A check that fails is remembered, the program goes on with a
// safe value in place of the bad one, and the caller asks afterwards: nothing unwinds through kernels.
#include "export.h"

#include <atomic>
#include <cstdint>

namespace {
std::atomic<std::int64_t> failure{0};
}

/// `id` names the check (never 0); only the first failure since the last take is kept.
PITH_EXPORT void pith_check(bool holds, std::int64_t id) {
  if (holds)
    return;
  std::int64_t none = 0;
  failure.compare_exchange_strong(none, id, std::memory_order_relaxed);
}

/// The id of a check that failed since the last call, or 0.
PITH_EXPORT std::int64_t pith_take_failure() { return failure.exchange(0, std::memory_order_relaxed); }
