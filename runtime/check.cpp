// Run-time checks of compiled programs. A check that fails is remembered, the program goes on with a
// safe value in place of the bad one, and the caller asks afterwards: nothing unwinds through kernels.
#include "team.h"

std::atomic<std::int64_t> &pith::failureOfCaller() {
  static thread_local std::atomic<std::int64_t> own{0};
  std::atomic<std::int64_t> *outer = self().failure;
  return outer ? *outer : own;
}

/// `id` names the check (never 0); only the first failure since the caller's last take is kept.
PITH_EXPORT void pith_check(bool holds, std::int64_t id) {
  if (holds)
    return;
  std::int64_t none = 0;
  pith::failureOfCaller().compare_exchange_strong(none, id, std::memory_order_relaxed);
}

/// The id of a check that failed in a call of this thread since it last asked, or 0.
PITH_EXPORT std::int64_t pith_take_failure() {
  return pith::failureOfCaller().exchange(0, std::memory_order_relaxed);
}
