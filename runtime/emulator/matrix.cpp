// Tensor cores: ldmatrix, mma.sync and mma.sp.sync on the fragments of the PTX ISA ("Matrix fragments for mma",
// "Sparse matrix storage"). Lane l is thread t = l % 4 of group g = l / 4; a register holds e = 32 / width elements.
#include "../export.h"
#include "block.h"
#include "numbers.h"

using namespace pith::emulator;
using Int = std::int64_t;

namespace {

Block &block() { return Block::current(); }

constexpr int kRows = 16, kColumns = 8, kMaxDepth = 64;

/// How wide an element is in fragments; tf32 travels as f32.
int widthOf(Number type) {
  switch (type) {
  case Number::kF16:
  case Number::kBF16:
  case Number::kI16:
    return 2;
  case Number::kI8:
    return 1;
  case Number::kF64:
  case Number::kI64:
    return 8;
  default:
    return 4;
  }
}

std::uint64_t wordAt(const char *memory, int width) {
  std::uint64_t word = 0;
  std::memcpy(&word, memory, static_cast<std::size_t>(width));
  return word;
}

struct Shape {
  int m, n, k;
  Number input, output;
};

/// What a lane brings to a product.
struct Operands {
  const char *a, *b;
  char *c;
  std::uint32_t metadata;
};

/// A warp's view of one product: every lane's registers.
class Product {
public:
  Product(Block &block, const Shape &shape, bool sparse, int selector)
      : block_(block), shape_(shape), width_(widthOf(shape.input)),
        packed_(shape.input == Number::kF64 ? 1 : 4 / width_), sparse_(sparse), selector_(selector) {}

  void run(Int site) {
    loadB();
    if (sparse_)
      loadSparseA(site);
    else
      loadA();
    accumulate();
  }

private:
  const Operands &lane(int l) { return *static_cast<const Operands *>(block_.payload(l)); }

  /// An element; tensor cores read tf32 from the upper 19 bits of an f32.
  double element(const char *fragment, int index) {
    std::uint64_t word = wordAt(fragment + index * width_, width_);
    return toDouble(shape_.input, shape_.input == Number::kF32 ? word & ~std::uint64_t{0x1fff} : word);
  }

  /// Element j of register r of A: row g + 8 (r % 2), column e t + 4 e (r / 2) + j of what is stored.
  template <class Put> void eachA(int depth, Put put) {
    int halves = shape_.m == 16 ? 2 : 1, registers = halves * depth / (4 * packed_);
    for (int l = 0; l < kWarp; ++l)
      for (int r = 0; r < registers; ++r)
        for (int j = 0; j < packed_; ++j)
          put(l / 4 + 8 * (r % halves), packed_ * (l % 4) + 4 * packed_ * (r / halves) + j,
              element(lane(l).a, r * packed_ + j));
  }

  void loadA() {
    eachA(shape_.k, [&](int row, int column, double value) { put(row, column, value); });
  }

  void put(int row, int column, double value) {
    a_[row][column] = value;
    stored_[row][column] = true;
  }

  /// Two of four (of f32: one of two) elements are stored; the metadata says which, and which elements of B are
  /// multiplied: what the others are does not matter, not even infinities.
  void loadSparseA(Int site) {
    bool pairs = shape_.input == Number::kF32;
    eachA(shape_.k / 2, [&](int row, int stored, double value) {
      int bits = metadata(row, pairs ? stored : stored / 2);
      int place;
      if (pairs) { // 0b0100: the first of two, 0b1110: the second
        if (bits != 0x4 && bits != 0xe)
          invalid(site, row, stored, bits);
        place = 2 * stored + (bits == 0xe);
      } else {
        if ((bits & 3) >= bits >> 2)
          invalid(site, row, stored / 2, bits);
        place = stored / 2 * 4 + (stored % 2 ? bits >> 2 : bits & 3);
      }
      put(row, place, value);
    });
  }

  [[noreturn]] void invalid(Int site, int row, int chunk, int bits) {
    block_.fail(FaultKind::kInvalid, site, "multiplies with invalid sparsity metadata 0b%d%d%d%d (row %d, chunk %d)",
                bits >> 3 & 1, bits >> 2 & 1, bits >> 1 & 1, bits & 1, row, chunk);
  }

  /// The four bits of chunk `chunk` (of four elements; of two for f32) of a row. Each contributing lane holds eight.
  int metadata(int row, int chunk) {
    int chunks = shape_.input == Number::kF32 ? shape_.k / 2 : shape_.k / 4;
    int group = row % 8, lower = row / 8, source, at;
    if (width_ > 1) { // sixteen bits of row g, then sixteen of row g + 8
      source = chunks == 4 ? selector_ : 2 * selector_ + chunk / 4;
      at = 4 * lower + chunk % 4;
    } else { // thirty-two bits of one row: even lanes row g, odd lanes row g + 8
      source = (chunks == 8 ? 2 * selector_ : chunk / 8 * 2) + lower;
      at = chunk % 8;
    }
    return static_cast<int>(lane(4 * group + source).metadata >> 4 * at & 15);
  }

  /// Element j of register r of B: row e t + 4 e r + j, column g.
  void loadB() {
    int registers = shape_.k / (4 * packed_);
    for (int l = 0; l < kWarp; ++l)
      for (int r = 0; r < registers; ++r)
        for (int j = 0; j < packed_; ++j)
          b_[packed_ * (l % 4) + 4 * packed_ * r + j][l / 4] = element(lane(l).b, r * packed_ + j);
  }

  /// Element j of register r of C and D: row g + 8 r, column 2 t + j. Products and sums are exact to f64 and
  /// rounded once; hardware keeps fewer bits of what it adds up.
  void accumulate() {
    int width = widthOf(shape_.output);
    for (int l = 0; l < kWarp; ++l)
      for (int r = 0; r < shape_.m / 8; ++r)
        for (int j = 0; j < 2; ++j) {
          char *place = lane(l).c + (2 * r + j) * width;
          double sum = toDouble(shape_.output, wordAt(place, width));
          for (int row = l / 4 + 8 * r, k = 0; k < shape_.k; ++k)
            if (stored_[row][k])
              sum += a_[row][k] * b_[k][2 * (l % 4) + j];
          std::uint64_t word = fromDouble(shape_.output, sum);
          std::memcpy(place, &word, static_cast<std::size_t>(width));
        }
  }

  Block &block_;
  const Shape shape_;
  const int width_, packed_;
  const bool sparse_;
  const int selector_;
  double a_[kRows][kMaxDepth], b_[kMaxDepth][kColumns];
  bool stored_[kRows][kMaxDepth] = {};
};

void multiply(Int site, const Shape &shape, Operands mine, bool sparse, Int selector) {
  Block &here = block();
  if (here.lanes() != ~Mask{0})
    here.fail(FaultKind::kDivergence, site, "multiplies matrices in a warp of less than 32 threads");
  if (!here.gather(site, ~Mask{0}, &mine))
    return;
  Product(here, shape, sparse, static_cast<int>(selector)).run(site);
  here.dismiss(~Mask{0});
}

struct Rows {
  const char *row;
  char *out;
};

/// Word t of row g of matrix q goes to register q of lane (g, t); transposed: halves 2 t and 2 t + 1 of column g.
void distribute(Block &block, Int count, bool transpose) {
  auto rowOf = [&](int l) { return static_cast<const Rows *>(block.payload(l)); };
  for (int q = 0; q < count; ++q)
    for (int l = 0; l < kWarp; ++l) {
      char *out = rowOf(l)->out + 4 * q;
      if (!transpose) {
        std::memcpy(out, rowOf(8 * q + l / 4)->row + 4 * (l % 4), 4);
        continue;
      }
      for (int j = 0; j < 2; ++j)
        std::memcpy(out + 2 * j, rowOf(8 * q + 2 * (l % 4) + j)->row + 2 * (l / 4), 2);
    }
}

} // namespace

/// `count` matrices of eight rows of 16 bytes; lane l gives the address of row l % 8 of matrix l / 8.
PITH_EXPORT void pith_emulator_ldmatrix(Int site, Int address, Int count, Int transpose, Int out) {
  Block &here = block();
  Rows mine{reinterpret_cast<const char *>(address), reinterpret_cast<char *>(out)};
  if (here.lanes() != ~Mask{0})
    here.fail(FaultKind::kDivergence, site, "loads matrices in a warp of less than 32 threads");
  if (here.lane() < 8 * count) {
    if (address % 16 != 0)
      here.fail(FaultKind::kMisaligned, site, "row is %d bytes past a multiple of 16", static_cast<int>(address % 16));
    here.touch(Access::kRead, site, static_cast<std::uintptr_t>(address), 16);
  }
  if (!here.gather(site, ~Mask{0}, &mine))
    return;
  distribute(here, count, transpose != 0);
  here.dismiss(~Mask{0});
}

namespace {
Operands operandsOf(Int a, Int b, Int c, Int metadata) {
  return {reinterpret_cast<const char *>(a), reinterpret_cast<const char *>(b), reinterpret_cast<char *>(c),
          static_cast<std::uint32_t>(metadata)};
}

Shape shapeOf(Int m, Int n, Int k, Int input, Int output) {
  return {static_cast<int>(m), static_cast<int>(n), static_cast<int>(k), static_cast<Number>(input),
          static_cast<Number>(output)};
}
} // namespace

/// D = A B + C; `c` is updated in place.
PITH_EXPORT void pith_emulator_mma(Int site, Int a, Int b, Int c, Int m, Int n, Int k, Int input, Int output) {
  multiply(site, shapeOf(m, n, k, input, output), operandsOf(a, b, c, 0), false, 0);
}

/// The same with two of four elements of A stored; k counts all of them.
PITH_EXPORT void pith_emulator_mma_sp(Int site, Int a, Int b, Int c, Int metadata, Int selector, Int m, Int n, Int k,
                                      Int input, Int output) {
  multiply(site, shapeOf(m, n, k, input, output), operandsOf(a, b, c, metadata), true, selector);
}
