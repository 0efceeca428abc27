#include "numbers.h"
#include <algorithm>
#include <cmath>

extern "C" float __truncsfbf2(float);

namespace pith::emulator {
namespace {

bool isFloat(Number type) { return type <= Number::kF64; }

/// minimumNumber and maximumNumber: a number wins over NaN, as min and max do on the device.
double combinedFloat(Reduction op, double a, double b) {
  switch (op) {
  case Reduction::kAdd:
    return a + b;
  case Reduction::kMul:
    return a * b;
  case Reduction::kMinSigned:
  case Reduction::kMinUnsigned:
    return std::fmin(a, b);
  default:
    return std::fmax(a, b);
  }
}

template <class Signed, class Unsigned> std::uint64_t combinedInt(Reduction op, std::uint64_t x, std::uint64_t y) {
  auto a = static_cast<Unsigned>(x), b = static_cast<Unsigned>(y);
  auto signedA = static_cast<Signed>(a), signedB = static_cast<Signed>(b);
  switch (op) {
  case Reduction::kAdd:
    return static_cast<Unsigned>(a + b);
  case Reduction::kMul:
    return static_cast<Unsigned>(std::uint64_t{a} * b);
  case Reduction::kMinSigned:
    return static_cast<Unsigned>(std::min(signedA, signedB));
  case Reduction::kMinUnsigned:
    return std::min(a, b);
  case Reduction::kMaxSigned:
    return static_cast<Unsigned>(std::max(signedA, signedB));
  case Reduction::kMaxUnsigned:
    return std::max(a, b);
  case Reduction::kAnd:
    return a & b;
  case Reduction::kOr:
    return a | b;
  default:
    return static_cast<Unsigned>(a ^ b);
  }
}

} // namespace

double toDouble(Number type, std::uint64_t word) {
  switch (type) {
  case Number::kF16:
    return __gnu_h2f_ieee(static_cast<std::uint16_t>(word));
  case Number::kBF16:
    return bitsOf<float>(static_cast<std::uint32_t>(word) << 16);
  case Number::kF32:
    return bitsOf<float>(static_cast<std::uint32_t>(word));
  case Number::kF64:
    return bitsOf<double>(word);
  case Number::kI8:
    return static_cast<std::int8_t>(word);
  case Number::kI16:
    return static_cast<std::int16_t>(word);
  case Number::kI32:
    return static_cast<std::int32_t>(word);
  default:
    return static_cast<double>(static_cast<std::int64_t>(word));
  }
}

std::uint64_t fromDouble(Number type, double value) {
  switch (type) {
  case Number::kF16:
    return __gnu_f2h_ieee(static_cast<float>(value));
  case Number::kBF16:
    return bitsOf<std::uint32_t>(__truncsfbf2(static_cast<float>(value))) & 0xffff;
  case Number::kF32:
    return bitsOf<std::uint32_t>(static_cast<float>(value));
  case Number::kF64:
    return bitsOf<std::uint64_t>(value);
  default: // sums of tensor cores, 32-bit integers that saturate: nvgpu asks for .satfinite
    return static_cast<std::uint32_t>(static_cast<std::int32_t>(std::min(std::max(value, -0x1p31), 0x1p31 - 1)));
  }
}

std::uint64_t combined(Reduction op, Number type, std::uint64_t a, std::uint64_t b) {
  if (isFloat(type) && op <= Reduction::kMaxUnsigned)
    return fromDouble(type, combinedFloat(op, toDouble(type, a), toDouble(type, b)));
  switch (type) {
  case Number::kI8:
    return combinedInt<std::int8_t, std::uint8_t>(op, a, b);
  case Number::kI16:
    return combinedInt<std::int16_t, std::uint16_t>(op, a, b);
  case Number::kI64:
  case Number::kF64:
    return combinedInt<std::int64_t, std::uint64_t>(op, a, b);
  default:
    return combinedInt<std::int32_t, std::uint32_t>(op, a, b);
  }
}

} // namespace pith::emulator
