// Aligned allocation for compiled kernels and for the buffers the Python runtime owns.
#include <cstddef>
#include <cstdlib>

extern "C" __attribute__((visibility("default"))) void *pith_aligned_alloc(std::size_t bytes) {
  return std::aligned_alloc(64, (bytes + 63) / 64 * 64 + (bytes == 0 ? 64 : 0));
}
extern "C" __attribute__((visibility("default"))) void pith_aligned_free(void *p) { std::free(p); }
