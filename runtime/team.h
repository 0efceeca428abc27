// Teams: a parallel region is one function run once by every member of a team.
#pragma once
#include "export.h"
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace pith {

/// A counter that threads wait on: a brief spin, then sleep.
class Gate {
public:
  std::uint32_t epoch() const { return epoch_.load(std::memory_order_acquire); }
  void waitPast(std::uint32_t seen);
  void open();

private:
  std::atomic<std::uint32_t> epoch_{0};
  std::atomic<std::int32_t> sleepers_{0};
  std::mutex mutex_;
  std::condition_variable wake_;
};

/// Reusable barrier for a fixed number of threads.
class Barrier {
public:
  void wait(int size);

private:
  std::atomic<int> arrived_{0};
  Gate gate_;
};

/// Shared state of one loop whose chunks are handed out on demand.
struct DynamicLoop {
  alignas(64) std::atomic<std::uint64_t> next{0};
  std::atomic<std::uint64_t> owner{0}; // ordinal of the loop that may use this slot
  std::atomic<int> finished{0};
};

/// Shared state of the members of one parallel region.
struct Team {
  static constexpr int kLoops = 8;
  static constexpr int kMaxSize = 1024;
  Barrier barrier;
  std::atomic<std::uint64_t> singles{0};
  DynamicLoop loops[kLoops];
  void *partial[kMaxSize]; // one pointer per member; set by __kmpc_reduce
  Team();
};

/// What a thread knows about the region it runs.
struct Member {
  Team *team = nullptr; // null outside of any region
  int id = 0;
  int size = 1;
  std::uint64_t singles = 0; // `single` constructs met so far
  std::uint64_t loops = 0;   // dynamic loops met so far
  std::atomic<std::int64_t> *failure = nullptr; // of the caller that the region runs for; null outside of any region
  // the dynamic loop being run
  std::uint64_t first = 0, trips = 0, chunk = 1;
  std::int64_t step = 1;
  bool guided = false;
};

Member &self();

/// The first check that failed in the calls of one thread, in whichever threads their regions ran; 0: none.
std::atomic<std::int64_t> &failureOfCaller();

using Body = void (*)(void *);

/// Runs body(data) once per member of a new team of at most `threads` members (0: the default).
/// Inside a region the team has one member: nested parallelism is serial.
void runTeam(int threads, Body body, void *data);

/// The process's own workers, for when no OpenMP library is loaded. Calls `member(context, id, size)`
/// for every id; a second region that arrives while one runs gets a size of 1.
void runOwnPool(int threads, void (*member)(void *, int, int), void *context);

/// The OpenMP library other users of this process (torch) run in.
struct OpenMP {
  void (*parallel)(void (*)(void *), void *, unsigned, unsigned) = nullptr;
  int (*threadNum)() = nullptr;
  int (*numThreads)() = nullptr;
  int (*maxThreads)() = nullptr;
  char path[512] = "";
};

/// The OpenMP library mapped at this moment, or null. torch's is preferred.
const OpenMP *findOpenMP();

} // namespace pith
