// cp.async.bulk.tensor: boxes of an array go to shared memory, and their bytes to a barrier. They land when their phase
// is waited for, and not before, last issued first: what is read without the wait is found missing.
#include "../export.h"
#include "block.h"
#include "mbarrier.h"
#include <algorithm>
#include <cstring>

namespace pith::emulator {
namespace {

constexpr std::int64_t kChunk = 16;

/// Rows of shared memory after which the pattern of a swizzle begins again, in bytes.
std::int64_t patternBytes(std::uint64_t swizzle) { return swizzle == 0 ? 128 : static_cast<std::int64_t>(swizzle) * 8; }

/// Bits 4 to 6 of an address in shared memory are changed by bits 7 to 9, as many as the swizzle has.
/// Source: PTX ISA, "Tensor Swizzling Modes".
std::int64_t swizzled(std::int64_t offset, std::uint64_t swizzle) {
  std::int64_t mask = swizzle == 0 ? 0 : static_cast<std::int64_t>(swizzle) / kChunk - 1;
  return offset ^ ((offset >> 7 & mask) << 4);
}

/// One row of the box from `at`, which is outside of the array where it is not inside.
void readRow(const TensorMap &map, const std::int64_t *at, char *row) {
  auto width = static_cast<std::int64_t>(map.elementBytes);
  std::memset(row, 0, static_cast<std::size_t>(map.rowBytes()));
  const char *source = map.base;
  for (std::uint32_t d = 1; d < map.rank; ++d) {
    if (at[d] < 0 || at[d] >= static_cast<std::int64_t>(map.sizes[d]))
      return;
    source += at[d] * static_cast<std::int64_t>(map.strides[d - 1]);
  }
  std::int64_t first = std::max<std::int64_t>(at[0], 0);
  std::int64_t end = std::min<std::int64_t>(at[0] + map.box[0], static_cast<std::int64_t>(map.sizes[0]));
  if (first < end)
    std::memcpy(row + (first - at[0]) * width, source + first * width, static_cast<std::size_t>((end - first) * width));
}

} // namespace

/// What the driver refuses to describe, or the copy engine to copy.
void Block::checkBox(const BoxCopy &copy) {
  const TensorMap &map = copy.map;
  if (map.magic != TensorMap::kMagic || map.rank < 1 || map.rank > TensorMap::kMaxRank)
    fail(FaultKind::kInvalid, copy.site, "the operand is no tensor map");
  bool strided = reinterpret_cast<std::uintptr_t>(map.base) % kChunk == 0;
  for (std::uint32_t d = 0; d + 1 < map.rank; ++d)
    strided &= map.strides[d] % kChunk == 0;
  if (!strided)
    fail(FaultKind::kMisaligned, copy.site, "the array of a tensor map, or a row of it, is at no multiple of 16 bytes");
  for (std::uint32_t d = 0; d < map.rank; ++d)
    if (map.sizes[d] == 0 || map.box[d] == 0 || map.box[d] > 256)
      fail(FaultKind::kInvalid, copy.site, "a tensor map of %lld elements in boxes of %u along dimension %u",
           static_cast<long long>(map.sizes[d]), map.box[d], d);
  if (map.rowBytes() % kChunk != 0 || (map.swizzle != 0 && map.rowBytes() > static_cast<std::int64_t>(map.swizzle)))
    fail(FaultKind::kInvalid, copy.site, "rows of a box have %lld bytes, which a swizzle of %lld does not allow",
         static_cast<long long>(map.rowBytes()), static_cast<long long>(map.swizzle));
  auto past = (copy.to - shared()) % patternBytes(map.swizzle);
  if (past != 0)
    fail(FaultKind::kMisaligned, copy.site, "a box goes to %lld bytes past a multiple of %lld",
         static_cast<long long>(past), static_cast<long long>(patternBytes(map.swizzle)));
  if (std::find(unfenced_.begin(), unfenced_.end(), copy.barrier) != unfenced_.end())
    fail(FaultKind::kRace, copy.site, "lands on a barrier whose initialisation no fence has made visible to copies");
}

void Block::issueBox(const BoxCopy &copy) {
  checkBox(copy);
  touch(Access::kAtomic, copy.site, copy.barrier, sizeof(std::uint64_t));
  touch(Access::kAsyncIssue, copy.site, reinterpret_cast<std::uintptr_t>(copy.to), copy.map.bytes());
  boxes_.push_back(copy);
}

bool Block::landBoxes(std::uintptr_t barrier) {
  std::vector<BoxCopy> landing;
  auto mine = [=](const BoxCopy &copy) { return copy.barrier == barrier; };
  std::copy_if(boxes_.rbegin(), boxes_.rend(), std::back_inserter(landing), mine);
  boxes_.erase(std::remove_if(boxes_.begin(), boxes_.end(), mine), boxes_.end());
  for (const BoxCopy &copy : landing) {
    land(copy);
    changeBarrier(copy.site, barrier, 0, -copy.map.bytes());
  }
  return !landing.empty();
}

void Block::land(const BoxCopy &copy) {
  const TensorMap &map = copy.map;
  touch(Access::kProxyWrite, copy.site, reinterpret_cast<std::uintptr_t>(copy.to), map.bytes());
  std::vector<char> row(static_cast<std::size_t>(map.rowBytes()));
  std::int64_t first = copy.to - shared();
  for (std::int64_t start = 0, number = 0; start < map.bytes(); start += map.rowBytes(), ++number) {
    std::int64_t at[TensorMap::kMaxRank] = {copy.at[0]}, rest = number;
    for (std::uint32_t d = 1; d < map.rank; ++d) {
      at[d] = copy.at[d] + rest % map.box[d];
      rest /= map.box[d];
    }
    readRow(map, at, row.data());
    for (std::int64_t chunk = 0; chunk < map.rowBytes(); chunk += kChunk)
      std::memcpy(shared() + swizzled(first + start + chunk, map.swizzle), row.data() + chunk, kChunk);
  }
}

} // namespace pith::emulator

using namespace pith::emulator;
using Int = std::int64_t;

PITH_EXPORT void pith_emulator_box_copy(Int site, Int map, Int to, Int barrier, Int x0, Int x1, Int x2, Int x3, Int x4) {
  Block &block = Block::current();
  BoxCopy copy{site, block.threadNumber(), {}, {x0, x1, x2, x3, x4}, reinterpret_cast<char *>(to),
               static_cast<std::uintptr_t>(barrier)};
  std::memcpy(&copy.map, reinterpret_cast<const void *>(map), sizeof copy.map);
  block.issueBox(copy);
}
