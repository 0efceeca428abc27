// What a launch is and what is reported when a kernel does what hardware does not define. Mirrored by
// python/pith/runtime/emulator.py.
#pragma once
#include <atomic>
#include <cstdint>
#include <mutex>

namespace pith::emulator {

/// What went wrong; the names are in python/pith/runtime/emulator.py.
enum class FaultKind : std::int64_t {
  kNone,
  kOutOfBounds,
  kUninitialised,
  kRace,
  kDivergence,
  kMisaligned,
  kDeadlock,
  kStackOverflow,
  kInvalid,
  kNoMemory,
  kAssertion,
};

/// The first fault of a launch. Sites number the ops of the kernel's module; 0 is none.
struct Fault {
  FaultKind kind;
  std::int64_t site;
  std::int64_t otherSite; // of the other thread's op, where two are involved
  std::int64_t block[3];
  std::int64_t thread[3];
  std::int64_t otherThread[3]; // -1 on x: there is none
  char text[320];
};

struct Launch {
  void (*entry)(void **); // the packed wrapper of the kernel
  void **arguments;
  std::int64_t grid[3];
  std::int64_t block[3];
  std::int64_t sharedBytes; // static, then dynamic
  std::int64_t staticBytes;
  std::int64_t checks; // 0: memory is not watched
  double patience;     // seconds without progress before a launch that spins is a dead-lock
};

/// A launch while it runs, shared by the workers.
struct Running {
  const Launch &launch;
  Fault *fault;
  std::atomic<std::int64_t> nextBlock{0};
  std::atomic<std::int64_t> progress{0}; // barriers passed, threads and blocks finished
  std::atomic<bool> failed{false};
  std::mutex reporting;

  Running(const Launch &launch, Fault *fault) : launch(launch), fault(fault) {}
  std::int64_t threads() const { return launch.block[0] * launch.block[1] * launch.block[2]; }
  std::int64_t blocks() const { return launch.grid[0] * launch.grid[1] * launch.grid[2]; }
};

} // namespace pith::emulator
