// Allocation shared by compiled kernels and by the buffers the Python runtime owns.
#pragma once
#include "export.h"
#include <cstddef>
#include <cstdint>

/// `bytes` of storage aligned to `alignment` (a power of two; at least 64 is given). A request of
/// zero bytes yields a valid pointer. Returns null when the size overflows or memory is exhausted.
PITH_EXPORT void *pith_alloc(std::size_t bytes, std::size_t alignment);

/// Gives back what `pith_alloc` returned; null is ignored. A foreign pointer is reported, not freed.
PITH_EXPORT void pith_free(void *pointer);

/// Bytes that callers of this process hold at the moment (cached free blocks do not count).
PITH_EXPORT std::int64_t pith_live_bytes();

/// Bytes kept in the free lists for reuse.
PITH_EXPORT std::int64_t pith_cached_bytes();

/// Returns all cached free blocks to the operating system.
PITH_EXPORT void pith_trim();

namespace pith {

/// Runs a kernel, `entry(arguments)`; 0 when it ran to its end. Where it asks for memory that there is not, it is left
/// there, and the bytes that it asked for are returned. Not where it asks inside of a parallel region: other threads
/// run that, too, so the process ends with a message. What the kernel had allocated until then is not given back.
std::size_t runKernel(void (*entry)(void **), void **arguments);

} // namespace pith
