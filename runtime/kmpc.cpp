// The __kmpc_* entry points that LLVM emits for the omp dialect, on top of teams.
// Interface: openmp/runtime/src/kmp.h of LLVM. `loc` (source position) and `gtid` are not needed here.
#include "team.h"
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <sched.h>
#include <type_traits>
#include <utility>

namespace {

using pith::Member;
using pith::self;

thread_local int pushedThreads = 0; // from __kmpc_push_num_threads, for the next region

constexpr int kMaxArguments = 16;

struct Microtask {
  void *function;
  int count;
  void *arguments[kMaxArguments];
};

template <std::size_t... I> void invoke(const Microtask &task, std::index_sequence<I...>) {
  using Function = void (*)(int *, int *, std::conditional_t<(I >= 0), void *, void *>...);
  int id = self().id, bound = 0;
  reinterpret_cast<Function>(task.function)(&id, &bound, task.arguments[I]...);
}

/// Calls with exactly as many arguments as the compiler passed.
template <std::size_t N = 0> void invokeExactly(const Microtask &task) {
  if constexpr (N < kMaxArguments) {
    if (static_cast<int>(N) != task.count)
      return invokeExactly<N + 1>(task);
  }
  invoke(task, std::make_index_sequence<N>());
}

void runMicrotask(void *data) { invokeExactly(*static_cast<Microtask *>(data)); }

enum Schedule { kStaticChunked = 33, kGuided = 36 };

int scheduleKind(std::int32_t schedule) { return schedule & 0xffff; } // drops the monotonic modifiers

/// Iterations of lower..upper by step; 0 for an empty loop. An unsigned 0..max loop wraps to 0: LLVM's
/// way to say "no iterations".
template <class T, class S> std::make_unsigned_t<T> tripCount(T lower, T upper, S step) {
  using U = std::make_unsigned_t<T>;
  if (step > 0 ? upper < lower : lower < upper)
    return 0;
  U distance = step > 0 ? static_cast<U>(upper) - static_cast<U>(lower) : static_cast<U>(lower) - static_cast<U>(upper);
  U stride = step > 0 ? static_cast<U>(step) : U{0} - static_cast<U>(step);
  return stride == 0 ? 0 : static_cast<U>(distance / stride + 1);
}

/// Gives this member its part of the loop: one even block, or every size-th chunk.
template <class T, class S>
void staticInit(int schedule, std::int32_t *last, T *lower, T *upper, S *stride, S step, S chunk) {
  using U = std::make_unsigned_t<T>;
  const Member &me = self();
  if (step > 0 ? *upper < *lower : *lower < *upper) {
    *last = 0;
    return;
  }
  U trips = tripCount(*lower, *upper, step), id = static_cast<U>(me.id), size = static_cast<U>(me.size);
  U begin, count;
  if (scheduleKind(schedule) == kStaticChunked && chunk > 0) {
    U width = static_cast<U>(chunk);
    begin = id * width;
    count = width; // the generated loop clips the last chunk
    *stride = static_cast<S>(width * size * static_cast<U>(step));
    *last = trips != 0 && (trips - 1) / width % size == id;
  } else {
    U even = trips / size, rest = trips % size;
    begin = id * even + (id < rest ? id : rest);
    count = even + (id < rest ? 1 : 0);
    *stride = static_cast<S>(trips * static_cast<U>(step));
    *last = count != 0 && begin + count == trips;
  }
  T first = static_cast<T>(static_cast<U>(*lower) + begin * static_cast<U>(step));
  *upper = static_cast<T>(static_cast<U>(first) + (count - 1) * static_cast<U>(step));
  *lower = count == 0 ? static_cast<T>(static_cast<U>(*upper) + static_cast<U>(step)) : first;
}

/// The team of this member; a thread outside of any region is a team of its own.
pith::Team &teamOf(const Member &me) {
  static thread_local pith::Team solo;
  return me.team ? *me.team : solo;
}

pith::DynamicLoop &currentLoop(const Member &me) { return teamOf(me).loops[me.loops % pith::Team::kLoops]; }

template <class T, class S> void dispatchInit(int schedule, T lower, T upper, S step, S chunk) {
  Member &me = self();
  me.first = static_cast<std::uint64_t>(lower);
  me.trips = tripCount(lower, upper, step);
  me.step = step;
  me.chunk = chunk < 1 ? 1 : static_cast<std::uint64_t>(chunk);
  me.guided = scheduleKind(schedule) == kGuided;
  while (currentLoop(me).owner.load(std::memory_order_acquire) != me.loops)
    asm volatile("pause"); // a slow member is still in the loop that used this slot before
}

/// Takes the next chunk [begin, begin + count) of the current loop; false when none is left.
bool takeChunk(const Member &me, std::atomic<std::uint64_t> &next, std::uint64_t &begin, std::uint64_t &count) {
  begin = next.load(std::memory_order_relaxed);
  do {
    if (begin >= me.trips)
      return false;
    std::uint64_t left = me.trips - begin, share = left / (2 * static_cast<std::uint64_t>(me.size));
    count = me.guided && share > me.chunk ? share : me.chunk;
    count = count < left ? count : left;
  } while (!next.compare_exchange_weak(begin, begin + count, std::memory_order_relaxed));
  return true;
}

/// The last member to leave makes the slot ready for the loop kLoops loops later.
void leaveLoop(Member &me, pith::DynamicLoop &loop) {
  if (loop.finished.fetch_add(1, std::memory_order_acq_rel) + 1 == me.size) {
    loop.finished.store(0, std::memory_order_relaxed);
    loop.next.store(0, std::memory_order_relaxed);
    loop.owner.store(me.loops + pith::Team::kLoops, std::memory_order_release);
  }
  ++me.loops;
}

template <class T, class S> std::int32_t dispatchNext(std::int32_t *last, T *lower, T *upper, S *stride) {
  using U = std::make_unsigned_t<T>;
  Member &me = self();
  pith::DynamicLoop &loop = currentLoop(me);
  std::uint64_t begin = 0, count = 0;
  if (!takeChunk(me, loop.next, begin, count)) {
    leaveLoop(me, loop);
    return 0;
  }
  U step = static_cast<U>(me.step);
  *lower = static_cast<T>(static_cast<U>(me.first) + static_cast<U>(begin) * step);
  *upper = static_cast<T>(static_cast<U>(*lower) + static_cast<U>(count - 1) * step);
  if (last)
    *last = begin + count == me.trips;
  if (stride)
    *stride = static_cast<S>(me.step);
  return 1;
}

void teamBarrier(const Member &me) {
  if (me.team)
    me.team->barrier.wait(me.size);
}

/// Combines the partial results of all members into the first member's, in the order of their ids, so that
/// the same number of threads gives the same bits. Returns true for the member that goes on to use the result.
bool combinePartials(void *partial, void (*combine)(void *, void *)) {
  const Member &me = self();
  if (!me.team || me.size == 1)
    return true;
  me.team->partial[me.id] = partial;
  teamBarrier(me);
  if (me.id == 0)
    for (int other = 1; other < me.size; ++other)
      combine(me.team->partial[0], me.team->partial[other]);
  return me.id == 0;
}

/// A lock in the word the compiler reserves per `critical` name, zero at first.
std::atomic<std::int32_t> &lockWord(void *name) { return *static_cast<std::atomic<std::int32_t> *>(name); }

} // namespace

using Int = std::int32_t;

PITH_EXPORT Int __kmpc_global_thread_num(void *) { return self().id; }
PITH_EXPORT void __kmpc_push_num_threads(void *, Int, Int threads) { pushedThreads = threads; }

/// What the next region will do, in scalar operations (about 0.3 ns each). Waking the other threads
/// takes about 5 us when they spin and far longer when they sleep, so less than 10 us stays here.
PITH_EXPORT void pith_expect_work(std::int64_t operations) {
  constexpr std::int64_t kWorthWaking = 32768;
  if (operations < kWorthWaking)
    pushedThreads = 1;
}

PITH_EXPORT void __kmpc_fork_call(void *, Int count, void *function, ...) {
  if (count < 0 || count > kMaxArguments) {
    std::fprintf(stderr, "pith: a parallel region has %d arguments; at most %d are supported\n", count, kMaxArguments);
    std::abort();
  }
  Microtask task{function, count, {}};
  va_list list;
  va_start(list, function);
  for (int i = 0; i < count; ++i)
    task.arguments[i] = va_arg(list, void *);
  va_end(list);
  pith::runTeam(std::exchange(pushedThreads, 0), runMicrotask, &task);
}

PITH_EXPORT void __kmpc_fork_call_if(void *, Int, void *function, Int condition, void *argument) {
  Microtask task{function, argument ? 1 : 0, {argument}};
  int pushed = std::exchange(pushedThreads, 0);
  pith::runTeam(condition ? pushed : 1, runMicrotask, &task);
}

PITH_EXPORT void __kmpc_barrier(void *, Int) { teamBarrier(self()); }
PITH_EXPORT void __kmpc_flush(void *) { std::atomic_thread_fence(std::memory_order_seq_cst); }

#define PITH_LOOPS(SUFFIX, T, S)                                                                                       \
  PITH_EXPORT void __kmpc_for_static_init_##SUFFIX(void *, Int, Int schedule, Int *last, T *lower, T *upper,           \
                                                   S *stride, S step, S chunk) {                                       \
    staticInit(schedule, last, lower, upper, stride, step, chunk);                                                     \
  }                                                                                                                    \
  PITH_EXPORT void __kmpc_dispatch_init_##SUFFIX(void *, Int, Int schedule, T lower, T upper, S step, S chunk) {       \
    dispatchInit(schedule, lower, upper, step, chunk);                                                                 \
  }                                                                                                                    \
  PITH_EXPORT Int __kmpc_dispatch_next_##SUFFIX(void *, Int, Int *last, T *lower, T *upper, S *stride) {               \
    return dispatchNext(last, lower, upper, stride);                                                                   \
  }                                                                                                                    \
  PITH_EXPORT void __kmpc_dispatch_fini_##SUFFIX(void *, Int) {}

PITH_LOOPS(4, std::int32_t, std::int32_t)
PITH_LOOPS(4u, std::uint32_t, std::int32_t)
PITH_LOOPS(8, std::int64_t, std::int64_t)
PITH_LOOPS(8u, std::uint64_t, std::int64_t)

PITH_EXPORT void __kmpc_for_static_fini(void *, Int) {}
PITH_EXPORT void __kmpc_dispatch_deinit(void *, Int) {}

// Blocking reduction: the other members wait until the first one has called __kmpc_end_reduce.
PITH_EXPORT Int __kmpc_reduce(void *, Int, Int, std::size_t, void *partial, void (*combine)(void *, void *), void *) {
  if (combinePartials(partial, combine))
    return 1;
  teamBarrier(self());
  return 0;
}
PITH_EXPORT void __kmpc_end_reduce(void *, Int, void *) { teamBarrier(self()); }

// The other members only wait until their partial results were read.
PITH_EXPORT Int __kmpc_reduce_nowait(void *, Int, Int, std::size_t, void *partial, void (*combine)(void *, void *),
                                     void *) {
  bool first = combinePartials(partial, combine);
  teamBarrier(self());
  return first;
}
PITH_EXPORT void __kmpc_end_reduce_nowait(void *, Int, void *) {}

PITH_EXPORT void __kmpc_critical(void *, Int, void *name) {
  while (lockWord(name).exchange(1, std::memory_order_acquire) != 0)
    sched_yield();
}
PITH_EXPORT void __kmpc_end_critical(void *, Int, void *name) { lockWord(name).store(0, std::memory_order_release); }

PITH_EXPORT Int __kmpc_master(void *, Int) { return self().id == 0; }
PITH_EXPORT void __kmpc_end_master(void *, Int) {}
PITH_EXPORT Int __kmpc_masked(void *, Int, Int filter) { return self().id == filter; }
PITH_EXPORT void __kmpc_end_masked(void *, Int) {}

PITH_EXPORT Int __kmpc_single(void *, Int) {
  Member &me = self();
  std::uint64_t mine = me.singles++;
  return !me.team || me.team->singles.compare_exchange_strong(mine, mine + 1);
}
PITH_EXPORT void __kmpc_end_single(void *, Int) {}
