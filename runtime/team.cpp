// Teams on top of the OpenMP library of the process, or of the own pool.
#include "team.h"
#include <chrono>
#include <cstdlib>
#include <sched.h>

namespace pith {
namespace {

std::atomic<int> requestedThreads{0}; // 0: not set

int fromEnvironment(const char *name) {
  const char *text = std::getenv(name);
  long value = text ? std::strtol(text, nullptr, 10) : 0;
  return value < 1 ? 0 : value > Team::kMaxSize ? Team::kMaxSize : static_cast<int>(value);
}

int usableProcessors() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0)
    return 1;
  int count = CPU_COUNT(&set);
  return count < 1 ? 1 : count;
}

int environmentThreads() {
  static const int threads = fromEnvironment("PITH_NUM_THREADS");
  return threads;
}

int ownPoolThreads() {
  static const int threads = [] {
    int wanted = fromEnvironment("OMP_NUM_THREADS");
    return wanted ? wanted : usableProcessors();
  }();
  return threads;
}

int defaultThreads(const OpenMP *openmp) {
  if (int set = requestedThreads.load(std::memory_order_relaxed))
    return set;
  if (int set = environmentThreads())
    return set;
  int threads = openmp ? openmp->maxThreads() : ownPoolThreads();
  return threads < 1 ? 1 : threads > Team::kMaxSize ? Team::kMaxSize : threads;
}

struct Region {
  Team team;
  Body body;
  void *data;
  const OpenMP *openmp;
  std::atomic<std::int64_t> *failure;
};

void runMember(Region &region, int id, int size) {
  Member &me = self();
  Member outer = me;
  me = Member();
  me.team = &region.team;
  me.id = id;
  me.size = size;
  me.failure = region.failure;
  region.body(region.data);
  me = outer;
}

void openmpMember(void *context) {
  auto &region = *static_cast<Region *>(context);
  runMember(region, region.openmp->threadNum(), region.openmp->numThreads());
}

void poolMember(void *context, int id, int size) { runMember(*static_cast<Region *>(context), id, size); }

} // namespace

Member &self() {
  static thread_local Member member;
  return member;
}

Team::Team() {
  for (int i = 0; i < kLoops; ++i)
    loops[i].owner.store(i, std::memory_order_relaxed);
}

void Gate::waitPast(std::uint32_t seen) {
  // 50 us is longer than the gap between two regions of a kernel, and ten times what sleeping and waking costs.
  // Measured in time: a pause takes 10 ns on one machine and 115 ns on another (a virtual one). Yielding lets the
  // thread waited for run when there are more threads than processors.
  using Clock = std::chrono::steady_clock;
  for (auto end = Clock::now() + std::chrono::microseconds(50); Clock::now() < end; sched_yield())
    for (int spin = 0; spin < 8; ++spin) {
      if (epoch() != seen)
        return;
      asm volatile("pause");
    }
  std::unique_lock<std::mutex> lock(mutex_);
  sleepers_.fetch_add(1);
  wake_.wait(lock, [&] { return epoch_.load() != seen; });
  sleepers_.fetch_sub(1);
}

void Gate::open() {
  epoch_.fetch_add(1);
  if (sleepers_.load() == 0)
    return;
  std::lock_guard<std::mutex> lock(mutex_);
  wake_.notify_all();
}

void Barrier::wait(int size) {
  if (size == 1)
    return;
  std::uint32_t seen = gate_.epoch();
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 < size)
    return gate_.waitPast(seen);
  arrived_.store(0, std::memory_order_relaxed);
  gate_.open();
}

void runTeam(int threads, Body body, void *data) {
  Region region;
  region.body = body;
  region.data = data;
  region.openmp = nullptr;
  region.failure = &failureOfCaller();
  if (self().team || threads == 1)
    return runMember(region, 0, 1);
  region.openmp = findOpenMP();
  if (threads < 1 || threads > Team::kMaxSize)
    threads = defaultThreads(region.openmp);
  if (threads == 1)
    runMember(region, 0, 1);
  else if (region.openmp)
    region.openmp->parallel(openmpMember, &region, static_cast<unsigned>(threads), 0);
  else
    runOwnPool(threads, poolMember, &region);
}

} // namespace pith

/// Threads the next parallel region gets; 0 goes back to PITH_NUM_THREADS or the OpenMP library's number.
PITH_EXPORT void pith_set_num_threads(int threads) {
  bool valid = threads >= 0 && threads <= pith::Team::kMaxSize;
  if (valid)
    pith::requestedThreads.store(threads, std::memory_order_relaxed);
}

PITH_EXPORT int pith_get_num_threads() { return pith::defaultThreads(pith::findOpenMP()); }

/// Path of the OpenMP library regions run in; empty when pith runs them in its own pool.
PITH_EXPORT const char *pith_openmp_path() {
  const pith::OpenMP *openmp = pith::findOpenMP();
  return openmp ? openmp->path : "";
}
