// Numbers as bits: conversions and reductions over element types of kernels.
#pragma once
#include <cstdint>
#include <cstring>

extern "C" float __gnu_h2f_ieee(std::uint16_t);
extern "C" std::uint16_t __gnu_f2h_ieee(float);

namespace pith::emulator {

/// Element types; mirrored by lowering/gpu/emulate/words.py.
enum class Number : std::int64_t { kF16, kBF16, kF32, kF64, kI8, kI16, kI32, kI64 };
enum class Reduction : std::int64_t { kAdd, kMul, kMinSigned, kMinUnsigned, kMaxSigned, kMaxUnsigned, kAnd, kOr, kXor };

template <class To, class From> To bitsOf(From value) {
  static_assert(sizeof(To) == sizeof(From));
  To out;
  std::memcpy(&out, &value, sizeof out);
  return out;
}

/// The value of the low bits of a word.
double toDouble(Number type, std::uint64_t word);
/// A value rounded to nearest even, as bits.
std::uint64_t fromDouble(Number type, double value);
/// `a op b` in the type, rounded once.
std::uint64_t combined(Reduction op, Number type, std::uint64_t a, std::uint64_t b);

} // namespace pith::emulator
