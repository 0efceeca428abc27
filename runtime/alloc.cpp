// Aligned allocation with size-bucketed free lists.
//
// Every block starts with a 64-byte header in front of the pointer handed out. Blocks from 64 KiB to
// 128 MiB are rounded up to a bucket (four per power of two, so at most 25 % is unused) and kept for reuse:
// a temporary that a kernel allocates on every call then costs no page faults after the first call. Two blocks of
// 1 MiB, allocated, written and freed: malloc 1123 us, this 42 us (virtual EPYC, November 2026); 64 KiB: equal.
#include "alloc.h"
#include "team.h"
#include <array>
#include <atomic>
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <sys/mman.h>
#include <vector>

namespace {

constexpr std::size_t kAlignment = 64;
constexpr std::size_t kMinPooled = std::size_t{64} << 10;
constexpr std::size_t kMaxPooled = std::size_t{128} << 20;
constexpr std::size_t kMinHuge = std::size_t{4} << 20;
constexpr std::int64_t kMaxCached = std::int64_t{256} << 20;
constexpr int kNoBucket = -1;
constexpr int kBuckets = 45; // capacities 64 KiB * {1, 1.25, 1.5, 1.75, 2, ...} up to 128 MiB
constexpr std::uint64_t kLive = 0x70697468'6c697665;  // "pithlive"
constexpr std::uint64_t kFreed = 0x70697468'66726565; // "pithfree"

struct Header {
  std::uint64_t state;
  std::size_t bytes;    // what the caller asked for
  std::size_t capacity; // what the block can hold
  void *block;          // what std::malloc gave
  int bucket;
};
static_assert(sizeof(Header) <= kAlignment);

struct FreeList {
  std::mutex mutex;
  std::vector<Header *> blocks;
};

std::atomic<std::int64_t> liveBytes{0};
std::atomic<std::int64_t> cachedBytes{0};

/// Never destroyed: kernels may free memory while static destructors run.
std::array<FreeList, kBuckets> &freeLists() {
  static auto *lists = new std::array<FreeList, kBuckets>;
  return *lists;
}

Header *headerOf(void *pointer) { return reinterpret_cast<Header *>(static_cast<char *>(pointer) - kAlignment); }
void *dataOf(Header *header) { return reinterpret_cast<char *>(header) + kAlignment; }

/// The bucket for a request, and the capacity of its blocks: (4..8) * 2^exponent bytes.
int bucketOf(std::size_t bytes, std::size_t alignment, std::size_t &capacity) {
  capacity = bytes;
  if (bytes < kMinPooled || bytes > kMaxPooled || alignment > kAlignment)
    return kNoBucket;
  int exponent = 61 - __builtin_clzll(bytes);
  std::size_t quarters = (bytes + (std::size_t{1} << exponent) - 1) >> exponent;
  capacity = quarters << exponent;
  return (exponent - 14) * 4 + static_cast<int>(quarters) - 4;
}

Header *takeCached(int bucket) {
  FreeList &list = freeLists()[bucket];
  std::lock_guard<std::mutex> lock(list.mutex);
  if (list.blocks.empty())
    return nullptr;
  Header *header = list.blocks.back();
  list.blocks.pop_back();
  cachedBytes.fetch_sub(static_cast<std::int64_t>(header->capacity), std::memory_order_relaxed);
  return header;
}

bool keepCached(Header *header) {
  auto capacity = static_cast<std::int64_t>(header->capacity);
  if (header->bucket == kNoBucket || cachedBytes.load(std::memory_order_relaxed) + capacity > kMaxCached)
    return false;
  FreeList &list = freeLists()[header->bucket];
  std::lock_guard<std::mutex> lock(list.mutex);
  list.blocks.push_back(header);
  cachedBytes.fetch_add(capacity, std::memory_order_relaxed);
  return true;
}

/// Ask for huge pages in large blocks, as NumPy does. Pruning 64 MiB of f32 into a block of 4 KiB pages takes
/// 43 ms, of 2 MiB pages 12 ms (virtual EPYC, November 2026): the rest is page faults and TLB misses.
void adviseHugePages(void *block, std::size_t total) {
#ifdef MADV_HUGEPAGE
  if (total < kMinHuge)
    return;
  constexpr std::uintptr_t kPage = 4096;
  auto begin = (reinterpret_cast<std::uintptr_t>(block) + kPage - 1) & ~(kPage - 1);
  auto end = (reinterpret_cast<std::uintptr_t>(block) + total) & ~(kPage - 1);
  madvise(reinterpret_cast<void *>(begin), end - begin, MADV_HUGEPAGE); // advice: failing costs speed only
#endif
}

Header *newBlock(std::size_t capacity, std::size_t alignment) {
  std::size_t total = 0;
  if (__builtin_add_overflow(capacity, kAlignment + alignment, &total))
    return nullptr;
  void *block = std::malloc(total);
  if (!block)
    return nullptr;
  adviseHugePages(block, total);
  auto data = (reinterpret_cast<std::uintptr_t>(block) + kAlignment + alignment - 1) & ~(alignment - 1);
  Header *header = headerOf(reinterpret_cast<void *>(data));
  header->capacity = capacity;
  header->block = block;
  return header;
}

/// Where the kernel that a thread runs is left when there is no memory.
struct Exit {
  std::jmp_buf place;
  volatile std::size_t missing = 0;
};

thread_local Exit *exitOfKernel = nullptr;

/// Compiled code cannot report failure: it writes through what it gets. Its frames have nothing to destroy, so they may
/// be jumped over, but for those of a parallel region.
void *allocOrLeave(std::size_t bytes, std::size_t alignment) {
  if (void *pointer = pith_alloc(bytes, alignment))
    return pointer;
  if (exitOfKernel && !pith::self().team) {
    exitOfKernel->missing = bytes;
    std::longjmp(exitOfKernel->place, 1);
  }
  std::fprintf(stderr, "pith: a kernel ran out of memory: a task asked for %zu bytes in one piece; pith holds %lld\n",
               bytes, static_cast<long long>(pith_live_bytes()));
  std::abort();
}

} // namespace

std::size_t pith::runKernel(void (*entry)(void **), void **arguments) {
  Exit here;
  Exit *const outer = exitOfKernel;
  if (_setjmp(here.place) == 0) {
    exitOfKernel = &here;
    entry(arguments);
  }
  exitOfKernel = outer;
  return here.missing;
}

PITH_EXPORT void *pith_alloc(std::size_t bytes, std::size_t alignment) {
  if (alignment & (alignment - 1))
    return nullptr;
  alignment = alignment < kAlignment ? kAlignment : alignment;
  std::size_t capacity = 0;
  int bucket = bucketOf(bytes, alignment, capacity);
  Header *header = bucket == kNoBucket ? nullptr : takeCached(bucket);
  if (!header)
    header = newBlock(capacity, alignment);
  if (!header) { // what is kept for reuse may be what is missing
    pith_trim();
    header = newBlock(capacity, alignment);
  }
  if (!header)
    return nullptr;
  header->state = kLive;
  header->bytes = bytes;
  header->bucket = bucket;
  liveBytes.fetch_add(static_cast<std::int64_t>(bytes), std::memory_order_relaxed);
  return dataOf(header);
}

PITH_EXPORT void pith_free(void *pointer) {
  if (!pointer)
    return;
  Header *header = headerOf(pointer);
  if (header->state != kLive) {
    const char *what = header->state == kFreed ? "was freed before" : "was not allocated by pith";
    std::fprintf(stderr, "pith: ignoring free of %p, which %s\n", pointer, what);
    return;
  }
  header->state = kFreed;
  liveBytes.fetch_sub(static_cast<std::int64_t>(header->bytes), std::memory_order_relaxed);
  if (!keepCached(header))
    std::free(header->block);
}

PITH_EXPORT std::int64_t pith_live_bytes() { return liveBytes.load(std::memory_order_relaxed); }
PITH_EXPORT std::int64_t pith_cached_bytes() { return cachedBytes.load(std::memory_order_relaxed); }

PITH_EXPORT void pith_trim() {
  for (FreeList &list : freeLists()) {
    std::lock_guard<std::mutex> lock(list.mutex);
    for (Header *header : list.blocks) {
      cachedBytes.fetch_sub(static_cast<std::int64_t>(header->capacity), std::memory_order_relaxed);
      std::free(header->block);
    }
    list.blocks.clear();
  }
}

// What finalize-memref-to-llvm{use-generic-functions=true} calls.
PITH_EXPORT void *_mlir_memref_to_llvm_alloc(std::size_t bytes) { return allocOrLeave(bytes, kAlignment); }
PITH_EXPORT void *_mlir_memref_to_llvm_aligned_alloc(std::size_t alignment, std::size_t bytes) {
  return allocOrLeave(bytes, alignment);
}
PITH_EXPORT void _mlir_memref_to_llvm_free(void *pointer) { pith_free(pointer); }
PITH_EXPORT void _mlir_memref_to_llvm_aligned_free(void *pointer) { pith_free(pointer); }
