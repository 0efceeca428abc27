// One emulated block: its threads, warps and shared memory, and the scheduler that runs them.
#pragma once
#include "fiber.h"
#include "launch.h"
#include "mbarrier.h"
#include "shadow.h"
#include "wgmma.h"
#include <cstdarg>
#include <memory>
#include <vector>

namespace pith::emulator {

constexpr int kWarp = 32;
using Mask = std::uint32_t;

/// An asynchronous copy that has been issued and has not landed.
struct Copy {
  std::int64_t site;
  char *to;
  const char *from;
  std::int64_t bytes, given; // what is not given is zero
};

struct Thread {
  enum State : std::uint8_t { kReady, kAtBarrier, kAtWarp, kAtMbarrier, kDone };
  State state = kReady;
  void *stack = nullptr;   // where it stopped
  std::int64_t site = 0;   // of the op it waits at
  Mask mask = 0;           // of the lanes it waits for
  void *payload = nullptr; // what it brings to a warp-wide op
  std::uintptr_t barrier = 0; // whose phase it waits for
  std::uint64_t seen = 0;     // of that barrier, when it went to wait
  std::int64_t id[3] = {};
  std::vector<Copy> copies;                 // not committed to a group
  std::vector<std::vector<Copy>> groups;    // committed, oldest first
};

/// Two bytes of a store to global memory, remembered to notice the next one.
struct Store {
  std::uintptr_t address = 0;
  std::int64_t site = 0;
  std::uint32_t epoch = 0;
  std::int32_t thread = -1;
};

/// What a thread of the operating system keeps between launches: touching fresh pages costs more than small blocks.
struct Workspace {
  Stacks stacks;
  Shadow shadow;
  std::unique_ptr<char[], void (*)(void *)> shared{nullptr, nullptr};
  std::int64_t sharedBytes = 0;
  std::vector<Store> stores;
  std::uint32_t epoch = 0; // counts blocks and barriers

  static Workspace &mine();
  /// Makes sure of memory for a block; false when the system has none.
  bool reserve(std::size_t threads, std::int64_t bytes);
};

/// Runs blocks one after the other on one thread of the operating system.
class Block {
public:
  Block(Running &running, Workspace &workspace);

  /// Runs block `number`; false when a fault was reported here or elsewhere.
  bool run(std::int64_t number);

  /// The block whose fiber runs on this thread of the operating system.
  static Block &current();

  // What threads call.
  Thread &thread() { return threads_[static_cast<std::size_t>(now_)]; }
  int threadNumber() const { return now_; }
  int lane() const { return now_ % kWarp; }
  int warp() const { return now_ / kWarp; }
  int warps() const { return (size_ + kWarp - 1) / kWarp; }
  const std::int64_t *id() const { return id_; }
  Running &running() { return running_; }
  bool watched() const { return running_.launch.checks != 0; }

  /// Waits until every thread of the block is here; `payload` and `combine` (run once, by the last) for reductions.
  void barrier(std::int64_t site, void *payload = nullptr, void (*combine)(Block &) = nullptr);
  /// Waits until all lanes of `mask` are at this op. Returns true on the one that came last: it acts for all,
  /// then calls `dismiss`.
  bool gather(std::int64_t site, Mask mask, void *payload);
  void dismiss(Mask mask);
  /// What lane `lane` of this warp brought.
  void *payload(int lane) { return threads_[static_cast<std::size_t>(warp() * kWarp + lane)].payload; }
  void *payloadOf(int thread) { return threads_[static_cast<std::size_t>(thread)].payload; }
  /// Lanes of this warp that exist.
  Mask lanes() const;
  // Barriers in shared memory, and the boxes that land on them.
  void initBarrier(std::int64_t site, std::uintptr_t address, std::int64_t count);
  void fenceBarriers() { unfenced_.clear(); }
  /// Counts arrivals, and bytes that are expected (or, below 0, have landed), in the barrier's phase.
  void changeBarrier(std::int64_t site, std::uintptr_t address, std::int64_t arrivals, std::int64_t bytes);
  /// Waits until the phase of this parity is complete.
  void awaitPhase(std::int64_t site, std::uintptr_t address, int parity);
  void issueBox(const BoxCopy &copy);
  /// What this warp has asked of wgmma.
  MatrixQueue &matrices();
  /// Lets the others run; a dead-lock when nothing in the launch has moved for too long.
  void spin(std::int64_t site);

  /// Checks an access to shared memory and remembers it.
  void touch(Access access, std::int64_t site, std::uintptr_t address, std::int64_t bytes);
  /// Checks a plain access to global memory against the last stores of this block.
  void storeGlobal(std::int64_t site, std::uintptr_t address, std::int64_t bytes);
  void loadGlobal(std::int64_t site, std::uintptr_t address, std::int64_t bytes);
  char *shared() { return space_.shared.get(); }
  Shadow &shadow() { return space_.shadow; }

  /// Reports what this thread did and never returns to it.
  [[noreturn]] void fail(FaultKind kind, std::int64_t site, const char *format, ...)
      __attribute__((format(printf, 4, 5)));
  /// The same, with the op of another thread.
  struct Other {
    int thread = -1;
    std::int64_t site = 0;
  };
  [[noreturn]] void failWith(Other other, FaultKind kind, std::int64_t site, const char *format, ...)
      __attribute__((format(printf, 5, 6)));

private:
  static void enter();
  template <class Meet> void eachStore(std::uintptr_t address, std::int64_t bytes, Meet meet);
  bool prepare(std::int64_t number);
  bool step(int warp);
  void resume(int thread);
  void yield();
  bool releaseBarrier();
  /// Threads run upwards and downwards in turn, from block to block and from barrier to barrier: what relies on
  /// an order that hardware does not promise comes out wrong.
  bool backwards() const { return phase_ % 2 != 0; }
  /// True when both are at the same warp-wide op and wait for each other.
  static bool meet(const Thread &a, const Thread &b) {
    return b.state == Thread::kAtWarp && b.site == a.site && b.mask == a.mask;
  }
  void checkMatrices(std::int64_t site, std::uintptr_t address, std::int64_t bytes);
  void reportStuck();
  void reportWarp(int thread);
  void reportPhase(int thread);
  bool changedSince(const Thread &thread) const;
  void checkBox(const BoxCopy &copy);
  void land(const BoxCopy &copy);
  /// Lands what goes to a barrier; false when nothing does.
  bool landBoxes(std::uintptr_t barrier);
  void report(int thread, Other other, FaultKind kind, std::int64_t site, const char *format, std::va_list rest);
  void reportAs(int thread, Other other, FaultKind kind, std::int64_t site, const char *format, ...)
      __attribute__((format(printf, 6, 7)));

  Running &running_;
  Workspace &space_;
  int size_;
  int now_ = 0;
  int done_ = 0, waiting_ = 0;
  std::int64_t phase_ = 0; // number of the block, plus barriers passed
  bool failed_ = false;
  std::uint64_t spins_ = 0;
  std::int64_t seenProgress_ = -1;
  double seenAt_ = 0;
  void *scheduler_ = nullptr;
  void (*combine_)(Block &) = nullptr;
  std::int64_t id_[3] = {};
  std::vector<Thread> threads_;
  std::vector<MatrixQueue> matrices_; // per warp
  std::vector<BoxCopy> boxes_;           // under way
  std::vector<std::uintptr_t> unfenced_; // barriers that copies may not see yet
};

} // namespace pith::emulator
