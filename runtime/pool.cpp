// The own pool: workers that sleep between regions. Used when no OpenMP library is loaded.
#include "team.h"
#include <pthread.h>
#include <thread>

namespace pith {
namespace {

class Pool {
public:
  void run(int threads, void (*member)(void *, int, int), void *context) {
    std::unique_lock<std::mutex> busy(mutex_, std::try_to_lock);
    if (!busy.owns_lock())
      return member(context, 0, 1);
    size_ = 1 + grow(threads - 1);
    member_ = member;
    context_ = context;
    running_.store(workers_, std::memory_order_relaxed);
    start_.open();
    member(context, 0, size_);
    for (std::uint32_t seen = done_.epoch(); running_.load(std::memory_order_acquire) != 0; seen = done_.epoch())
      done_.waitPast(seen);
  }

private:
  /// Makes sure of `wanted` workers if the system has that many; returns how many there are for this region.
  int grow(int wanted) {
    try {
      for (; workers_ < wanted; ++workers_)
        std::thread([this, id = workers_ + 1, seen = start_.epoch()] { work(id, seen); }).detach();
    } catch (const std::system_error &) {
      // out of threads: the region gets those that could be started
    }
    return wanted < workers_ ? wanted : workers_;
  }

  void work(int id, std::uint32_t seen) {
    for (;; ++seen) {
      start_.waitPast(seen);
      if (id < size_)
        member_(context_, id, size_);
      if (running_.fetch_sub(1, std::memory_order_acq_rel) == 1)
        done_.open();
    }
  }

  std::mutex mutex_;
  int workers_ = 0;
  int size_ = 0;
  void (*member_)(void *, int, int) = nullptr;
  void *context_ = nullptr;
  std::atomic<int> running_{0};
  Gate start_, done_;
};

Pool *pool = nullptr;

/// Workers do not survive fork(): the child starts with a new pool (the old one is left behind).
void makePool() { pool = new Pool; }

} // namespace

void runOwnPool(int threads, void (*member)(void *, int, int), void *context) {
  static std::once_flag once;
  std::call_once(once, [] {
    makePool();
    pthread_atfork(nullptr, nullptr, makePool);
  });
  pool->run(threads, member, context);
}

} // namespace pith
