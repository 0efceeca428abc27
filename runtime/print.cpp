// Printing from compiled code, with the names and the output format of MLIR's runner utilities, so that MLIR's
// integration tests run unchanged. Every line is flushed: output mixes with Python's.
#include "export.h"
#include "memref.h"
#include <chrono>
#include <cinttypes>
#include <complex>
#include <cstdio>
#include <cstring>

extern "C" float __gnu_h2f_ieee(std::uint16_t);

namespace {

using pith::MemRefView;
using pith::UnrankedMemRef;

void show(std::int8_t value) { std::printf("%d", value); }
void show(std::int32_t value) { std::printf("%" PRId32, value); }
void show(std::int64_t value) { std::printf("%" PRId64, value); }
void show(std::uint64_t value) { std::printf("%" PRIu64, value); }
void show(float value) { std::printf("%g", static_cast<double>(value)); }
void show(double value) { std::printf("%g", value); }
template <class T> void show(const std::complex<T> &value) {
  std::printf("(%g,%g)", static_cast<double>(value.real()), static_cast<double>(value.imag()));
}

void showList(const char *name, const std::int64_t *values, std::int64_t count) {
  std::printf(" %s = [", name);
  for (std::int64_t i = 0; i < count; ++i)
    std::printf(i ? ", %" PRId64 : "%" PRId64, values[i]);
  std::printf("]");
}

void showMetadata(const MemRefView &view) {
  std::printf("base@ = %p rank = %" PRId64 " offset = %" PRId64, static_cast<void *>(view.aligned), view.rank, view.offset);
  showList("sizes", view.sizes, view.rank);
  showList("strides", view.strides, view.rank);
}

/// Nested brackets, one row of the innermost axis per line, indented by depth.
template <class T> void showData(const MemRefView &view, std::int64_t axis, std::int64_t offset) {
  if (axis == view.rank) {
    T value;
    std::memcpy(&value, view.data + offset * static_cast<std::int64_t>(sizeof(T)), sizeof value);
    return show(value);
  }
  std::printf("[");
  for (std::int64_t i = 0; i < view.sizes[axis]; ++i) {
    if (i > 0)
      std::printf(axis + 1 < view.rank ? ", \n%*s" : ", %*s", static_cast<int>(axis) + 1, "");
    showData<T>(view, axis + 1, offset + i * view.strides[axis]);
  }
  std::printf("]");
}

template <class T> void showMemRef(const MemRefView &view, const char *title) {
  std::printf("%s", title);
  showMetadata(view);
  std::printf(" data = \n");
  if (view.rank == 0)
    std::printf("[");
  showData<T>(view, 0, 0);
  std::printf(view.rank == 0 ? "]\n" : "\n");
  std::fflush(stdout);
}

template <class T> void showUnranked(std::int64_t rank, const void *descriptor) {
  showMemRef<T>(MemRefView(rank, static_cast<const std::int64_t *>(descriptor), sizeof(T)), "Unranked Memref ");
}

void showShape(const UnrankedMemRef *memref, std::int64_t elementSize) {
  std::printf("Unranked Memref ");
  showMetadata(MemRefView(memref->rank, memref->descriptor, elementSize));
  std::printf("\n");
  std::fflush(stdout);
}

} // namespace

#define PITH_PRINT_MEMREF(SUFFIX, T)                                                                                   \
  PITH_EXPORT void printMemref##SUFFIX(std::int64_t rank, void *descriptor) { showUnranked<T>(rank, descriptor); }     \
  PITH_EXPORT void _mlir_ciface_printMemref##SUFFIX(const UnrankedMemRef *memref) {                                    \
    showUnranked<T>(memref->rank, memref->descriptor);                                                                 \
  }                                                                                                                    \
  PITH_EXPORT void _mlir_ciface_printMemrefShape##SUFFIX(const UnrankedMemRef *memref) { showShape(memref, sizeof(T)); } \
  PITH_EXPORT void _mlir_ciface_printMemref1d##SUFFIX(const std::int64_t *descriptor) {                                \
    showMemRef<T>(MemRefView(1, descriptor, sizeof(T)), "Memref ");                                                    \
  }

PITH_PRINT_MEMREF(I8, std::int8_t)
PITH_PRINT_MEMREF(I32, std::int32_t)
PITH_PRINT_MEMREF(I64, std::int64_t)
PITH_PRINT_MEMREF(Ind, std::uint64_t)
PITH_PRINT_MEMREF(F32, float)
PITH_PRINT_MEMREF(F64, double)
PITH_PRINT_MEMREF(C32, std::complex<float>)
PITH_PRINT_MEMREF(C64, std::complex<double>)

// vector.print and the sparsifier's tests.
PITH_EXPORT void printI64(std::int64_t value) { show(value); }
PITH_EXPORT void printU64(std::uint64_t value) { show(value); }
PITH_EXPORT void printF32(float value) { show(value); }
PITH_EXPORT void printF64(double value) { show(value); }
PITH_EXPORT void printF16(std::uint16_t bits) { show(__gnu_h2f_ieee(bits)); }
PITH_EXPORT void printBF16(std::uint16_t bits) {
  std::uint32_t word = std::uint32_t{bits} << 16;
  float value;
  std::memcpy(&value, &word, sizeof value);
  show(value);
}
PITH_EXPORT void printOpen() { std::printf("( "); }
PITH_EXPORT void printClose() { std::printf(" )"); }
PITH_EXPORT void printComma() { std::printf(", "); }
PITH_EXPORT void printString(const char *text) { std::printf("%s", text); }
PITH_EXPORT void printCString(const char *text) { std::printf("%s", text); }
PITH_EXPORT void printNewline() {
  std::printf("\n");
  std::fflush(stdout);
}
PITH_EXPORT void printFlops(double flops) { std::fprintf(stderr, "%lf GFLOPS\n", flops / 1e9); }

/// Seconds since 1970.
PITH_EXPORT double rtclock() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}
PITH_EXPORT std::int64_t _mlir_ciface_nanoTime() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}
PITH_EXPORT std::int64_t nanoTime() { return _mlir_ciface_nanoTime(); }
