// memref.copy between layouts: LLVM lowering calls this when either side is not contiguous.
#include "export.h"
#include "memref.h"
#include <cstring>

namespace {

using pith::MemRefView;

template <class T> void copyElements(const char *from, char *to, std::int64_t n, std::int64_t fromStep, std::int64_t toStep) {
  for (std::int64_t i = 0; i < n; ++i)
    std::memcpy(to + i * toStep, from + i * fromStep, sizeof(T));
}

/// One row of the innermost axis; steps are in bytes.
void copyRow(const char *from, char *to, std::int64_t n, std::int64_t fromStep, std::int64_t toStep, std::int64_t size) {
  if (fromStep == size && toStep == size)
    return static_cast<void>(std::memcpy(to, from, static_cast<std::size_t>(n * size)));
  switch (size) {
  case 1:
    return copyElements<std::uint8_t>(from, to, n, fromStep, toStep);
  case 2:
    return copyElements<std::uint16_t>(from, to, n, fromStep, toStep);
  case 4:
    return copyElements<std::uint32_t>(from, to, n, fromStep, toStep);
  case 8:
    return copyElements<std::uint64_t>(from, to, n, fromStep, toStep);
  default:
    for (std::int64_t i = 0; i < n; ++i)
      std::memcpy(to + i * toStep, from + i * fromStep, static_cast<std::size_t>(size));
  }
}

void copyFrom(const MemRefView &source, const MemRefView &target, std::int64_t axis, const char *from, char *to,
              std::int64_t size) {
  std::int64_t fromStep = source.strides[axis] * size, toStep = target.strides[axis] * size;
  if (axis + 1 == source.rank)
    return copyRow(from, to, source.sizes[axis], fromStep, toStep, size);
  for (std::int64_t i = 0; i < source.sizes[axis]; ++i)
    copyFrom(source, target, axis + 1, from + i * fromStep, to + i * toStep, size);
}

} // namespace

PITH_EXPORT void memrefCopy(std::int64_t elementSize, const pith::UnrankedMemRef *from, const pith::UnrankedMemRef *to) {
  MemRefView source(from->rank, from->descriptor, elementSize), target(to->rank, to->descriptor, elementSize);
  if (source.empty())
    return;
  if (source.rank == 0)
    std::memcpy(target.data, source.data, static_cast<std::size_t>(elementSize));
  else
    copyFrom(source, target, 0, source.data, target.data, elementSize);
}
