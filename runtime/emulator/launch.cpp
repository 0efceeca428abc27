// The entry point: every block of a grid, in parallel, in order of their numbers.
#include "../export.h"
#include "../team.h"
#include "block.h"
#include <cstring>

namespace pith::emulator {
namespace {

/// A worker takes the next block until there is none. Blocks start in order, so one that waits for a block
/// before it waits for one that runs or is done.
void work(void *data) {
  auto &running = *static_cast<Running *>(data);
  Block block(running, Workspace::mine());
  while (!running.failed.load(std::memory_order_relaxed)) {
    std::int64_t number = running.nextBlock.fetch_add(1, std::memory_order_relaxed);
    if (number >= running.blocks() || !block.run(number))
      return;
  }
}

} // namespace
} // namespace pith::emulator

/// Runs a launch; 0, or 1 and the first fault.
PITH_EXPORT int pith_emulator_launch(const pith::emulator::Launch *launch, pith::emulator::Fault *fault) {
  using namespace pith::emulator;
  std::memset(fault, 0, sizeof *fault);
  Running running(*launch, fault);
  if (running.blocks() > 0)
    pith::runTeam(running.blocks() == 1 ? 1 : 0, work, &running);
  return running.failed.load() ? 1 : 0;
}
