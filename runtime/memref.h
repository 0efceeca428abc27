// Memref descriptors as MLIR passes them.
#pragma once
#include <cstdint>

namespace pith {

/// What memref<*xT> is in memory.
struct UnrankedMemRef {
  std::int64_t rank;
  std::int64_t *descriptor; // allocated, aligned, offset, sizes[rank], strides[rank]
};

/// A view of a descriptor of any rank.
struct MemRefView {
  std::int64_t rank;
  char *data; // first element, offset applied
  std::int64_t offset;
  char *aligned;
  const std::int64_t *sizes;
  const std::int64_t *strides; // in elements

  MemRefView(std::int64_t rank, const std::int64_t *descriptor, std::int64_t elementSize)
      : rank(rank), data(reinterpret_cast<char *>(descriptor[1]) + descriptor[2] * elementSize), offset(descriptor[2]),
        aligned(reinterpret_cast<char *>(descriptor[1])), sizes(descriptor + 3), strides(descriptor + 3 + rank) {}

  bool empty() const {
    for (std::int64_t axis = 0; axis < rank; ++axis)
      if (sizes[axis] == 0)
        return true;
    return false;
  }
};

} // namespace pith
