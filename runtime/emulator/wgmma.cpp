// wgmma.mma_async: four warps multiply 64 rows by up to 256 columns that matrix descriptors name in shared memory.
// Each warp computes its 16 rows when it issues. Until it has waited, what it reads must not be written and what it
// computes must not be read; both are reported.
// Source: PTX ISA, "Shared Memory Matrix Layout", "Matrix Descriptor Format".
#include "../export.h"
#include "block.h"
#include "numbers.h"
#include <algorithm>

using namespace pith::emulator;
using Int = std::int64_t;

namespace {

Block &block() { return Block::current(); }

constexpr int kWarpsOfGroup = 4, kRows = 16, kMostColumns = 256, kMostDepth = 64;
constexpr std::uintptr_t kChunk = 16, kWindow = 1 << 18; // a descriptor has 18 bits of an address

/// A matrix in shared memory. `place` counts along its rows (of the rhs: columns).
class Matrix {
public:
  Matrix(Block &block, std::uint64_t bits, bool turned, Number type, Int site)
      : block_(block), site_(site), turned_(turned), type_(type),
        width_(type == Number::kF32 ? 4 : type == Number::kI8 ? 1 : 2), leading_(field(bits, 16)),
        stride_(field(bits, 32)) {
    if (bits >> 49 & 7)
      block.fail(FaultKind::kInvalid, site, "multiplies a matrix with a base offset, which the emulator does not know");
    constexpr int kChunks[] = {1, 8, 4, 2}; // of a swizzled row: none, 128, 64, 32 bytes
    chunks_ = kChunks[bits >> 62];
    auto base = reinterpret_cast<std::uintptr_t>(block.shared());
    start_ = base + (field(bits, 0) - base) % kWindow;
  }

  /// Value of an element; the hardware reads tf32 from the upper 19 bits of an f32.
  double at(int place, int k) {
    std::uintptr_t address = find(place, k);
    std::uint64_t word = 0;
    std::memcpy(&word, reinterpret_cast<const char *>(address), static_cast<std::size_t>(width_));
    return toDouble(type_, type_ == Number::kF32 ? word & ~std::uint64_t{0x1fff} : word);
  }

  /// Checks what is read of `places` places from `first` on and `depth` elements of k; where it lies.
  Span touch(int first, int places, int depth) {
    Span span{~std::uintptr_t{0}, 0, site_};
    int each = static_cast<int>(kChunk) / width_;
    for (int p = first; p < first + places; p += turned_ ? each : 1)
      for (int k = 0; k < depth; k += turned_ ? 1 : each) {
        std::uintptr_t address = find(p, k);
        block_.touch(Access::kProxyRead, site_, address, kChunk);
        span.first = std::min(span.first, address);
        span.end = std::max(span.end, address + kChunk);
      }
    return span;
  }

private:
  static std::uintptr_t field(std::uint64_t bits, int from) { return (bits >> from & 0x3fff) << 4; }

  /// The canonical layouts. Rows of `chunks_` chunks, 8 of which are a block; blocks are `stride_` apart, along k too
  /// if that is the slow dimension; what a row does not hold is `leading_` further.
  std::uintptr_t find(int place, int k) const {
    int each = static_cast<int>(kChunk) / width_, fast = turned_ ? place : k, slow = turned_ ? k : place;
    auto chunk = static_cast<std::uintptr_t>(fast / each), row = static_cast<std::uintptr_t>(slow);
    auto wide = static_cast<std::uintptr_t>(chunks_);
    std::uintptr_t address = start_ + row % 8 * wide * kChunk;
    if (chunks_ == 1) // not swizzled: across k, the offsets change their parts
      address += turned_ ? chunk * stride_ + row / 8 * leading_ : chunk * leading_ + row / 8 * stride_;
    else if (turned_)
      address += chunk % wide * kChunk + chunk / wide * leading_ + row / 8 * stride_;
    else
      address += chunk * kChunk + row / 8 * stride_;
    address ^= (address >> 7 & (wide - 1)) << 4;
    return address + static_cast<std::uintptr_t>(fast % each * width_);
  }

  Block &block_;
  const Int site_;
  const bool turned_;
  const Number type_;
  const int width_;
  const std::uintptr_t leading_, stride_;
  std::uintptr_t start_;
  int chunks_;
};

struct Shape {
  int n, k;
  Number output;
};

/// What a lane brings to a product.
struct Registers {
  char *sums;
  std::uint32_t metadata;
};

/// A warp's 16 rows of the lhs: values, and which element of k each of them is.
struct Rows {
  double values[kRows][kMostDepth];
  int places[kRows][kMostDepth];
  int stored;
};

const Registers &lane(Block &here, int number) { return *static_cast<const Registers *>(here.payload(number)); }

Rows denseRows(Block &here, Matrix &lhs, const Shape &shape) {
  Rows out;
  out.stored = shape.k;
  for (int row = 0; row < kRows; ++row)
    for (int k = 0; k < shape.k; ++k) {
      out.values[row][k] = lhs.at(here.warp() % kWarpsOfGroup * kRows + row, k);
      out.places[row][k] = k;
    }
  return out;
}

/// Two of four elements are stored. Each contributing lane of a group has the four bits of eight chunks of four: of
/// 16-bit elements, four of row g and four of row g + 8; of bytes, eight of one row. As in mma.sp.
Rows sparseRows(Block &here, Matrix &lhs, const Shape &shape, int width, int selector, Int site) {
  Rows out;
  out.stored = shape.k / 2;
  for (int row = 0; row < kRows; ++row)
    for (int chunk = 0; chunk < shape.k / 4; ++chunk) {
      int lower = row / 8, source = width > 1 ? 2 * selector + chunk / 4 : chunk / 8 * 2 + lower;
      int at = width > 1 ? 4 * lower + chunk % 4 : chunk % 8;
      int bits = static_cast<int>(lane(here, 4 * (row % 8) + source).metadata >> 4 * at & 15);
      if ((bits & 3) >= bits >> 2)
        here.fail(FaultKind::kInvalid, site, "multiplies with invalid sparsity metadata %d, %d (row %d, chunk %d)",
                  bits & 3, bits >> 2, row, chunk);
      for (int i = 0; i < 2; ++i) {
        out.values[row][2 * chunk + i] = lhs.at(here.warp() % kWarpsOfGroup * kRows + row, 2 * chunk + i);
        out.places[row][2 * chunk + i] = 4 * chunk + (i ? bits >> 2 : bits & 3);
      }
    }
  return out;
}

/// Sums of this warp: register 4 j + 2 h + c of lane l is row l / 4 + 8 h, column 8 j + 2 (l % 4) + c. Products and
/// sums are exact to f64 and rounded once; sums of integers wrap.
void accumulate(Block &here, const Rows &lhs, Matrix &rhs, const Shape &shape) {
  static thread_local double b[kMostDepth][kMostColumns], sums[kRows][kMostColumns];
  for (int k = 0; k < shape.k; ++k)
    for (int n = 0; n < shape.n; ++n)
      b[k][n] = rhs.at(n, k);
  for (int row = 0; row < kRows; ++row) {
    std::fill_n(sums[row], shape.n, 0.0);
    for (int i = 0; i < lhs.stored; ++i)
      for (int n = 0; n < shape.n; ++n)
        sums[row][n] += lhs.values[row][i] * b[lhs.places[row][i]][n];
  }
  for (int l = 0; l < kWarp; ++l)
    for (int i = 0; i < shape.n / 2; ++i) {
      char *place = lane(here, l).sums + 4 * i;
      std::uint32_t word;
      std::memcpy(&word, place, 4);
      double sum = toDouble(shape.output, word) + sums[l / 4 + i / 2 % 2 * 8][i / 4 * 8 + 2 * (l % 4) + i % 2];
      word = shape.output == Number::kI32 ? static_cast<std::uint32_t>(static_cast<Int>(sum))
                                          : static_cast<std::uint32_t>(fromDouble(shape.output, sum));
      std::memcpy(place, &word, 4);
    }
}

/// Runs `act` on the queue of this warp, once, when all its lanes are here.
template <class Act> void together(Int site, Act act) {
  Block &here = block();
  if (here.lanes() != ~Mask{0} || (here.warp() / kWarpsOfGroup + 1) * kWarpsOfGroup > here.warps())
    here.fail(FaultKind::kDivergence, site, "runs in a warpgroup of less than 128 threads");
  if (!here.gather(site, ~Mask{0}, nullptr))
    return;
  act(here.matrices());
  here.dismiss(~Mask{0});
}

} // namespace

namespace pith::emulator {

MatrixQueue &Block::matrices() { return matrices_[static_cast<std::size_t>(warp())]; }

/// Reports a write to what an instruction may still read.
void Block::checkMatrices(std::int64_t site, std::uintptr_t address, std::int64_t bytes) {
  auto meets = [&](const std::vector<Span> &spans, std::size_t warp) {
    for (const Span &span : spans)
      if (address < span.end && span.first < address + static_cast<std::uintptr_t>(bytes))
        failWith({static_cast<int>(warp) * kWarp, span.site}, FaultKind::kRace, site,
                 "writes shared memory (byte %lld) that wgmma still reads: a wait for its group, or a barrier behind "
                 "it, is missing",
                 static_cast<long long>(address - reinterpret_cast<std::uintptr_t>(shared())));
  };
  for (std::size_t warp = 0; warp < matrices_.size(); ++warp) {
    meets(matrices_[warp].open, warp);
    for (const auto &group : matrices_[warp].groups)
      meets(group, warp);
  }
}

} // namespace pith::emulator

namespace {

struct Operands {
  Int a, b;
  bool turnA, turnB;
  Number input;
  int selector; // of a sparse lhs; -1: it is dense
};

void multiply(Int site, const Operands &given, Shape shape, Registers mine) {
  Block &here = block();
  if (here.lanes() != ~Mask{0} || (here.warp() / kWarpsOfGroup + 1) * kWarpsOfGroup > here.warps())
    here.fail(FaultKind::kDivergence, site, "multiplies matrices in a warpgroup of less than 128 threads");
  if (!here.gather(site, ~Mask{0}, &mine))
    return;
  MatrixQueue &queue = here.matrices();
  if (!queue.fenced)
    here.fail(FaultKind::kRace, site,
              "uses registers that wgmma.fence has not ordered: one is missing since the last wait");
  Matrix lhs(here, static_cast<std::uint64_t>(given.a), given.turnA, given.input, site);
  Matrix rhs(here, static_cast<std::uint64_t>(given.b), given.turnB, given.input, site);
  bool sparse = given.selector >= 0;
  if (here.watched()) {
    queue.open.push_back(lhs.touch(here.warp() % kWarpsOfGroup * kRows, kRows, sparse ? shape.k / 2 : shape.k));
    queue.open.push_back(rhs.touch(0, shape.n, shape.k));
  }
  int width = given.input == Number::kI8 ? 1 : 2;
  Rows rows = sparse ? sparseRows(here, lhs, shape, width, given.selector, site) : denseRows(here, lhs, shape);
  accumulate(here, rows, rhs, shape);
  here.dismiss(~Mask{0});
}

} // namespace

/// D += A B; `sums` is updated in place. `turnA`: rows, not k, are the fast dimension of A, and so for B.
PITH_EXPORT void pith_emulator_wgmma(Int site, Int a, Int b, Int sums, Int n, Int k, Int turnA, Int turnB, Int input,
                                     Int output) {
  multiply(site, {a, b, turnA != 0, turnB != 0, static_cast<Number>(input), -1},
           {static_cast<int>(n), static_cast<int>(k), static_cast<Number>(output)},
           {reinterpret_cast<char *>(sums), 0});
}

/// The same with two of four elements of A stored, along k; k counts all of them.
PITH_EXPORT void pith_emulator_wgmma_sp(Int site, Int a, Int b, Int sums, Int metadata, Int selector, Int n, Int k,
                                        Int turnB, Int input, Int output) {
  multiply(site, {a, b, false, turnB != 0, static_cast<Number>(input), static_cast<int>(selector)},
           {static_cast<int>(n), static_cast<int>(k), static_cast<Number>(output)},
           {reinterpret_cast<char *>(sums), static_cast<std::uint32_t>(metadata)});
}

PITH_EXPORT void pith_emulator_wgmma_fence(Int site) {
  together(site, [](MatrixQueue &queue) { queue.fenced = true; });
}

PITH_EXPORT void pith_emulator_wgmma_commit(Int site) {
  together(site, [](MatrixQueue &queue) {
    queue.groups.push_back(std::move(queue.open));
    queue.open.clear();
  });
}

/// Waits until at most `pending` of this warp's latest groups are under way.
PITH_EXPORT void pith_emulator_wgmma_wait(Int site, Int pending) {
  together(site, [pending](MatrixQueue &queue) {
    auto done = static_cast<Int>(queue.groups.size()) - pending;
    if (done > 0)
      queue.groups.erase(queue.groups.begin(), queue.groups.begin() + done);
    queue.fenced = false;
  });
}

/// Sums are read: none of this warp's instructions may be under way.
PITH_EXPORT void pith_emulator_wgmma_settled(Int site) {
  if (!block().matrices().idle())
    block().fail(FaultKind::kRace, site, "reads sums of wgmma that may not be there: a wait for its group is missing");
}

/// Orders this thread's writes to shared memory before what reads it through the asynchronous proxy.
PITH_EXPORT void pith_emulator_fence_proxy() { block().shadow().fenceProxy(block().threadNumber()); }
