// Conversions LLVM calls on processors without instructions for them (compiler-rt's names), rounding to nearest,
// ties to even. A 16-bit float travels in the low bits of an SSE register, as a float with those bits would.
#include "export.h"
#include <cstdint>
#include <cstring>

namespace {

template <class To, class From> To bits(From value) {
  static_assert(sizeof(To) == sizeof(From));
  To out;
  std::memcpy(&out, &value, sizeof out);
  return out;
}

float inRegister(std::uint16_t half) { return bits<float>(std::uint32_t{half}); }
std::uint16_t fromRegister(float value) { return static_cast<std::uint16_t>(bits<std::uint32_t>(value)); }

/// Rounds once to a 16-bit float with M bits of fraction (f16: 10, bf16: 7).
template <int M> std::uint16_t narrow(double value) {
  constexpr std::uint32_t kMax = (1u << (15 - M)) - 1, kInfinity = kMax << M;
  constexpr int kBias = kMax >> 1;
  constexpr std::uint64_t kOne = 1;
  auto word = bits<std::uint64_t>(value);
  std::uint32_t sign = static_cast<std::uint32_t>(word >> 63) << 15, magnitude;
  int exponent = static_cast<int>(word >> 52 & 0x7ff), target = exponent - 1023 + kBias, shift = 52 - M;
  std::uint64_t fraction = word & ((kOne << 52) - 1);
  if (exponent == 0x7ff && fraction != 0)
    return static_cast<std::uint16_t>(sign | kInfinity | 1u << (M - 1) | static_cast<std::uint32_t>(fraction >> shift));
  if (target >= static_cast<int>(kMax))
    return static_cast<std::uint16_t>(sign | kInfinity);
  if (target <= 0) { // subnormal: the leading one becomes part of the fraction
    fraction |= kOne << 52;
    shift += 1 - target;
    target = 0;
  }
  if (shift > 53)
    return static_cast<std::uint16_t>(sign);
  std::uint64_t rest = fraction & ((kOne << shift) - 1), tie = kOne << (shift - 1);
  magnitude = static_cast<std::uint32_t>(fraction >> shift) + (static_cast<std::uint32_t>(target) << M);
  magnitude += rest > tie || (rest == tie && (magnitude & 1)); // may carry up to infinity
  return static_cast<std::uint16_t>(sign | magnitude);
}

float widenHalf(std::uint16_t half) {
  std::uint32_t sign = (half & 0x8000u) << 16, exponent = half >> 10 & 0x1f, fraction = half & 0x3ff;
  if (exponent == 0x1f)
    return bits<float>(sign | 0x7f800000u | fraction << 13);
  if (exponent == 0) { // zero or subnormal: fraction * 2^-24, exact
    float magnitude = static_cast<float>(fraction) * 0x1p-24f;
    return sign ? -magnitude : magnitude;
  }
  return bits<float>(sign | (exponent + 112) << 23 | fraction << 13);
}

float widenBrain(std::uint16_t brain) { return bits<float>(std::uint32_t{brain} << 16); }

} // namespace

PITH_EXPORT float __truncsfhf2(float value) { return inRegister(narrow<10>(value)); }
PITH_EXPORT float __truncdfhf2(double value) { return inRegister(narrow<10>(value)); }
PITH_EXPORT float __truncsfbf2(float value) { return inRegister(narrow<7>(value)); }
PITH_EXPORT float __truncdfbf2(double value) { return inRegister(narrow<7>(value)); }
PITH_EXPORT float __extendhfsf2(float half) { return widenHalf(fromRegister(half)); }
PITH_EXPORT double __extendhfdf2(float half) { return widenHalf(fromRegister(half)); }
PITH_EXPORT float __extendbfsf2(float brain) { return widenBrain(fromRegister(brain)); }

// The older names pass the bits as an integer.
PITH_EXPORT std::uint16_t __gnu_f2h_ieee(float value) { return narrow<10>(value); }
PITH_EXPORT float __gnu_h2f_ieee(std::uint16_t half) { return widenHalf(half); }
