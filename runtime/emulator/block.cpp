#include "block.h"
#include <algorithm>
#include <chrono>
#include <cstdarg>
#include <cstdlib>
#include <cstring>

namespace pith::emulator {
namespace {

thread_local Block *active = nullptr;

/// Shared memory starts where the strictest instruction (TMA) wants it.
constexpr std::size_t kSharedAlignment = 1024;

double seconds() {
  using namespace std::chrono;
  return duration<double>(steady_clock::now().time_since_epoch()).count();
}

} // namespace

Workspace &Workspace::mine() {
  static thread_local Workspace workspace;
  return workspace;
}

bool Workspace::reserve(std::size_t threads, std::int64_t bytes) {
  constexpr std::size_t kStores = 1 << 14; // a block of 256 threads that store 32 elements of f32 each
  stores.resize(kStores);
  if (!shared || sharedBytes < bytes) {
    std::size_t whole = (static_cast<std::size_t>(bytes) / kSharedAlignment + 1) * kSharedAlignment;
    shared = {static_cast<char *>(std::aligned_alloc(kSharedAlignment, whole)), std::free};
    sharedBytes = bytes;
  }
  return shared && stacks.reserve(threads);
}

Block::Block(Running &running, Workspace &workspace)
    : running_(running), space_(workspace), size_(static_cast<int>(running.threads())),
      threads_(static_cast<std::size_t>(size_)) {}

Block &Block::current() { return *active; }

Mask Block::lanes() const {
  int rest = size_ - warp() * kWarp;
  return rest >= kWarp ? ~Mask{0} : (Mask{1} << rest) - 1;
}

bool Block::run(std::int64_t number) {
  if (!prepare(number))
    return false;
  active = this;
  while (!failed_ && done_ < size_) {
    bool moved = false;
    for (int i = 0; i < warps() && !failed_; ++i)
      moved |= step(backwards() ? warps() - 1 - i : i);
    if (failed_ || running_.failed.load(std::memory_order_relaxed))
      break;
    if (!moved && !releaseBarrier())
      reportStuck();
  }
  if (!failed_ && done_ == size_ && !boxes_.empty())
    reportAs(boxes_[0].thread, {}, FaultKind::kInvalid, boxes_[0].site, "its block ends before this copy has landed");
  active = nullptr;
  running_.progress.fetch_add(1, std::memory_order_relaxed);
  return done_ == size_ && !failed_;
}

bool Block::prepare(std::int64_t number) {
  const Launch &launch = running_.launch;
  if (!space_.reserve(static_cast<std::size_t>(size_), launch.sharedBytes)) {
    reportAs(0, {}, FaultKind::kNoMemory, 0, "no memory for the stacks of %d threads", size_);
    return false;
  }
  id_[0] = number % launch.grid[0];
  id_[1] = number / launch.grid[0] % launch.grid[1];
  id_[2] = number / launch.grid[0] / launch.grid[1];
  std::memset(shared(), 0xff, static_cast<std::size_t>(launch.sharedBytes));
  if (watched())
    shadow().start(launch.sharedBytes, warps());
  for (int t = 0; t < size_; ++t) {
    Thread &thread = threads_[static_cast<std::size_t>(t)];
    thread.state = Thread::kReady;
    thread.stack = space_.stacks.prepare(static_cast<std::size_t>(t), enter);
    thread.id[0] = t % launch.block[0];
    thread.id[1] = t / launch.block[0] % launch.block[1];
    thread.id[2] = t / launch.block[0] / launch.block[1];
    thread.copies.clear();
    thread.groups.clear();
  }
  boxes_.clear();
  unfenced_.clear();
  matrices_.assign(static_cast<std::size_t>(warps()), {});
  done_ = waiting_ = 0;
  phase_ = number;
  failed_ = false;
  ++space_.epoch;
  return true;
}

/// Where fibers start.
void Block::enter() {
  Block &block = current();
  block.running_.launch.entry(block.running_.launch.arguments);
  block.thread().state = Thread::kDone;
  ++block.done_;
  block.running_.progress.fetch_add(1, std::memory_order_relaxed);
  block.yield();
  __builtin_unreachable();
}

/// Runs the lanes of a warp until all wait or are done. A lane that spins gets a bounded number of turns.
bool Block::step(int warp) {
  constexpr int kTurns = 64;
  bool moved = false;
  int first = warp * kWarp, end = std::min(size_, first + kWarp);
  for (int turn = 0; turn < kTurns; ++turn) {
    bool ran = false;
    for (int i = first; i < end && !failed_; ++i) {
      int t = backwards() ? first + end - 1 - i : i;
      Thread &thread = threads_[static_cast<std::size_t>(t)];
      if (thread.state == Thread::kAtMbarrier && changedSince(thread))
        thread.state = Thread::kReady;
      if (thread.state == Thread::kReady) {
        resume(t);
        ran = true;
      }
    }
    moved |= ran;
    if (!ran || failed_)
      break;
  }
  return moved;
}

void Block::resume(int thread) {
  now_ = thread;
  pith_emulator_switch(&scheduler_, threads_[static_cast<std::size_t>(thread)].stack);
  if (!failed_ && !space_.stacks.intact(static_cast<std::size_t>(thread))) {
    failed_ = true;
    reportAs(thread, {}, FaultKind::kStackOverflow, 0, "needs more than %zu bytes of stack", Stacks::kBytes);
  }
}

void Block::yield() { pith_emulator_switch(&thread().stack, scheduler_); }

void Block::barrier(std::int64_t site, void *payload, void (*combine)(Block &)) {
  Thread &me = thread();
  me.site = site;
  me.payload = payload;
  me.state = Thread::kAtBarrier;
  combine_ = combine;
  ++waiting_;
  yield();
}

bool Block::releaseBarrier() {
  if (waiting_ != size_)
    return false;
  const Thread &first = threads_[0];
  for (const Thread &thread : threads_)
    if (thread.site != first.site)
      return false;
  if (combine_)
    combine_(*this);
  for (Thread &thread : threads_)
    thread.state = Thread::kReady;
  waiting_ = 0;
  ++phase_;
  ++space_.epoch;
  if (watched())
    shadow().blockBarrier();
  running_.progress.fetch_add(1, std::memory_order_relaxed);
  return true;
}

bool Block::gather(std::int64_t site, Mask mask, void *payload) {
  Thread &me = thread();
  me.site = site;
  me.mask = mask & lanes();
  me.payload = payload;
  if (!(me.mask >> lane() & 1))
    fail(FaultKind::kDivergence, site, "runs a warp-wide op whose mask 0x%x leaves it out", mask);
  me.state = Thread::kAtWarp;
  for (int other = kWarp - 1; other >= 0; --other) {
    if (!(me.mask >> other & 1))
      continue;
    if (!meet(me, threads_[static_cast<std::size_t>(warp() * kWarp + other)])) {
      yield();
      return false;
    }
  }
  return true;
}

void Block::dismiss(Mask mask) {
  for (int other = 0; other < kWarp; ++other)
    if (mask & lanes() & Mask{1} << other)
      threads_[static_cast<std::size_t>(warp() * kWarp + other)].state = Thread::kReady;
}

void Block::spin(std::int64_t site) {
  // Most loops end within a few trips: only those that do not let others run, and look at the clock rarely.
  if (++spins_ % 256 != 0)
    return;
  if (spins_ % (1 << 14) == 0) {
    std::int64_t progress = running_.progress.load(std::memory_order_relaxed);
    double now = seconds();
    if (progress != seenProgress_) {
      seenProgress_ = progress;
      seenAt_ = now;
    } else if (now - seenAt_ > running_.launch.patience) {
      fail(FaultKind::kDeadlock, site, "spins in this loop, and nothing in the launch has moved for %.3g s",
           running_.launch.patience);
    }
  }
  if (running_.failed.load(std::memory_order_relaxed))
    failed_ = true;
  yield();
}

} // namespace pith::emulator
